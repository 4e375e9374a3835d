"""What a wheel holds suffices: without the source every command answers, and the example is phased."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import urllib.request
import venv
from pathlib import Path

import pytest

from autophasenn import cli

ROOT = Path(__file__).parents[1]
HERE = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with nothing but the wheel, and what the wheel needs from where the tests have it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a build leaves files there
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    constraints = {name: str(ROOT / "constraints.txt") for name in ("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT")}
    subprocess.run([*pip, "wheel", "--no-deps", "-w", folder, source], check=True, env=HERE | constraints, timeout=300)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", symlinks=True, with_pip=False)
    place = folder / "venv" / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    subprocess.run([*pip, "install", "--no-deps", "--target", place, wheel], check=True, timeout=300)
    (place / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "venv" / "bin" / "python"


def answer(python: Path, folder: Path, script: str, *words: str) -> str:
    done = subprocess.run(
        [python, "-c", script, *words], cwd=folder, env=HERE, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def page_of(python: Path, folder: Path) -> str:
    """What the viewer answers a browser that follows its link, which carries the token and gets a cookie for it."""
    command = [python, "-m", "autophasenn", "view", "out", "--no-browser"]
    with subprocess.Popen(command, cwd=folder, env=HERE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = re.search(r"http\S+", process.stdout.readline())
            assert address
            browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            with browser.open(address[0], timeout=300) as answer:
                return answer.read().decode()
        finally:
            process.terminate()


def test_every_command_answers_the_example_is_phased_and_its_page_is_served(python: Path, tmp_path: Path) -> None:
    names = [c.name or c.callback.__name__ for c in cli.app.registered_commands if c.callback]
    asked = f"""
import autophasenn
from typer.testing import CliRunner
from autophasenn.cli import app
print(autophasenn.__file__)
for name in {names}:
    assert CliRunner().invoke(app, [name, "--help"]).exit_code == 0, name
"""
    assert not Path(answer(python, tmp_path, asked).strip()).is_relative_to(ROOT)
    words = ("reconstruct", "--example", "--method", "network", "-o", "out")
    answer(python, tmp_path, "from autophasenn.cli import main; main()", *words)
    assert json.loads((tmp_path / "out" / "report.json").read_text())["status"] == "reconstructed"
    assert (tmp_path / "out" / "overview.png").stat().st_size > 10_000
    assert "autophasenn.js" in page_of(python, tmp_path)


def test_what_is_missing_is_offered_as_a_package_not_as_source(python: Path, tmp_path: Path) -> None:
    said = answer(python, tmp_path, "from autophasenn.errors import install; print(install('viewer'))")
    assert said.strip() == "pip install 'autophasenn[viewer]'"
