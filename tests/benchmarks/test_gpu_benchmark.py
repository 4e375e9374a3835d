"""The measurements of a GPU, made of a few voxels on a CPU: all are there, and a second run makes only what is missing."""

import json
from pathlib import Path

import gpu
import pytest
import torch

from autophasenn.errors import InputError, PlanError
from autophasenn.network.autophasenn import AutoPhaseNNDesign
from autophasenn.network.unrolled import UnrolledDesign

CPU = torch.device("cpu")
TINY = gpu.Sizes(
    network_batches=(1,),
    training_batches=(1,),
    generator_batches=(1,),
    starts=((16, (1, 2)),),
    iterations=10,
    copied=2**16,
    designs=(
        ("autophasenn", AutoPhaseNNDesign(width=2, gathered=4)),
        ("unrolled", UnrolledDesign(stages=1, width=4, memory=1)),
    ),
)


def test_every_part_is_measured_and_what_is_there_is_not_measured_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "gpu.json"
    first = gpu.measure(output, CPU, TINY, only=["memory"])
    assert first["memory"]["bytes_per_second"] > 0
    assert not first["complete"]
    found = gpu.measure(output, CPU, TINY)
    assert capsys.readouterr().err.count("memory: bytes_per_second") == 1
    assert found["complete"]
    assert json.loads(output.read_text()) == found
    assert set(gpu.parts_of(CPU, TINY)) <= set(found)
    assert set(found["retrieval"]) == {"16^3, 1 starts", "16^3, 2 starts"}
    assert all(value > 0 for case in found["retrieval"].values() for value in case.values())
    for part, number in (("network", 2), ("training", 2), ("generator", 2)):
        assert len(found[part]) == number
        assert all(value > 0 for value in found[part].values())


def test_no_measurement_begins_after_the_time(tmp_path: Path) -> None:
    found = gpu.measure(tmp_path / "gpu.json", CPU, TINY, minutes=-1.0)
    assert not found["complete"]
    assert not any(found[part] for part in gpu.parts_of(CPU, TINY))


def test_what_does_not_fit_into_the_memory_is_null_and_other_errors_are_not() -> None:
    def too_large() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    def wrong() -> None:
        raise RuntimeError("no kernel")

    assert gpu._fitting(too_large, CPU) is None
    with pytest.raises(RuntimeError, match="no kernel"):
        gpu._fitting(wrong, CPU)


def test_a_file_of_another_device_and_a_part_that_is_none_are_refused(tmp_path: Path) -> None:
    output = tmp_path / "gpu.json"
    output.write_text('{"device": "another"}')
    with pytest.raises(InputError, match="measured on another"):
        gpu.measure(output, CPU, TINY)
    with pytest.raises(PlanError, match="no part 'speed'"):
        gpu.measure(tmp_path / "none.json", CPU, TINY, only=["speed"])
