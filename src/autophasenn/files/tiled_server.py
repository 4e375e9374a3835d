"""Patterns of a Tiled server, from which Bluesky's runs are read (https://blueskyproject.io/tiled)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any
from urllib.parse import SplitResult, urlsplit

import numpy as np

from autophasenn.errors import InputError, install, quoted
from autophasenn.files.boundary import reading
from autophasenn.files.stored import StoredPattern
from autophasenn.machine import check_room

ADDRESS = re.compile(r"tiled(?:\+(?P<scheme>https?))?://(?P<rest>.+)", re.IGNORECASE | re.DOTALL)
"""``tiled://host:port/path`` (http) or ``tiled+https://host/path``."""
API = "/api/v1"
KEY = "TILED_API_KEY"
"""The variable of the environment from which Tiled's own client takes its key, too."""
SECONDS = 30.0
"""For which an answer of the server is waited for."""
DEEPEST = 8
MOST_ENTRIES = 500
"""Entries of a run that are looked at for its frames."""
MAX_LISTED = 5
GEOMETRY = ("reciprocal_steps", "scattering_vector")
"""Metadata of an array that say its sampling, 1/m, as an .npz file names them."""


def is_address(name: object) -> bool:
    """Is it the address of an entry of a Tiled server?"""
    return ADDRESS.fullmatch(str(name)) is not None


def read_tiled(address: str) -> StoredPattern:
    """The counts of an array, or of the only stack of frames of a run or another container.

    Parameters
    ----------
    address : str
        As `ADDRESS`; what a server under a prefix has stands before ``/api/v1/metadata/`` in it.

    Raises
    ------
    InputError
        If the server does not answer, wants a key, or has no such entry; or there is no stack in it, or several, or it is
        larger than the memory.
    """
    uri = _uri(address)
    with _explained(address, uri):
        entry = _entry(address, uri)
        array, name = _stack(entry, address)
        check_room(math.prod(array.shape), name)
        counts = np.asarray(array.read())
    metadata = dict(array.metadata)
    steps, vector = (None if metadata.get(key) is None else np.asarray(metadata[key]) for key in GEOMETRY)
    return StoredPattern(_one_a_point(counts), None, steps, vector)


def _uri(address: str) -> str:
    """As Tiled's client takes it: ``http://host:port/api/v1/metadata/path``."""
    match = ADDRESS.fullmatch(address)
    assert match is not None
    try:
        parts = urlsplit(f"{(match['scheme'] or 'http').lower()}://{match['rest']}")
        has_host = parts.hostname is not None and parts.port != 0
    except ValueError:
        has_host = False
    if not has_host:
        raise InputError(f"{quoted(address)} names no server; give tiled://HOST:PORT/PATH.")
    _check_no_secret(parts)
    path = parts.path if API in parts.path else f"{API}/metadata/{parts.path.strip('/')}"
    return parts._replace(path=path.rstrip("/"), query="", fragment="").geturl()


def _check_no_secret(parts: SplitResult) -> None:
    """Refuse a key in the address: addresses are stored with results."""
    if "api_key" in parts.query.lower() or parts.username or parts.password:
        raise InputError(
            f"The address of {parts.hostname} holds a key, and addresses are stored with results; leave it out, and set "
            f"the variable {KEY} of the environment."
        )


@contextmanager
def _explained(address: str, uri: str) -> Iterator[None]:
    """Whatever goes wrong between here and the server, in one sentence.

    Raises
    ------
    InputError
    """
    try:
        import httpx
    except ModuleNotFoundError as error:
        raise InputError(f"Reading from Tiled needs its client; {install('tiled')}") from error
    where = urlsplit(uri).netloc
    try:
        with reading(address, "an entry of a Tiled server"):
            yield
    except InputError as error:
        cause = error.__cause__
        if isinstance(cause, httpx.HTTPStatusError):
            raise InputError(_of_status(cause.response.status_code, address, where, cause)) from cause
        if isinstance(cause, httpx.TransportError | httpx.InvalidURL):
            words = quoted(cause) or type(cause).__name__
            raise InputError(
                f"The Tiled server at {where} does not answer ({words}); check the address, and that the server runs and "
                "may be reached from here."
            ) from cause
        raise


def _of_status(status: int, address: str, where: str, cause: Exception) -> str:
    if status in (401, 403):
        return _key_wanted(where)
    if status == 404:
        return f"The Tiled server at {where} has no entry {quoted(address)}, or none that your key may see; check the path."
    return f"The Tiled server at {where} cannot give {quoted(address)} ({quoted(cause)}); ask whoever runs it."


def _key_wanted(where: str) -> str:
    return (
        f"The Tiled server at {where} wants a key, or another one than it was given; set the variable {KEY} of the "
        "environment to yours, or log in once with `tiled login`."
    )


def _entry(address: str, uri: str) -> Any:
    """The client of an entry; nobody is asked for a password."""
    try:
        import httpx
        from tiled.client import from_context
        from tiled.client.context import Context
    except ModuleNotFoundError as error:
        raise InputError(f"Reading from Tiled needs its client ({quoted(error)}); {install('tiled')}") from error
    root = f"{uri.partition(API)[0]}{API}/"
    answer = httpx.get(root, timeout=SECONDS, follow_redirects=True)  # without the minute of tries of Tiled's client
    answer.raise_for_status()
    if "application/json" not in answer.headers.get("content-type", ""):
        raise InputError(
            f"{root} is no Tiled server: its answer is not the one of Tiled's API; check {quoted(address)}."
        )
    context, parts = Context.from_any_uri(uri, timeout=httpx.Timeout(SECONDS))
    asks = context.server_info.authentication
    if context.api_key is None and asks.required and not (asks.providers and context.use_cached_tokens()):
        raise InputError(_key_wanted(urlsplit(uri).netloc))
    return from_context(context, node_path_parts=parts)


def _stack(entry: Any, address: str) -> tuple[Any, str]:
    """The array that the address names, or the only stack of frames below it; and its address."""
    if hasattr(entry, "shape") and hasattr(entry, "read"):
        return entry, address
    if not isinstance(entry, Mapping):
        raise InputError(f"{quoted(address)} is {type(entry).__name__} and no array; give the address of the frames.")
    found = dict(islice(_stacks(entry, address.rstrip("/")), MAX_LISTED + 1))
    if len(found) == 1:
        ((name, array),) = found.items()
        return array, name
    if not found:
        raise InputError(f"{quoted(address)} holds no stack of frames; give the address of an array of 3 dimensions.")
    listed = [f"{quoted(name)} {tuple(array.shape)}" for name, array in found.items()][:MAX_LISTED]
    raise InputError(f"{quoted(address)} holds several stacks of frames; give the address of one: {', '.join(listed)}.")


def _stacks(container: Mapping[str, Any], address: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    for name, entry in islice(container.items(), MOST_ENTRIES):
        where = f"{address}/{name}"
        if isinstance(entry, Mapping) and depth < DEEPEST:
            yield from _stacks(entry, where, depth + 1)
        elif len(getattr(entry, "shape", ())) >= 3:
            yield where, entry


def _one_a_point(counts: np.ndarray) -> np.ndarray:
    """Without the axis of frames a point, where there is one a point: Bluesky's area detectors have it second."""
    return counts[:, 0] if counts.ndim == 4 and counts.shape[1] == 1 else counts
