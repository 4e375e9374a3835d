"""Two objects with the same pattern are one object."""

import math
import subprocess
import sys

import pytest
import torch

from autophasenn.physics.ambiguity import align, translate
from autophasenn.physics.diffraction import intensity_of
from autophasenn.physics.fourier import diffract
from autophasenn.volumes import twin


def blob(shape: tuple[int, int, int] = (24, 20, 22)) -> torch.Tensor:
    """A smooth lopsided object with a smooth phase, band-limited enough to be moved by part of a voxel."""
    axes = [torch.arange(n, dtype=torch.float64) - n // 2 for n in shape]
    x, y, z = torch.meshgrid(*axes, indexing="ij")
    amplitude = torch.exp(-((x / 3) ** 2 + (y / 2.5) ** 2 + (z / 2) ** 2)) + 0.5 * torch.exp(
        -(((x - 3) / 2) ** 2 + ((y + 2) / 2) ** 2 + (z / 2) ** 2)
    )
    return torch.polar(amplitude, 0.3 * x + 0.1 * y * z).to(torch.complex64)


@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (3.0, -2.0, 5.0), (0.37, -4.62, 1.5), (-0.05, 0.48, -0.91)])
@pytest.mark.parametrize("twinned", [False, True])
@pytest.mark.parametrize("phase", [0.0, 2.5])
def test_alignment_takes_back_shift_twin_and_phase(
    shift: tuple[float, float, float], twinned: bool, phase: float
) -> None:
    rho = blob()
    moving = translate(rho, shift) * complex(math.cos(phase), math.sin(phase)) * 3
    found = align(rho, twin(moving) if twinned else moving)
    assert found.correlation > 1 - 1e-5
    assert found.twinned == twinned
    assert torch.allclose(found.aligned / 3, rho, atol=5e-3)
    if not twinned:
        assert found.shift == pytest.approx(shift, abs=0.011)
        assert math.remainder(found.phase - phase, 2 * math.pi) == pytest.approx(0, abs=0.02)


def test_all_three_ambiguities_leave_the_pattern_alone() -> None:
    rho = blob()
    other = twin(translate(rho, (1.3, -0.4, 2.2))) * 1j
    torch.testing.assert_close(intensity_of(diffract(other)), intensity_of(diffract(rho)), atol=1e-4, rtol=1e-4)


def test_the_twin_is_left_alone_when_it_is_not_asked_for() -> None:
    rho = blob()
    assert align(rho, twin(rho), twins=False).correlation < 0.97


def test_correlation_is_that_of_double_precision_however_high_the_peak_of_the_wave() -> None:
    """A large crystal's wave is all peak: in single precision, what is small beside it gets lost from its norm."""
    generator = torch.Generator().manual_seed(0)
    first = torch.zeros(64, 64, 64, dtype=torch.complex64)
    first[18:46, 18:46, 18:46] = 1
    second = first + 0.05 * torch.randn(first.shape, dtype=first.dtype, generator=generator)
    one, other = first.to(torch.complex128), second.to(torch.complex128)
    exact = float((one * other.conj()).sum().abs() / (one.abs().square().sum() * other.abs().square().sum()).sqrt())
    assert align(first, second).correlation == pytest.approx(exact, abs=1e-5)


def test_a_translation_by_whole_voxels_is_a_roll() -> None:
    rho = blob()
    torch.testing.assert_close(translate(rho, (2.0, 0.0, -3.0)), torch.roll(rho, (2, -3), (0, 2)), atol=1e-5, rtol=0)


def test_unrelated_objects_do_not_correlate() -> None:
    generator = torch.Generator().manual_seed(1)
    first, second = (torch.randn(24, 20, 22, dtype=torch.complex64, generator=generator) for _ in range(2))
    assert align(first, second).correlation < 0.1


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0])
def test_nothing_correlates_with_what_is_no_object(value: float) -> None:
    """One voxel that is not finite spoils all; nor is there an object where all is 0."""
    rho = blob()
    spoiled = rho * 0
    spoiled[3, 4, 5] = value
    assert align(rho, spoiled).correlation == align(spoiled, rho).correlation == 0


def test_objects_are_aligned_without_symbolic_mathematics() -> None:
    """`torch.unravel_index` imports SymPy at its first call, which costs every run a second."""
    program = (
        "import sys, torch; from autophasenn.physics.ambiguity import align; "
        "rho = torch.rand(8, 8, 8).to(torch.complex64); align(rho, rho); sys.exit('sympy' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
