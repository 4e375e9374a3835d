"""Damage that the HDF5 library cannot bear is found before it is asked; what is whole is read, whatever its compression."""

from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

from autophasenn.errors import InputError
from autophasenn.files.damaged_hdf5 import check_heaps, memory_bounded, unbounded
from autophasenn.files.readers import read_pattern_file

SHAPES = [(8, 16, 12), (5, 7, 3), (3, 1, 5), (2, 300, 310)]
COMPRESSIONS = {
    "lz4": hdf5plugin.Bitshuffle(),
    "zstd": hdf5plugin.Bitshuffle(cname="zstd"),
    "small blocks": hdf5plugin.Bitshuffle(nelems=64),
    "none": hdf5plugin.Bitshuffle(cname="none"),
    "lz4 alone": hdf5plugin.LZ4(),
    "blosc": hdf5plugin.Blosc(),
    "gzip": {"compression": "gzip"},
}


def stored(folder: Path, shape: tuple[int, ...], kind: str, compression: object) -> tuple[Path, np.ndarray]:
    values = np.random.default_rng(1).poisson(3, shape).astype(kind)
    with h5py.File(folder / "p.h5", "w") as file:
        file.create_dataset("data", data=values, chunks=(1, *shape[1:]), **compression)
    return folder / "p.h5", values


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", ["u1", "i2", "u4", "f8"])
@pytest.mark.parametrize("compression", COMPRESSIONS.values(), ids=COMPRESSIONS)
def test_chunks_of_any_size_and_compression_are_read(
    tmp_path: Path, shape: tuple[int, ...], kind: str, compression: object
) -> None:
    path, values = stored(tmp_path, shape, kind, compression)
    np.testing.assert_array_equal(read_pattern_file(f"{path}:/data").frames, values)


@pytest.mark.parametrize(("at", "value"), [(0, 0xFF), (7, 1), (10, 0), (12, 0x7F)])
def test_a_chunk_whose_sizes_cannot_be_is_refused(tmp_path: Path, at: int, value: int) -> None:
    path, _ = stored(tmp_path, (8, 16, 12), "i4", COMPRESSIONS["lz4"])
    with h5py.File(path) as file:
        place = file["data"].id.get_chunk_info(3).byte_offset
    content = bytearray(path.read_bytes())
    content[place + at] = value
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"chunk at \(3, 0, 0\) is damaged"):
        read_pattern_file(f"{path}:/data")


def with_text(folder: Path) -> Path:
    with h5py.File(folder / "p.h5", "w") as file:
        for name in "abc":
            file.attrs[name] = name * 100
    check_heaps(folder / "p.h5")
    return folder / "p.h5"


@pytest.mark.parametrize("step", [0, 2**40, 2**63], ids=str)
def test_a_heap_of_text_that_leads_nowhere_is_refused(tmp_path: Path, step: int) -> None:
    path = with_text(tmp_path)
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    length = int.from_bytes(content[heap + 8 : heap + 16], "little")
    place = heap + 16
    while content[place : place + 2] != b"\0\0":  # the space that is left
        place += 16 + (int.from_bytes(content[place + 8 : place + 16], "little") + 7) // 8 * 8
    assert place < heap + length
    content[place + 8 : place + 16] = step.to_bytes(8, "little")
    path.write_bytes(content)
    with pytest.raises(InputError, match="its heap of text"):
        check_heaps(path)


def test_the_bound_of_the_memory_is_lifted_for_numbers_and_at_the_end() -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_AS)
    with memory_bounded():
        assert resource.getrlimit(resource.RLIMIT_AS) != before
        with unbounded():
            assert resource.getrlimit(resource.RLIMIT_AS) == before
        with memory_bounded():
            pass
        assert resource.getrlimit(resource.RLIMIT_AS) != before
        with pytest.raises(MemoryError):
            np.ones(2**40, np.uint8)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
