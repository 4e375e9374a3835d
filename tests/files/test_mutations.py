"""Files damaged at random are read right or refused in one sentence; `make fuzz` tries twenty times as many."""

from pathlib import Path

import pytest
from mutations import FORMATS, mutated, verdict

EACH = 1000 // len(FORMATS) + 1
"""Mutations of each format: one thousand in all."""


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_is_whole_is_read(tmp_path: Path, name: str) -> None:
    expected = "refused" if name == "h5, listed" else "right"  # which dataset is not said
    assert verdict(FORMATS[name].read, FORMATS[name].write(tmp_path)) == expected


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_is_read_right_or_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    path = FORMATS[name].write(tmp_path)
    content = path.read_bytes()
    wrong = {}
    for seed in range(EACH):
        path.write_bytes(mutated(content, seed))
        found = verdict(FORMATS[name].read, path)
        if found not in ("right", "refused"):
            wrong[seed] = found
    assert not wrong


@pytest.mark.parametrize("seed", [2492, 5018, 6922, 8444, 11468, 17509, 17557])
def test_damage_that_once_ended_the_process_is_refused(tmp_path: Path, seed: int) -> None:
    """Found by `make fuzz`: endless loops and crashes inside of HDF5, bitshuffle and silx."""
    kind = FORMATS[list(FORMATS)[seed % len(FORMATS)]]
    path = kind.write(tmp_path)
    path.write_bytes(mutated(path.read_bytes(), seed))
    assert verdict(kind.read, path) == "refused"
