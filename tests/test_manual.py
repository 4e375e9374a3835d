"""What the manual is made of: pages that the program writes, and pages that need no other server."""

import re
import sys
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from autophasenn.beamlines import BEAMLINES

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(autouse=True)
def _beside_the_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(DOCS), *sys.path])


LOADS = [
    '<script src="https://cdn.example/x.js"></script>',
    '<link rel="stylesheet" href="//cdn.example/x.css">',
    '<img alt="" src="HTTP://pictures.example/x.png">',
    '<link rel="preload" href="https://fonts.example/x.woff2">',
    "<style>@import 'https://fonts.example/x.css';</style>",
    '<p style="background: url(https://pictures.example/x.png)">',
    '<img alt="" src="x.png" srcset="x.png 1x, https://pictures.example/x.png 2x">',
    '<video poster="https://pictures.example/x.png"></video>',
    '<svg><image href="https://pictures.example/x.png"/></svg>',
    '<base href="https://pages.example/">',
    '<link href="https://fonts.example/x.css">',
]


@pytest.mark.parametrize("text", LOADS)
def test_a_page_that_needs_another_server_is_refused(text: str, tmp_path: Path) -> None:
    from offline import foreign, refuse_foreign

    (tmp_path / "page.html").write_text(f"<html><head></head><body>{text}</body></html>")
    (found,) = foreign(tmp_path)
    assert found.startswith("page.html: ")
    with pytest.raises(RuntimeError, match="load 1 things from other servers"):
        refuse_foreign(tmp_path)


def test_a_style_sheet_that_needs_another_server_is_refused(tmp_path: Path) -> None:
    from offline import foreign

    (tmp_path / "look.css").write_text("@font-face {src: url('https://fonts.example/x.woff2')}")
    assert foreign(tmp_path) == ["look.css: https://fonts.example/x.woff2"]


def test_links_that_a_reader_may_follow_and_what_lies_beside_a_page_are_fine(tmp_path: Path) -> None:
    from offline import foreign

    (tmp_path / "page.html").write_text(
        '<link rel="stylesheet" href="_static/x.css"><link rel="canonical" href="https://docs.example/">'
        '<a href="https://doi.org/10.1038/s41524-022-00803-w">paper</a><img src="_images/x.png">'
        '<script>var a = "//";</script>'
    )
    assert foreign(tmp_path) == []


def test_every_beamline_has_its_section_with_command_and_circles() -> None:
    from generated import beamline_pages

    sections = re.split(r"^## ", beamline_pages(), flags=re.MULTILINE)[1:]
    assert len(sections) == len(BEAMLINES)
    for text, beamline in zip(sections, BEAMLINES.values(), strict=True):
        command = " ".join(text.replace("\\\n", " ").split())  # a long one is in two lines
        assert f" autophasenn reconstruct {beamline.example} -o result " in command
        assert "*Assumed*" in text
        for circles in beamline.circles:
            assert f"| {circles.name} |" in text
            assert all(motor in text for motor in circles.motors)


def test_figures_of_this_package_are_found_and_drawn_once(tmp_path: Path) -> None:
    """They are made without pyplot, so that no state is left behind, and pyplot's own are drawn by the gallery."""
    pytest.importorskip("sphinx_gallery", reason="only those who build the manual have Sphinx-Gallery")
    import matplotlib.pyplot as plt
    from pictures import figures_of, scrape

    own, managed = Figure(), plt.figure()
    try:
        assert figures_of({"number": 1, "figure": own, "___": own, "other": managed}) == [own]
        block: dict = {"example_globals": {"figure": own}, "image_path_iterator": iter([str(tmp_path / "one.png")])}
        assert "one.png" in scrape(None, block, {"src_dir": str(tmp_path)})
        assert (tmp_path / "one.png").stat().st_size
        assert figures_of({"figure": own}) == []
    finally:
        plt.close(managed)


def test_every_picture_of_an_example_has_an_example() -> None:
    """The figures of the pages are those that the examples draw while the manual is built."""
    named = set()
    for page in DOCS.rglob("*.md"):
        if "_build" not in page.parts:
            named |= set(re.findall(r"sphx_glr_(plot_\w+)_\d{3}\.png", page.read_text(encoding="utf-8")))
    assert named
    assert named <= {script.stem for script in (DOCS / "gallery").rglob("plot_*.py")}
