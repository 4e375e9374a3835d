"""The wave of the benchmark of strain tensors is the sum over its atoms."""

import math

import torch
from strain_tensor_truth import wave_of_atoms


def test_the_wave_is_the_sum_of_those_of_all_atoms() -> None:
    generator = torch.Generator().manual_seed(0)
    positions = (torch.rand(500, 3, generator=generator, dtype=torch.float64) - 0.5) * 20e-9
    phases = 6 * torch.rand(500, generator=generator, dtype=torch.float64)
    voxels = torch.tensor([1e-9, 1.1e-9, 1.2e-9], dtype=torch.float64)
    wave = wave_of_atoms(positions, phases, voxels)
    for place in ((32, 32, 32), (0, 0, 0), (10, 50, 33), (63, 1, 20)):
        q = 2 * math.pi * (torch.tensor(place) - 32) / (64 * voxels)
        true = torch.polar(torch.ones(500, dtype=torch.float64), phases - positions @ q).sum()
        assert abs(complex(wave[place]) - complex(true)) < 1e-4 * math.sqrt(500)
