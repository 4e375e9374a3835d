"""Each beamline's own file layout, written from an independent forward model and read back: counts, mask, Q and steps."""

import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
from layouts import LAYOUTS, P10, Aps20ide, Aps34idc, Cristal, Id01Bliss, Sixs2019

from autophasenn.beamlines import BEAMLINES, expected_frames, read_scan
from autophasenn.errors import GeometryError, InputError
from autophasenn.physics.axes import rotation
from autophasenn.physics.bragg import HC_EV_M


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_a_simulated_crystal_comes_back_as_it_was_measured(layout, tmp_path):
    experiment = layout.experiment
    frames = experiment.counts()
    written = layout.write(tmp_path, frames, experiment)
    scan = read_scan(layout.name, written.path, **written.arguments())
    np.testing.assert_array_equal(scan.frames, frames)
    middle, (row, column) = experiment.frames // 2, experiment.peak
    brightest = np.unravel_index(scan.frames.argmax(), scan.frames.shape)
    assert np.abs(np.subtract(brightest, (middle, row, column))).max() <= 1  # a neighbour may count more photons
    check_geometry(scan.geometry, experiment)
    check_mask(scan.mask, layout)


def check_geometry(geometry, experiment):
    """Q of voxels all over the scan, in the crystal's own frame, and the steps at the peak."""
    middle, (row, column) = experiment.frames // 2, experiment.peak
    corners = [(0, 0), (row, column), (experiment.shape[0] - 1, experiment.shape[1] - 1), (0, experiment.shape[1] - 1)]
    for frame in (0, middle, experiment.frames - 1):
        for r, c in corners:
            expected = experiment.q(frame, r, c)
            found = geometry.q(float(frame), float(r), float(c), float(middle))
            np.testing.assert_allclose(found, expected, rtol=0, atol=2e-7 * np.linalg.norm(expected))
    at = (float(row), float(column))
    q = geometry.scattering_vector(at, float(middle)).numpy()
    np.testing.assert_allclose(q, experiment.q_lab(middle, row, column), rtol=0, atol=2e-7 * np.linalg.norm(q))
    steps, expected = geometry.reciprocal_steps(at, float(middle)).numpy(), experiment.steps()
    assert np.linalg.norm(steps - expected, axis=1).max() < 1e-5 * np.linalg.norm(expected, axis=1).max()


def check_mask(mask, layout):
    """Where the detector has gaps, they are unmeasured; elsewhere all is measured."""
    if not hasattr(layout, "masked"):
        assert mask is None or mask.all()
        return
    first, last = layout.masked
    expected = np.ones(layout.experiment.shape, bool)
    expected[first : last + 1] = expected[:, first : last + 1] = False
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    ("layout", "scanned", "step"),
    [
        (Aps34idc, "Phi", -0.01),
        (Aps34idc, "Chi", 0.01),
        (Aps34idc, "energy", 5.0),
        (Id01Bliss, "phi", 0.01),
        (Id01Bliss, "energy", -4.0),
        (Cristal, "phi", 0.01),
        (Cristal, "energy", 3.0),
    ],
)
def test_scans_of_other_circles_and_of_the_energy_come_back_too(layout, scanned, step, tmp_path):
    experiment = replace(layout.experiment, scanned=scanned, step=step)
    frames = np.random.default_rng(0).poisson(3, (experiment.frames, *experiment.shape)).astype(np.uint32)
    written = layout.write(tmp_path, frames, experiment)
    scan = read_scan(layout.name, written.path, **written.arguments(direct_beam=experiment.beam))
    np.testing.assert_array_equal(scan.frames, frames)
    check_geometry(scan.geometry, experiment)


def test_every_beamline_says_what_it_needs_and_is_read_by_a_test_here():
    assert {layout.name for layout in LAYOUTS} | {"nexus"} == set(BEAMLINES)
    for beamline in BEAMLINES.values():
        assert beamline.title
        assert len(beamline.needs) > 10


def end_is_missing(root, frames):
    """The scan runs: no end_time, fewer positions than the detector has written frames."""
    with h5py.File(root / "raw" / "sample.h5", "r+") as file:
        scan = file["12.1"]
        del scan["end_time"], scan["measurement/eta"]
        scan["measurement/eta"] = Id01Bliss.experiment.positions[:frames]


def test_a_bliss_scan_that_is_still_measured_is_read_as_far_as_it_is(tmp_path):
    experiment = replace(Id01Bliss.experiment, shape=(6, 8), peak=(3, 4))
    frames = np.random.default_rng(0).poisson(3, (experiment.frames, 6, 8)).astype(np.uint32)
    written = Id01Bliss.write(tmp_path, frames, experiment)
    assert expected_frames("id01", written.path, scan=12) == 13
    end_is_missing(tmp_path, 7)
    assert expected_frames("id01", written.path, scan=12) == 13  # as the command says
    scan = read_scan("id01", written.path, scan=12)
    np.testing.assert_array_equal(scan.frames, frames[:7])
    assert any("no end_time" in sentence for sentence in scan.warnings)
    assert scan.geometry.step["eta"] == pytest.approx(0.01)


def test_an_energy_scan_that_is_still_measured_is_read_as_far_as_it_is(tmp_path):
    experiment = replace(Id01Bliss.experiment, shape=(6, 8), peak=(3, 4), scanned="energy", step=4.0)
    frames = np.random.default_rng(0).poisson(3, (experiment.frames, 6, 8)).astype(np.uint32)
    written = Id01Bliss.write(tmp_path, frames, experiment)
    with h5py.File(tmp_path / "raw" / "sample.h5", "r+") as file:
        scan = file["12.1"]
        del scan["end_time"], scan["instrument/positioners/mononrj"]
        scan["instrument/positioners/mononrj"] = 1e-3 * experiment.positions[:7]
    scan = read_scan("id01", written.path, scan=12)
    np.testing.assert_array_equal(scan.frames, frames[:7])
    assert any("its first 7 points are used" in sentence for sentence in scan.warnings)
    assert scan.geometry.step["energy"] == pytest.approx(4.0)


def test_a_motor_of_sixs_is_known_by_its_whole_name(tmp_path):
    """`mu` is no part of `simulator`; two motors of one name are asked for."""
    experiment = replace(Sixs2019.experiment, shape=(6, 8), peak=(3, 4))
    frames = np.random.default_rng(0).poisson(3, (experiment.frames, 6, 8)).astype(np.uint32)
    written = Sixs2019.write(tmp_path, frames, experiment)
    with h5py.File(written.path, "r+") as file:
        file["com/SIXS/a-delta-simulator/position_pre"] = [77.0]
        del file[experiment_place("delta")]
    with pytest.raises(GeometryError, match="records no motor 'delta'"):
        read_scan("sixs", written.path, **written.arguments())
    with h5py.File(written.path, "r+") as file:
        for place in ("one-delta", "other-delta.1"):
            file[f"com/SIXS/{place}/position_pre"] = [18.0]
    with pytest.raises(InputError, match=r"several motors named delta .*one-delta, other-delta\.1.*--motor delta"):
        read_scan("sixs", written.path, **written.arguments())
    scan = read_scan("sixs", written.path, **written.arguments(motors={"delta": 18.0}))
    check_geometry(scan.geometry, experiment)


def experiment_place(motor):
    return Sixs2019.places.format(motor).rpartition("/")[0]


def test_a_fault_of_a_geometry_is_no_damaged_file(tmp_path, monkeypatch):
    from autophasenn import beamlines

    experiment = replace(Id01Bliss.experiment, shape=(6, 8), peak=(3, 4))
    frames = np.zeros((experiment.frames, 6, 8), np.uint32)
    written = Id01Bliss.write(tmp_path, frames, experiment)

    def faulty(*_):
        raise KeyError("a fault of the program")

    monkeypatch.setattr(beamlines, "as_scan", faulty)
    with pytest.raises(KeyError, match="a fault of the program"):
        read_scan("id01", written.path, scan=12)


def test_a_recorded_direct_beam_is_used_and_a_given_one_takes_its_place(tmp_path):
    experiment = replace(Id01Bliss.experiment, shape=(6, 8), peak=(3, 4))
    frames = np.random.default_rng(0).poisson(3, (experiment.frames, 6, 8)).astype(np.uint32)
    written = Id01Bliss.write(tmp_path, frames, experiment)
    recorded = read_scan("id01", written.path, scan=12).geometry
    assert (recorded.direct_beam, recorded.is_assumed) == (experiment.beam, False)
    given = read_scan("id01", written.path, **written.arguments(direct_beam=(12.0, 34.0))).geometry
    assert given.direct_beam == (12.0, 34.0)
    check_geometry(given, replace(experiment, beam=(12.0, 34.0)))


def test_a_series_of_p10_is_summed_at_each_point(tmp_path):
    experiment = replace(P10.experiment, shape=(6, 8), peak=(3, 4))
    frames = np.random.default_rng(0).poisson(3, (3 * experiment.frames, 6, 8)).astype(np.uint32)
    frames[5, 2, 2] = np.iinfo(np.uint32).max  # an Eiger's word for: not measured
    written = P10.write(tmp_path, frames, experiment)
    scan = read_scan("p10", written.path, **written.arguments())
    expected = frames.astype(np.int64).reshape(-1, 3, 6, 8).sum(1)
    expected[1, 2, 2] = np.iinfo(np.uint32).max
    np.testing.assert_array_equal(scan.frames, expected)
    assert any(
        "39 frames, a series of 3 at each point; the frames of each point are summed" in w for w in scan.warnings
    )


def test_a_scan_of_p10_is_found_in_the_folder_of_all_scans(tmp_path):
    experiment = replace(P10.experiment, shape=(6, 8), peak=(3, 4))
    frames = np.random.default_rng(0).poisson(3, (experiment.frames, 6, 8)).astype(np.uint32)
    written = P10.write(tmp_path, frames, experiment)
    scan = read_scan("p10", tmp_path, **written.arguments(), scan=7)
    np.testing.assert_array_equal(scan.frames, frames)
    assert scan.source["scan"] == 7


def test_pixels_that_the_eiger_calls_unmeasured_are_masked(tmp_path):
    experiment = replace(P10.experiment, shape=(6, 8), peak=(3, 4))
    frames = np.random.default_rng(0).poisson(3, (experiment.frames, 6, 8)).astype(np.uint32)
    frames[:, 2, 3] = np.iinfo(np.uint32).max
    written = P10.write(tmp_path, frames, experiment)
    mask = read_scan("p10", written.path, **written.arguments()).mask
    assert not mask[2, 3]
    assert mask.sum() == mask.size - 1


def test_a_white_field_in_the_file_comes_with_the_scan_and_an_empty_dark_does_not(tmp_path):
    experiment = replace(Aps20ide.experiment, shape=(6, 8), peak=(3, 4))
    frames = np.random.default_rng(0).poisson(3, (experiment.frames, 6, 8)).astype(np.uint32)
    written = Aps20ide.write(tmp_path, frames, experiment)
    scan = read_scan("20ide", written.path, **written.arguments())
    np.testing.assert_array_equal(scan.white, np.full((6, 8), 7.0))
    assert scan.dark is None


def real_i16(shared_data, root, number, frames):
    """A real file of I16, with made frames where its own were: they are not stored."""
    shutil.copy(shared_data / "i16" / f"{number}.nxs", root)
    (root / f"{number}.nxs").chmod(0o644)
    with h5py.File(root / f"{number}.nxs") as file:
        link = next(
            link
            for entry in file.values()
            if "instrument/pil3_100k" in entry
            and isinstance(link := entry["instrument/pil3_100k"].get("data", getlink=True), h5py.ExternalLink)
        )
    (root / link.filename).parent.mkdir()
    with h5py.File(root / link.filename, "w") as file:
        file.create_dataset(link.path, data=np.zeros((frames, 195, 487), "i4"), compression=1)
    return root / f"{number}.nxs"


def test_hkl_through_the_chain_of_a_real_i16_file_is_that_of_its_own_log(shared_data, tmp_path):
    """1041304: eta scanned by the kappa circles' theta; U B and h, k, l before the scan stand in the file."""
    path = real_i16(shared_data, tmp_path, "1041304", 121)
    geometry = read_scan("i16", path).geometry
    assert geometry.scanned == ("theta",)
    assert geometry.step["theta"] == pytest.approx(0.01, rel=1e-6)
    with h5py.File(path) as file:
        ub = file["entry1/sample/ub_matrix"][0]
        beam = [float(file[f"entry1/before_scan/pil3_centre_{axis}/pil3_centre_{axis}"][()]) for axis in "ji"]
        logged = [float(file[f"entry1/before_scan/diffractometer_sample/{axis}"][()]) for axis in "hkl"]
        energy = float(file["entry1/sample/beam/incident_energy"][0])
        wavelength = 1e-9 * float(file["entry1/sample/beam/incident_wavelength"][()])
    assert geometry.energy_ev == pytest.approx(1e3 * energy)
    assert HC_EV_M / geometry.energy_ev == pytest.approx(wavelength, rel=1e-5)
    motors = {name: np.atleast_1d(values)[0] for name, values in geometry.motors.items()}
    q = 1e-10 * geometry.scattering_vector((beam[0], beam[1]), 0.0).numpy()
    crystal = rotation(geometry.diffractometer.sample, motors).T @ q
    np.testing.assert_allclose(np.linalg.solve(2 * np.pi * ub, crystal), logged, atol=2e-4)


def test_q_of_a_real_i16_scan_of_three_circles_and_the_arm_is_that_of_its_hkl(shared_data, tmp_path):
    """1040323: l scanned, four motors at once; |Q| of each frame from h, k, l and the unit cell of the file."""
    path = real_i16(shared_data, tmp_path, "1040323", 21)
    geometry = read_scan("nexus", path).geometry
    assert set(geometry.scanned) == {"theta", "kappa", "phi", "delta"}
    with h5py.File(path) as file:
        cell = 1e-10 * file["entry/instrument/ubMeta/unit_cell"][0, 0]
        hkl = np.stack([file[f"entry/instrument/hkl/{axis}"][()] for axis in "hkl"], axis=1)
    expected = 2 * np.pi / cell * np.linalg.norm(hkl, axis=1)
    found = [float(geometry.scattering_vector((106.0, 239.0), float(frame)).norm()) for frame in range(21)]
    np.testing.assert_allclose(found, expected, rtol=3e-4)
    # In the crystal the scan goes along one line: from frame to frame it moves by the same step, that of l.
    q = geometry.q(np.arange(21.0), 106.0, 239.0, 10.0)
    steps = np.linalg.norm(np.diff(q, axis=0), axis=1)
    np.testing.assert_allclose(steps, 2 * np.pi / cell * 0.001, rtol=2e-2)


def test_a_real_file_whose_frames_are_not_there_names_the_file_that_is_missing(shared_data):
    with pytest.raises(InputError, match=r"1041304-pilatus3_100k-files/1041304\.hdf, which is missing"):
        read_scan("i16", shared_data / "i16" / "1041304.nxs")
