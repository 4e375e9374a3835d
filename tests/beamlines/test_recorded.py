"""What a series is plotted against comes with every scan: when it was taken, where motors stood, what counters gave."""

import json

import h5py
import pytest
from layouts import P10, Aps34idc, Id01Bliss, Nanomax, Written

from autophasenn.beamlines import read_scan
from autophasenn.beamlines.recorded import moment, of_hdf5, seconds_of


def metadata_of(layout, tmp_path, spoil=lambda written: None):
    written: Written = layout.write(tmp_path, layout.experiment.counts(), layout.experiment)
    spoil(written)
    return read_scan(layout.name, written.path, **written.arguments()).source["metadata"]


def test_motors_counters_and_the_time_of_a_spec_file_come_with_the_scan(tmp_path):
    found = metadata_of(Aps34idc, tmp_path)
    assert found["time"] == "2020-02-04T12:28:23"
    assert found["Chi"] == Aps34idc.experiment.motors["Chi"]
    assert found["Monitor"] == pytest.approx(1000)
    json.dumps(found, allow_nan=False)


def test_positioners_counters_and_the_time_of_a_bliss_file_come_with_the_scan(tmp_path):
    def heat(written):
        with h5py.File(written.path, "r+") as file:
            (scan,) = (file[name] for name in file if name.endswith(".1"))
            scan["measurement/sample_temperature"] = [451.0, 452.0, 453.0]
            scan["measurement/unreadable"] = h5py.SoftLink("/nowhere")

    found = metadata_of(Id01Bliss, tmp_path, heat)
    assert found["time"] == "2024-05-01T10:00:00"
    assert found["sample_temperature"] == pytest.approx(452)
    assert found["phi"] == 3.0


def test_the_time_of_a_scan_of_p10_stands_among_its_comments(tmp_path):
    def begin(written):
        (log,) = written.path.glob("*.fio")
        log.write_text(log.read_text().replace("started at ...", "started at Thu Oct 20 21:38:25 2022"))

    found = metadata_of(P10, tmp_path, begin)
    assert found["time"] == "2022-10-20T21:38:25"
    assert found["gam"] == 2.0


def test_a_snapshot_of_nanomax_comes_with_the_scan(tmp_path):
    assert metadata_of(Nanomax, tmp_path)["gonphi"] == 11.0


def test_volumes_texts_and_numbers_that_are_none_are_no_metadata(tmp_path):
    with h5py.File(tmp_path / "made.h5", "w") as file:
        entry = file.create_group("entry/sample")
        entry["frames"] = [[1.0, 2.0]]
        entry["name"] = "gold"
        entry["nan"] = float("nan")
        entry["temperature/value"] = 300.0
        assert of_hdf5(file["entry"], ("sample", "absent")) == {"temperature": 300.0}


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("Tue Feb 04 12:28:23 2020", "2020-02-04T12:28:23"),
        ("2021-06-10T11:22:33.123456+02:00", "2021-06-10T11:22:33+02:00"),
        ("20-Oct-2022 21:38:25", "2022-10-20T21:38:25"),
        ("yesterday", None),
    ],
)
def test_a_time_is_known_however_a_beamline_writes_it(words, found):
    assert moment(words) == found


def test_times_of_different_zones_are_on_one_axis():
    assert seconds_of("2021-06-10T11:00:00+02:00") == seconds_of("2021-06-10T09:00:00")
    assert seconds_of("no time") is None
