"""HDF5 files with odd content, links that lead nowhere and sizes that nobody can hold are refused in one sentence."""

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from mutations import SHAPE, STEPS, Q, counts, dry_run
from refusing import refusal

CXI = "entry_1/instrument_1/detector_1"


def h5(fill: Callable[[h5py.File, Path], object], name: str = ":/entry/data") -> Callable[[Path], list[str]]:
    """A file that `fill` writes, of which `name` is asked."""

    def write(folder: Path) -> list[str]:
        with h5py.File(folder / "p.h5", "w") as file:
            fill(file, folder)
        return dry_run(Path(f"{folder / 'p.h5'}{name}"))

    return write


def holding(value: object, dtype: object = None) -> Callable[[Path], list[str]]:
    return h5(lambda file, _: file.create_dataset("entry/data", data=value, dtype=dtype))


def huge(file: h5py.File, folder: Path) -> None:
    file.create_dataset("entry/data", (10**6, 10**6, 10**6), np.int32, chunks=(1, 64, 64))


def time_type(file: h5py.File, folder: Path) -> None:
    kind = h5py.h5t.UNIX_D32LE
    space = h5py.h5s.create_simple(SHAPE)
    h5py.h5d.create(file.create_group("entry").id, b"data", kind, space)


def ring_of_soft_links(file: h5py.File, folder: Path) -> None:
    file["entry/data"], file["other"] = h5py.SoftLink("/other"), h5py.SoftLink("/entry/data")


def own_source(file: h5py.File, folder: Path) -> None:
    layout = h5py.VirtualLayout(SHAPE, np.int32)
    layout[:] = h5py.VirtualSource(".", "entry/data", SHAPE)
    file.create_virtual_dataset("entry/data", layout)


def ring_of_sources(file: h5py.File, folder: Path) -> None:
    for name, source in (("entry/data", "other"), ("other", "entry/data")):
        layout = h5py.VirtualLayout(SHAPE, np.int32)
        layout[:] = h5py.VirtualSource(".", source, SHAPE)
        file.create_virtual_dataset(name, layout)


def lost_source(file: h5py.File, folder: Path) -> None:
    layout = h5py.VirtualLayout(SHAPE, np.int32)
    layout[:4] = h5py.VirtualSource("data_000001.h5", "data", (4, *SHAPE[1:]))
    layout[4:] = h5py.VirtualSource("data_000002.h5", "data", (4, *SHAPE[1:]))
    file.create_virtual_dataset("entry/data", layout)
    with h5py.File(folder / "data_000001.h5", "w") as other:
        other["data"] = counts()[:4]


def linked_pipe(file: h5py.File, folder: Path) -> None:
    os.mkfifo(folder / "other.h5")
    file["entry/data"] = h5py.ExternalLink("other.h5", "data")


def ring_of_external_links(file: h5py.File, folder: Path) -> None:
    file["entry/data"] = h5py.ExternalLink("other.h5", "data")
    with h5py.File(folder / "other.h5", "w") as other:
        other["data"] = h5py.ExternalLink("p.h5", "entry/data")


def lost_raw_file(file: h5py.File, folder: Path) -> None:
    file.create_dataset("entry/data", SHAPE, np.int32, external=[(str(folder / "p.raw"), 0, h5py.h5f.UNLIMITED)])


def deep(file: h5py.File, folder: Path) -> None:
    group: h5py.Group = file
    for _ in range(2000):
        group = group.create_group("a")
    group["data"] = counts()


def many(file: h5py.File, folder: Path) -> None:
    for number in range(1000):
        file[f"data{number}"] = np.ones((2, 2, 2))


def long_key(file: h5py.File, folder: Path) -> None:
    file["a" * 50_000] = np.ones((2, 2, 2))


def cxi(**extra: object) -> Callable[[Path], list[str]]:
    def write(folder: Path) -> list[str]:
        with h5py.File(folder / "p.cxi", "w") as file:
            file["cxi_version"] = 150
            for name, value in ({"data": counts()} | extra).items():
                file[f"{CXI}/{name}"] = value
        return dry_run(folder / "p.cxi")

    return write


def damaged(place: str, length: int) -> Callable[[Path], list[str]]:
    """Zeros over the first structure of a kind."""

    def write(folder: Path) -> list[str]:
        words = h5(lambda file, _: file.create_dataset("entry/data", data=counts(), chunks=(1, 4, 4)))(folder)
        content = bytearray((folder / "p.h5").read_bytes())
        at = content.index(place.encode())
        content[at + 4 : at + 4 + length] = bytes(length)
        (folder / "p.h5").write_bytes(content)
        return words

    return write


COMPOUND = np.zeros(SHAPE, [("a", "i4")])
CASES: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "a group": (h5(lambda file, _: file.create_group("entry/data")), "has no dataset /entry/data"),
    "compound": (holding(COMPOUND), "p.h5"),
    "void": (holding(np.zeros(SHAPE, "V4")), "values of type |V4"),
    "text": (holding("words"), "not numbers"),
    "nothing": (holding(h5py.Empty("i4")), "holds nothing"),
    "no voxel": (holding(np.ones((0, 4, 4), np.int32)), "no voxel in it"),
    "a time": (h5(time_type), "p.h5"),
    "another rank": (holding(np.ones(4)), "1 dimensions"),
    "a size beyond any memory": (h5(huge), "GiB of memory"),
    "a chunk beyond any memory": (
        h5(lambda file, _: file.create_dataset("entry/data", (10, 10**5, 10**5), "u1", chunks=(1, 10**4, 10**5))),
        "GiB of memory",
    ),
    "soft links in a ring": (h5(ring_of_soft_links), "in a ring"),
    "a soft link to nothing": (
        h5(lambda file, _: file.__setitem__("entry/data", h5py.SoftLink("/absent"))),
        "where there is nothing",
    ),
    "an external link to a pipe": (h5(linked_pipe), "it is a pipe or a device"),
    "external links in a ring": (h5(ring_of_external_links), "in a ring"),
    "an external link to a file that is missing": (
        h5(lambda file, _: file.__setitem__("entry/data", h5py.ExternalLink("absent.h5", "data"))),
        "absent.h5, which is missing",
    ),
    "a virtual data set that is its own source": (h5(own_source), "is its own source"),
    "virtual data sets in a ring": (h5(ring_of_sources), "is its own source"),
    "a virtual data set without a source": (h5(lost_source), "files that are missing: data_000002.h5"),
    "raw data that are missing": (h5(lost_raw_file), "files that are missing"),
    "nested 2,000 deep": (h5(deep, ""), "holds no 3-D dataset"),
    "a thousand data sets": (h5(many, ""), ", ..."),
    "a key of 50,000 letters": (h5(long_key, ""), "aaa..."),
    "cxi: steps of text": (cxi(reciprocal_steps="words", scattering_vector=Q), "not numbers"),
    "cxi: steps of another shape": (cxi(reciprocal_steps=np.ones(4), scattering_vector=Q), "has shape (4,)"),
    "cxi: NaN for a vector": (cxi(reciprocal_steps=STEPS, scattering_vector=Q * np.nan), "no finite numbers"),
    "cxi: a mask of fractions": (cxi(mask=np.ones(SHAPE)), "of whole numbers"),
    "damaged symbol table": (damaged("SNOD", 40), "p.h5"),
    "damaged heap": (damaged("HEAP", 40), "p.h5"),
    "damaged tree": (damaged("TREE", 40), "p.h5"),
}


@pytest.mark.parametrize(("write", "words"), CASES.values(), ids=CASES)
def test_an_odd_hdf5_file_is_refused_in_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    write: Callable[[Path], list[str]],
    words: str,
) -> None:
    command = write(tmp_path)
    sentence = refusal(command, lambda: sorted(tmp_path.rglob("*")), monkeypatch, capsys)
    assert words in sentence
    assert len(sentence) <= 1000
