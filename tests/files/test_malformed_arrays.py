"""Array files, masks and TIFF of every odd kind are refused in one sentence that names file and cause; nothing is left."""

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from mutations import SHAPE, STEPS, Q, counts, dry_run
from refusing import refusal

HUGE = (10**6,) * 3


def header(shape: object, descr: object = "<i4", version: int = 1) -> bytes:
    """Of an .npy file, with whatever is given."""
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}\n".encode()
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(2 if version == 1 else 4, "little") + text


def npy(content: bytes) -> Callable[[Path], list[str]]:
    def write(folder: Path) -> list[str]:
        (folder / "p.npy").write_bytes(content)
        return dry_run(folder / "p.npy")

    return write


def npz(**arrays: object) -> Callable[[Path], list[str]]:
    def write(folder: Path) -> list[str]:
        with zipfile.ZipFile(folder / "p.npz", "w") as archive:
            for name, value in arrays.items():
                buffer = io.BytesIO()
                if not isinstance(value, bytes):
                    np.save(buffer, value)
                archive.writestr(f"{name}.npy", value if isinstance(value, bytes) else buffer.getvalue())
        return dry_run(folder / "p.npz")

    return write


def zip_flags(flags: int, method: int) -> Callable[[Path], list[str]]:
    """The headers of an archive say that its members are encrypted, or compressed by another method."""

    def write(folder: Path) -> list[str]:
        words = npz(counts=counts())(folder)
        data = bytearray((folder / "p.npz").read_bytes())
        for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            place = data.index(signature) + at
            data[place : place + 4] = flags.to_bytes(2, "little") + method.to_bytes(2, "little")
        (folder / "p.npz").write_bytes(data)
        return words

    return write


def mask(values: np.ndarray) -> Callable[[Path], list[str]]:
    def write(folder: Path) -> list[str]:
        np.save(folder / "p.npy", counts())
        np.save(folder / "mask.npy", values)
        return dry_run(folder / "p.npy", "--mask", folder / "mask.npy")

    return write


def tag(name: str, value: int, pages: int = 8) -> Callable[[Path], list[str]]:
    def write(folder: Path) -> list[str]:
        tifffile.imwrite(folder / "p.tif", counts()[:pages].astype(np.uint16))
        with tifffile.TiffFile(folder / "p.tif", mode="r+b") as file:
            file.pages.first.tags[name].overwrite(value)
        return dry_run(folder / "p.tif")

    return write


def pages_that_differ(folder: Path) -> list[str]:
    with tifffile.TiffWriter(folder / "p.tif") as file:
        for size in (5, 6):
            file.write(np.ones((size, size), np.uint16), contiguous=False)
    return dry_run(folder / "p.tif")


def pipe(folder: Path) -> list[str]:
    os.mkfifo(folder / "p.npy")
    return dry_run(folder / "p.npy")


def named(name: str) -> Callable[[Path], list[str]]:
    return lambda folder: dry_run(folder / name)


def archive_named_npy(folder: Path) -> list[str]:
    npz(counts=counts())(folder)
    (folder / "p.npz").rename(folder / "p.npy")
    return dry_run(folder / "p.npy")


CASES: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "npy: a size beyond any memory": (npy(header(HUGE)), "GiB of memory"),
    "npy: a shape that overflows": (npy(header((2**63, 2**63, 4))), "GiB of memory"),
    "npy: a negative shape": (npy(header((-8, 16, 12))), "its shape is (-8, 16, 12)"),
    "npy: a bracket left open": (npy(header((8, 16, 12)).replace(b"), }", b", ")), "cannot be read as a NumPy array"),
    "npy: a string left open": (npy(header((8, 16, 12)).replace(b"'shape'", b"'shape")), "as a NumPy array"),
    "npy: no Python": (npy(header((8, 16, 12)).replace(b"False", b"import")), "as a NumPy array"),
    "npy: void of 2 GiB": (npy(header((4, 4, 4), "|V2147483647")), "GiB of memory"),
    "npy: of a version that is none": (npy(header((4, 4, 4), version=9)), "as a NumPy array"),
    "npy: Python objects": (npy(header((4, 4, 4), "|O")), "it holds Python objects"),
    "npy: cut": (npy(header(SHAPE) + b"12"), "it is truncated: 6144 bytes"),
    "npy: in fact an archive": (archive_named_npy, "as a NumPy array"),
    "npy: a pipe": (pipe, "it is a pipe or a device"),
    "npy: text": (npy(b"words, no numbers"), "as a NumPy array"),
    "npz: text for an array": (npz(counts=b"words"), "as a NumPy archive"),
    "npz: no array": (npz(), "holds no array"),
    "npz: a member beyond any memory": (npz(counts=header(HUGE)), "GiB of memory"),
    "npz: steps beyond any memory": (
        npz(counts=counts(), reciprocal_steps=header((10**12,)), scattering_vector=Q),
        "GiB of memory",
    ),
    "npz: a thousand arrays": (npz(**{f"array{i}": np.ones(1) for i in range(1000)}), ", ...; name the array"),
    "npz: names of 10,000 letters": (npz(**{"a" * 10_000: np.ones(1), "b": np.ones(1)}), "aaa..."),
    "npz: encrypted": (zip_flags(1, 0), "encrypted"),
    "npz: patched": (zip_flags(0x20, 0), "patched"),
    **{f"npz: compressed by method {n}": (zip_flags(0, n), "as a NumPy archive") for n in (8, 9, 12, 14, 93, 99)},
    "npz: steps of text": (
        npz(counts=counts(), reciprocal_steps=np.full((3, 3), "a"), scattering_vector=Q),
        "no finite",
    ),
    "npz: steps of NaN": (npz(counts=counts(), reciprocal_steps=STEPS * np.nan, scattering_vector=Q), "no finite"),
    "npz: a vector of dates": (
        npz(counts=counts(), reciprocal_steps=STEPS, scattering_vector=np.zeros(3, "M8[s]")),
        "no finite",
    ),
    "mask: compound": (mask(np.zeros(SHAPE, [("a", "i4")])), "mask.npy, of type [('a', '<i4')]"),
    "mask: void": (mask(np.zeros(SHAPE, "V4")), "of type |V4"),
    "mask: text": (mask(np.full(SHAPE, "on")), "of type <U2"),
    "mask: dates": (mask(np.zeros(SHAPE, "M8[s]")), "of type datetime64[s]"),
    "mask: a list of hot pixels": (mask(np.arange(10) == 3), "has shape (10,)"),
    "tif: wider than any memory": (tag("ImageWidth", 4_000_000_000, 1), "GiB of memory"),
    "tif: 12 bits": (tag("BitsPerSample", 12), "p.tif"),
    "tif: 3 bits": (tag("BitsPerSample", 3), "p.tif"),
    "tif: compressed data damaged": (tag("Compression", 8), "p.tif"),
    "tif: colours": (lambda folder: colours(folder), "colour"),
    "tif: pages that differ": (pages_that_differ, "pages of different sizes"),
    "name: 300 letters": (named("a" * 300 + ".npy"), "File name too long"),
    "name: 5,000 letters": (named("a" * 5000 + ".npy"), "File name too long"),
    "name: without a file": (named("absent.npy"), "There is no file"),
    "name: a newline": (named("a\nb.npy"), "There is no file"),
    "name: no UTF-8": (named("a\udcff.npy"), "There is no file"),
    "name: markup": (named("[bold]$x$.npy"), "[bold]$x$.npy"),
    "name: a null character": (named("a\0b.npy"), "There is no file"),
}


def colours(folder: Path) -> list[str]:
    tifffile.imwrite(folder / "p.tif", np.ones((8, 9, 3), np.uint8), photometric="rgb")
    return dry_run(folder / "p.tif")


@pytest.mark.parametrize(("write", "words"), CASES.values(), ids=CASES)
def test_an_odd_array_file_is_refused_in_one_sentence(
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


@pytest.mark.parametrize("kind", [">i2", ">f8", np.longdouble])
def test_counts_and_masks_of_any_byte_order_and_width_are_read(
    tmp_path: Path, kind: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from autophasenn.files.readers import read_pattern_file

    np.save(tmp_path / "p.npy", counts().astype(kind))
    np.save(tmp_path / "mask.npy", np.ones(SHAPE, kind))
    scan = read_pattern_file(tmp_path / "p.npy", tmp_path / "mask.npy")
    np.testing.assert_array_equal(scan.frames, counts())
    assert scan.mask is not None
    assert scan.mask.all()


@pytest.mark.parametrize("name", ["a:b.npy", "scan.h5:1.npy", "[bold]x[bold].npy", "$a$b$.npy", "a\nb.npy"])
def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    from autophasenn.files.readers import read_pattern_file

    np.save(tmp_path / name, counts())
    np.testing.assert_array_equal(read_pattern_file(tmp_path / name).frames, counts())
