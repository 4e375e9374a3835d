"""What each reader refuses: one sentence that names the file, what was found, and what gives it."""

import re
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
from layouts import (
    I16,
    P10,
    Aps1ide,
    Aps7idd,
    Aps20ide,
    Aps28idb,
    Aps34idc,
    Bm02,
    Cristal,
    Id01Bliss,
    Id01Spec,
    Id27,
    Nanomax,
    Sixs2019,
    Sixs2022,
)

from autophasenn.beamlines import read_scan
from autophasenn.errors import AutoPhaseNNError


def small(layout, **change):
    """The layout's experiment with few frames of few pixels."""
    return replace(layout.experiment, shape=(6, 8), frames=5, first=(0, 0), peak=(3, 4), **change)


def edit(path, change):
    """Change an HDF5 file in place."""
    with h5py.File(path, "r+") as file:
        change(file)


def without(*names):
    def change(file):
        for name in names:
            del file[name]

    return change


def having(name, value):
    def change(file):
        if name in file:
            del file[name]
        file[name] = value

    return change


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def rewritten(path, old, new):
    text = path.read_text()
    assert re.search(old, text)
    path.write_text(re.sub(old, new, text))


MASTER = "entry1/instrument"
SAMPLE = "entry1/sample/transformations"
CASES = [
    # ID01, BLISS
    (Id01Bliss, lambda w, r: truncated(w.path), {}, ["no HDF5 file"]),
    (Id01Bliss, lambda w, r: (r / "raw" / "sample.h5").unlink(), {}, ["link to the file raw/sample.h5", "missing"]),
    (Id01Bliss, lambda w, r: shutil.rmtree(r / "raw" / "scan0012"), {}, ["scan0012/mpx1x4_0000.h5", "missing"]),
    (Id01Bliss, lambda w, r: None, {"scan": 13}, ["no scan 13", "12", "--scan"]),
    (Id01Bliss, lambda w, r: edit(r / "raw/sample.h5", without("12.1/measurement")), {}, ["'measurement'"]),
    (
        Id01Bliss,
        lambda w, r: edit(r / "raw/sample.h5", without("12.1/measurement/mpx1x4")),
        {},
        ["frames of a detector", "imon"],
    ),
    (
        Id01Bliss,
        lambda w, r: edit(r / "raw/sample.h5", having("12.1/measurement/eiger2M", np.zeros((5, 6, 8), "u2"))),
        {},
        ["eiger2M, mpx1x4", "--detector"],
    ),
    (
        Id01Bliss,
        lambda w, r: edit(r / "raw/sample.h5", without("12.1/instrument/positioners/nu")),
        {},
        ["no motor 'nu'", "--motor nu=VALUE"],
    ),
    (
        Id01Bliss,
        lambda w, r: edit(r / "raw/sample.h5", without("12.1/instrument/positioners/mononrj")),
        {},
        ["photon energy", "--energy"],
    ),
    (
        Id01Bliss,
        lambda w, r: edit(r / "raw/sample.h5", having("12.1/instrument/positioners/mononrj", 9000.0)),
        {},
        ["energy is 9e+06 eV", "unit"],
    ),
    (
        Id01Bliss,
        lambda w, r: edit(r / "raw/sample.h5", having("12.1/instrument/mpx1x4/distance", 800.0)),
        {},
        ["distance is 800 m", "unit"],
    ),
    (
        Id01Bliss,
        lambda w, r: edit(r / "raw/sample.h5", having("12.1/instrument/mpx1x4/distance", 0.0)),
        {},
        ["distance", "--distance"],
    ),
    (
        Id01Bliss,
        lambda w, r: edit(r / "raw/sample.h5", having("12.1/measurement/eta", np.full(5, 18.0))),
        {},
        ["No motor of ESRF ID01 moves"],
    ),
    (
        Id01Bliss,
        lambda w, r: edit(r / "raw/sample.h5", having("12.1/measurement/eta", np.linspace(18, 18.1, 3))),
        {},
        ["5 frames", "3 positions of eta"],
    ),
    (
        Id01Bliss,
        lambda w, r: edit(
            r / "raw/sample.h5", having("12.1/measurement/eta", np.array([18, np.nan, 18.1, 18.2, 18.3]))
        ),
        {},
        ["motor eta is nan"],
    ),
    (
        Id01Bliss,
        lambda w, r: edit(r / "raw/sample.h5", having("12.1/instrument/positioners/nu", b"far")),
        {},
        ["nu", "no number"],
    ),
    (
        Id01Bliss,
        lambda w, r: edit(
            r / "raw/sample.h5",
            lambda f: (
                having("12.1/instrument/positioners/nu", 0.0)(f),
                having("12.1/instrument/positioners/delta", 0.0)(f),
                having("12.1/instrument/mpx1x4/beam_center_y", 2.0)(f),
                having("12.1/instrument/mpx1x4/beam_center_x", 5.0)(f),
            ),
        ),
        {},
        ["direct beam meets row 2, column 5", "nu 0, delta 0"],
    ),
    # ID01, SPEC
    (Id01Spec, lambda w, r: None, {"spec": None}, ["SPEC file", "--spec"]),
    (Id01Spec, lambda w, r: None, {"scan": None}, ["--scan"]),
    (Id01Spec, lambda w, r: (w.path / "data_mpx4_00702.edf.gz").unlink(), {}, ["frame number 702", "1 of 5"]),
    (
        Id01Spec,
        lambda w, r: truncated(w.path / "data_mpx4_00702.edf.gz"),
        {},
        ["data_mpx4_00702.edf.gz", "cannot be read"],
    ),
    (Id01Spec, lambda w, r: rewritten(r / "made.spec", "mpx4inr", "other"), {}, ["no counter mpx4inr or ei2minr"]),
    (Id01Spec, lambda w, r: rewritten(r / "made.spec", "  del", "  dex"), {}, ["no motor 'delta'"]),
    (Id01Spec, lambda w, r: rewritten(r / "made.spec", "(#S 12).*", r"\1  timescan 1 0"), {}, ["not a rocking scan"]),
    # BM02, ID27
    (Bm02, lambda w, r: rewritten(r / "made.spec", "  Emono", "  other"), {}, ["photon energy", "--energy"]),
    (
        Id27,
        lambda w, r: edit(w.path, without("made_3.1/instrument/positioners/nath", "made_3.1/title")),
        {},
        ["No motor", "moves"],
    ),
    # P10
    (P10, lambda w, r: (w.path / "sample_00007.fio").unlink(), {}, ["sample_00007.fio", "--spec"]),
    (P10, lambda w, r: truncated(w.path / "sample_00007.fio"), {}, ["no FIO file of a scan"]),
    (
        P10,
        lambda w, r: rewritten(w.path / "sample_00007.fio", r"100\.1\n$", "\n"),
        {},
        ["1 numbers and the file 2 columns", "truncated"],
    ),
    (P10, lambda w, r: (w.path / "e2500" / "sample_00007_data_000002.h5").unlink(), {}, ["data_000002.h5", "missing"]),
    (P10, lambda w, r: truncated(w.path / "e2500" / "sample_00007_master.h5"), {}, ["master.h5", "no HDF5"]),
    (P10, lambda w, r: shutil.copytree(w.path / "e2500", w.path / "e4m"), {}, ["e2500, e4m", "--detector"]),
    (P10, lambda w, r: None, {"detector": "lambda"}, ["no master file of the detector lambda"]),
    (P10, lambda w, r: rewritten(w.path / "sample_00007.fio", "fmbenergy", "other"), {}, ["photon energy", "--energy"]),
    (P10, lambda w, r: rewritten(w.path / "sample_00007.fio", "_distance", "other"), {}, ["distance", "--distance"]),
    (P10, lambda w, r: rewritten(w.path / "sample_00007.fio", "del = ", "dex = "), {}, ["no motor 'del'"]),
    (
        P10,
        lambda w, r: rewritten(w.path / "sample_00007.fio", "Col 1 om", "Col 1 samx"),
        {},
        ["samx", "not a rocking scan"],
    ),
    # NanoMAX
    (Nanomax, lambda w, r: edit(w.path, without("entry/measurement/merlin")), {}, ["no frames"]),
    (
        Nanomax,
        lambda w, r: edit(w.path, having("entry/measurement/eiger500k/frames", np.zeros((5, 6, 8), "u2"))),
        {},
        ["eiger500k, merlin", "--detector"],
    ),
    (Nanomax, lambda w, r: None, {"detector": "pilatus"}, ["no frames of 'pilatus'", "merlin"]),
    (Nanomax, lambda w, r: edit(w.path, without("entry/snapshots/post_scan/delta")), {}, ["no motor 'delta'"]),
    (Nanomax, lambda w, r: edit(w.path, having("entry/snapshots/post_scan/energy", [9.0])), {}, ["energy is 9 eV"]),
    (
        Nanomax,
        lambda w, r: edit(w.path, having("entry/snapshots/post_scan/radius", [0.8])),
        {},
        ["distance is 0.0008 m"],
    ),
    (Nanomax, lambda w, r: edit(w.path, without("entry")), {}, ["no scan of NanoMAX"]),
    # SIXS, CRISTAL
    (Sixs2019, lambda w, r: edit(w.path, without("com/scan_data/data_02")), {}, ["no images"]),
    (Sixs2019, lambda w, r: edit(w.path, without("com/scan_data")), {}, ["scan_data"]),
    (Sixs2019, lambda w, r: edit(w.path, without("com/scan_data/data_07")), {}, ["scanned motor", "data_07"]),
    (Sixs2019, lambda w, r: edit(w.path, without(Sixs2019.places.format("beta"))), {}, ["no motor 'beta'"]),
    (Sixs2022, lambda w, r: None, {"setup": {"distance_m": None}}, ["distance", "--distance"]),
    (Sixs2022, lambda w, r: edit(w.path, having(Sixs2022.places.format("mu"), [21.0])), {}, ["which of mu, omega"]),
    (Cristal, lambda w, r: edit(w.path, without("exp_0042/CRISTAL/Monochromator")), {}, ["photon energy"]),
    (Cristal, lambda w, r: edit(w.path, without("exp_0042/scan_data/actuator_1_1")), {}, ["actuator_1_1"]),
    (
        Cristal,
        lambda w, r: edit(w.path, lambda f: f.copy("exp_0042", "exp_0043")),
        {},
        ["exp_0042, exp_0043", "--scan"],
    ),
    # APS
    (Aps28idb, lambda w, r: None, {"spec": None}, ["--spec"]),
    (Aps28idb, lambda w, r: edit(w.path, without("entry/data/data")), {}, ["entry/data/data"]),
    (Aps28idb, lambda w, r: rewritten(r / "made.spec", "camdist", "other"), {}, ["distance", "--distance"]),
    (Aps7idd, lambda w, r: rewritten(r / "made.spec", "  Pitch", "  other"), {}, ["no motor 'Pitch'"]),
    (Aps7idd, lambda w, r: (w.path / "Made_S0021_00002.tif").unlink(), {}, ["4 frames", "number 2", "5 points"]),
    (Aps1ide, lambda w, r: None, {"setup": {"energy_ev": None}}, ["photon energy", "--energy"]),
    (Aps20ide, lambda w, r: edit(w.path, without("exchange/data")), {}, ["exchange/data"]),
    (Aps20ide, lambda w, r: edit(w.path, without("SMS")), {}, ["SMS/E/HR/samRy"]),
    (Aps34idc, lambda w, r: None, {"spec": None}, ["--spec"]),
    # NeXus
    (I16, lambda w, r: shutil.rmtree(r / "42-pil-files"), {}, ["42-pil-files/42.hdf", "missing"]),
    (
        I16,
        lambda w, r: edit(w.path, without(f"{SAMPLE}/mu")),
        {},
        ["transformations/mu", "not there"],
    ),
    (I16, lambda w, r: edit(w.path, without("entry1/sample/depends_on")), {}, ["sample/depends_on", "--geometry"]),
    (I16, lambda w, r: edit(w.path, without("entry1/sample/beam")), {}, ["photon energy", "--energy"]),
    (I16, lambda w, r: edit(w.path, without(f"{MASTER}/pil3/module")), {}, ["slow_pixel_direction"]),
    (I16, lambda w, r: edit(w.path, without(f"{MASTER}/pil3/depends_on")), {}, ["no detector with data and a chain"]),
    (
        I16,
        lambda w, r: edit(w.path, lambda f: f.copy(f"{MASTER}/pil3", f"{MASTER}/merlin")),
        {},
        ["merlin, pil3", "--detector"],
    ),
    (
        I16,
        lambda w, r: edit(
            w.path,
            lambda f: f[f"{SAMPLE}/mu"].attrs.update(depends_on=f"{SAMPLE}/phi"),
        ),
        {},
        ["carries itself"],
    ),
    (
        I16,
        lambda w, r: edit(w.path, lambda f: f[f"{SAMPLE}/mu"].attrs.update(units="mm")),
        {},
        ["the unit 'mm'", "an angle"],
    ),
    (
        I16,
        lambda w, r: edit(w.path, lambda f: f[f"{SAMPLE}/mu"].attrs.update(transformation_type="none")),
        {},
        ["is 'none'"],
    ),
]


@pytest.mark.parametrize(
    ("layout", "spoil", "change", "words"), CASES, ids=[f"{c[0].__name__}-{c[3][0][:30]}" for c in CASES]
)
def test_what_a_reader_lacks_is_one_sentence_that_says_what_gives_it(layout, spoil, change, words, tmp_path):
    experiment = small(layout)
    frames = np.random.default_rng(0).poisson(3, (5, *experiment.shape)).astype(np.uint32)
    written = layout.write(tmp_path, frames, experiment)
    read_scan(layout.name, written.path, **written.arguments())  # it is right before it is spoilt
    spoil(written, tmp_path)
    arguments = {**written.arguments(**change.get("setup", {})), **{k: v for k, v in change.items() if k != "setup"}}
    with pytest.raises(AutoPhaseNNError) as caught:
        read_scan(layout.name, written.path, **arguments)
    message = str(caught.value)
    for word in words:
        assert word in message
    assert "\n" not in message
    assert message.endswith(".")
    assert len(message) < 600
