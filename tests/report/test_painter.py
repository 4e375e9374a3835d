"""Figures of another process are those of this one; where it is gone, this one draws."""

from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

import autophasenn as ap
from autophasenn.pipeline.result import Result
from autophasenn.report import portfolio
from autophasenn.report.apart import Painter
from autophasenn.report.portfolio import Studio


@pytest.fixture(scope="module")
def result(example_results: Path) -> Result:
    return ap.load(example_results / "network")


def pictures(folder: Path) -> dict[str, np.ndarray]:
    return {path.name: matplotlib.image.imread(path) for path in folder.glob("*.png")}


def test_another_process_draws_the_same_figures_and_one_that_died_is_not_missed(result: Result, tmp_path: Path) -> None:
    for name in ("there", "here"):
        (tmp_path / name).mkdir()
    with Painter() as painter:
        painter.draw(result._portfolio(), tmp_path / "there")
        assert painter._process is not None
        painter._process.kill()
        painter.draw(result._portfolio(), tmp_path / "here")  # by this process
    there, here = (pictures(tmp_path / name) for name in ("there", "here"))
    assert there.keys() == here.keys() > {"overview.png", "slices.png", "pattern.png"}
    for name, picture in here.items():
        np.testing.assert_allclose(picture, there[name], atol=0.01)


def test_a_file_of_the_user_takes_the_place_of_no_module(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("signal", "pickle", "matplotlib"):
        (tmp_path / f"{name}.py").write_text(f"open({name!r} + '.was_run', 'w')\nraise SystemExit")
    monkeypatch.chdir(tmp_path)
    with Painter() as painter:
        painter.draw(replace(result._portfolio(), is_whole=False), tmp_path)
        assert painter._process is not None  # else this process drew
    assert not list(tmp_path.glob("*.was_run"))


def test_a_figure_that_shows_the_same_is_drawn_once(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = list[str]()
    png = Studio._png

    def counted(self: Studio, picture: portfolio.Picture) -> bytes:
        def draw() -> object:
            drawn.append(picture.name)
            return picture.draw()

        return png(self, portfolio.Picture(picture.name, picture.shows, draw))

    monkeypatch.setattr(Studio, "_png", counted)
    with Studio() as studio:
        studio.draw_ahead(result._portfolio())
        ahead = len(drawn)
        studio.draw(result._portfolio(), tmp_path)
    again = drawn[ahead:]
    assert "slices.png" in drawn[:ahead]
    assert "overview.png" in again
    assert not {"slices.png", "pattern.png", "convergence.png"} & set(again)
