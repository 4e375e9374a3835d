"""Where files are read, what belongs to the whole process is left as it was."""

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest

from autophasenn.errors import InputError
from autophasenn.files.readers import read_pattern_file


def test_threads_that_read_files_leave_standard_error_and_the_warning_filters_as_they_were(tmp_path: Path) -> None:
    """The bitshuffle chunk is damaged, so that the library prints; each thread reads it and a good file in turn."""
    import hdf5plugin

    good, bad = tmp_path / "good.h5", tmp_path / "bad.h5"
    for path in (good, bad):
        with h5py.File(path, "w") as file:
            file.create_dataset(
                "counts", data=np.arange(4096).reshape(16, 16, 16), chunks=(16, 16, 16), **hdf5plugin.LZ4()
            )
            if path is bad:
                file["counts"].id.write_direct_chunk((0, 0, 0), b"\0" * 40)
    before, filters = os.fstat(2), list(warnings.filters)

    def read(number: int) -> None:
        for _ in range(20):
            if number % 2:
                assert read_pattern_file(f"{good}:/counts").frames.shape == (16, 16, 16)
            else:
                with pytest.raises(InputError):
                    read_pattern_file(f"{bad}:/counts")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read, range(8)))
    after = os.fstat(2)
    assert (after.st_dev, after.st_ino) == (before.st_dev, before.st_ino)
    assert warnings.filters == filters
