"""The command that stands for each beamline in the manual is one that reads its files, and what is assumed is said."""

import click
import numpy as np
import pytest
import typer
from layouts import LAYOUTS, Id01Spec

from autophasenn import cli
from autophasenn.beamlines import BEAMLINES, Setup, read_scan
from autophasenn.beamlines import diffractometers as known
from autophasenn.physics.diffractometer import Diffractometer

RECONSTRUCT = typer.main.get_command(cli.app).commands["reconstruct"]  # type: ignore[attr-defined]
SETUP = {"--energy": "energy_ev", "--distance": "distance_m", "--direct-beam": "direct_beam", "--pixel": "pixel_m"}
FILES = {"--spec": "spec", "--scan": "scan"}


@pytest.mark.parametrize("beamline", BEAMLINES.values(), ids=BEAMLINES)
def test_the_example_is_words_that_the_command_takes_and_names_its_beamline(beamline):
    try:
        context = RECONSTRUCT.make_context("reconstruct", [*beamline.example.split(), "-o", "result"])
    except click.ClickException as error:
        pytest.fail(f"{beamline.example}: {error.format_message()}")
    assert context.params["beamline"] == beamline.name
    assert "--spec" in beamline.example or not beamline.needs_log


@pytest.mark.parametrize(
    "layout", [each for each in LAYOUTS if each is not Id01Spec], ids=lambda layout: layout.__name__
)
def test_the_options_of_the_example_suffice_and_the_direct_beam_is_assumed_where_it_is_not_recorded(layout, tmp_path):
    beamline, experiment = BEAMLINES[layout.name], layout.experiment
    named = {word for word in beamline.example.split() if word.startswith("--")}
    frames = np.ones((experiment.frames, *experiment.shape), np.uint16)
    written = layout.write(tmp_path, frames, experiment)
    given = {"energy_ev": experiment.energy, "distance_m": experiment.distance, "direct_beam": experiment.beam}
    given["pixel_m"] = (experiment.pixel, experiment.pixel)
    setup = Setup(**{field: given[field] for option, field in SETUP.items() if option in named})
    options = {name: written.options[name] for option, name in FILES.items() if option in named}
    geometry = read_scan(beamline.name, written.path, setup=setup, **options).geometry
    is_known = beamline.records_direct_beam or "--direct-beam" in named
    assert geometry.is_assumed != is_known


def test_every_diffractometer_that_is_known_belongs_to_a_beamline():
    listed = [each for beamline in BEAMLINES.values() for each in beamline.circles]
    assert {each.name for each in listed} == {
        each.name for each in vars(known).values() if isinstance(each, Diffractometer)
    }
    for beamline in BEAMLINES.values():
        assert all(each.name.startswith(beamline.title) for each in beamline.circles)
