"""Exceptions that teach: each message gives the value received, why it is wrong, and what to do.

The command line turns every :class:`AutoPhaseNNError` into one sentence and exit status 2; anything else is a failure
of the program and leaves with status 1.
"""

from functools import lru_cache


class AutoPhaseNNError(Exception):
    """Base of every error that the user can mend."""


class InputError(AutoPhaseNNError, ValueError):
    """A file, folder or array that cannot be what was asked for: missing, truncated, wrong shape, NaN, no peak."""


class GeometryError(AutoPhaseNNError):
    """Motors or detector settings that describe no rocking scan of a Bragg peak."""


class PlanError(AutoPhaseNNError, ValueError):
    """A parameter outside its legal range, or a key that no parameter has."""


class OutputError(AutoPhaseNNError):
    """A result that cannot be written: it exists already, or the folder is not writable, or the disk is full."""


def install(extra: str) -> str:
    """The command that installs an extra of the package, for an error message."""
    if not _is_from_source():
        return f"pip install 'autophasenn[{extra}]'"
    return (
        f"pip install -c constraints.txt -e '.[{extra}]' (in the folder of the source, with the pip of its .venv/bin)"
    )


@lru_cache(1)
def _is_from_source() -> bool:
    """Is the package used from the folder of its source? Its wheel says where it is from (PEP 610)."""
    import importlib.metadata  # here, as `import autophasenn` shall take no time
    import json

    try:
        said = importlib.metadata.distribution("autophasenn").read_text("direct_url.json")
        return said is not None and bool(json.loads(said).get("dir_info", {}).get("editable"))
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return True


QUOTED = 200
"""Characters of foreign words that a message quotes."""


def quoted(words: object, limit: int = QUOTED) -> str:
    """A name, or the first line of what a library says, in one line and short enough for a sentence."""
    text = str(words).strip()
    line = " ".join((text.splitlines() or [""])[0].split()) if isinstance(words, BaseException) else text
    line = line.replace("\n", "\\n")
    return line if len(line) <= limit else f"{line[: limit // 2]}...{line[3 - limit // 2 :]}"
