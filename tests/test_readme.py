"""The Python of README and of docs/guide/python.md runs, in the order in which it stands."""

import re
from pathlib import Path
from shutil import copy

import pytest

import autophasenn as ap
from autophasenn.experiment.dataset import Description, encoded
from autophasenn.pipeline.example import EXAMPLE

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(("text", "saved"), [("README.md", "from_python"), ("docs/guide/python.md", "result")])
def test_the_python_of_the_texts_runs(text: str, saved: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    copy(EXAMPLE, "pattern.npz")
    samples = ap.simulate(8, seed=1)
    Path("crystals.h5").write_bytes(encoded(samples, Description("polyhedra", 1, {})))
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / text).read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, text, "exec"), names)
    assert (tmp_path / saved / "result.cxi").is_file()
