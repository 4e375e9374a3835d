"""What the repository promises to a newcomer: the two commands, the licence, one version, a quick --help."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import autophasenn
from autophasenn import cli

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is no git checkout, so it has no tracked files")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_every_make_command_of_the_texts_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in ("README.md", "CONTRIBUTING.md", "docs/guide/install.md"):
        named = re.findall(r"(?:`|^ +)make ([a-z -]+)`?", (ROOT / name).read_text(), re.MULTILINE)
        assert named, name
        assert {target for words in named for target in words.split()} <= targets, name


def test_every_command_of_the_texts_exists() -> None:
    commands = {
        command.name or command.callback.__name__ for command in cli.app.registered_commands if command.callback
    }
    for name in ("README.md", "CONTRIBUTING.md", "Makefile", "docs/index.md"):
        named = re.findall(r"(?:`|^ +|/)autophasenn ([a-z]+(?:-[a-z]+)*)", (ROOT / name).read_text(), re.MULTILINE)
        assert named, name
        assert set(named) <= commands, name


def test_continuous_integration_runs_what_developers_run() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o100
    assert script.read_text().rstrip().endswith("make test")


def test_the_version_stands_the_same_everywhere() -> None:
    assert PROJECT["version"] == autophasenn.__version__
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == autophasenn.__version__
    recipe = yaml.safe_load((ROOT / "packaging" / "recipe.yaml").read_text())
    assert recipe["context"]["version"] == autophasenn.__version__
    assert json.loads((ROOT / "docs" / "versions.json").read_text())[0] == autophasenn.__version__
    for page in ("start.md", "guide/install.md"):
        named = re.findall(r"autophasenn-([\w.]+)-py3-none-any\.whl", (ROOT / "docs" / page).read_text())
        assert set(named) == {autophasenn.__version__}, page


def test_forms_of_issues_are_whole() -> None:
    """GitHub leaves a form out, without a word, that lacks one of these."""
    forms = [path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config"]
    assert len(forms) >= 4
    for path in forms:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert form["name"], path
        assert form["description"], path
        fields = [each for each in form["body"] if each["type"] != "markdown"]
        assert {each["type"] for each in fields} <= {"input", "textarea", "dropdown", "checkboxes"}, path
        names = [each["id"] for each in fields]
        assert len(set(names)) == len(names), path
        assert all(each["attributes"]["label"] for each in fields), path


def test_the_conda_recipe_needs_what_the_package_needs() -> None:
    """Two packages have other names at conda-forge."""
    recipe = yaml.safe_load((ROOT / "packaging" / "recipe.yaml").read_text())
    needed = {each.replace(" ", "") for each in recipe["requirements"]["run"]}
    there = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
    expected = {re.sub(r"^[\w-]+", lambda name: there.get(name[0], name[0]), each) for each in PROJECT["dependencies"]}
    assert needed == expected | {f"python{PROJECT['requires-python']}"}


def test_extras_are_those_of_the_manual() -> None:
    assert set(PROJECT["optional-dependencies"]) == {
        *("atoms", "viewer", "live", "cluster", "tiled", "ewoks", "fast", "napari", "docs", "dev"),
    }
    manual = (ROOT / "docs" / "guide" / "install.md").read_text()
    for extra in PROJECT["optional-dependencies"]:
        assert f"| `{extra}` |" in manual


def test_every_dependency_is_pinned_exactly() -> None:
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    pinned = {_canonical(pin.split("==")[0]) for pin in pins}
    wanted = [
        *PROJECT["dependencies"],
        *(name for extra in PROJECT["optional-dependencies"].values() for name in extra),
    ]
    names = {_canonical(re.match(r"[\w.-]+", name)[0]) for name in wanted}  # type: ignore[index]
    assert names - {PROJECT["name"]} <= pinned  # an extra may take in another extra


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_no_tracked_file_knows_the_machine_it_was_written_on() -> None:
    machine_path = re.compile(rb"(?<![\w.~/-])/(?:work|root|opt|home)/[\w.]")
    guilty = [
        path.relative_to(ROOT).as_posix()
        for path in tracked_files()
        if path != Path(__file__) and machine_path.search(path.read_bytes())
    ]
    assert guilty == []


def test_links_of_the_texts_lead_somewhere() -> None:
    for text in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text.read_text()):
            assert (text.parent / target).exists(), f"{text.name} links to {target}"


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from autophasenn.cli import main; sys.argv = ['autophasenn', '--help']\n"
        "try: main()\n"
        "except SystemExit as leave: assert not leave.code\n"
        "heavy = {'torch', 'numpy', 'pyvista', 'matplotlib', 'pydantic'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "reconstruct" in done.stdout
