"""Deblurring gives back what a coherent beam would have shown, from the voxels alone that may be fitted to."""

import torch

from autophasenn.phasing.deblurring import deblurred
from autophasenn.phasing.held_out import HeldOut
from autophasenn.phasing.likelihood import kernel_of, sigmas_of
from autophasenn.physics.diffraction import ForwardModel, intensity_of
from autophasenn.physics.fourier import diffract
from autophasenn.volumes import Pattern

SHAPE = (64, 64, 64)
SIGMAS = (1.0, 0.6, 0.8)


def pattern() -> tuple[torch.Tensor, HeldOut]:
    """The coherent pattern of a brick, and its counts in a beam of short coherence, with a gap and voxels held out."""
    x, y, z = torch.meshgrid(*[torch.arange(n) - n // 2 for n in SHAPE], indexing="ij")
    rho = torch.polar(((x.abs() < 8) & (y.abs() < 7) & (z.abs() < 9)).float(), 0.3 * torch.sin(0.3 * x))
    coherent = intensity_of(diffract(rho))
    coherent *= 1e8 / coherent.sum()
    blurred = ForwardModel(kernel=kernel_of(SIGMAS, SHAPE)).blur(coherent)[0]
    counts = torch.poisson(blurred, generator=torch.Generator().manual_seed(0))
    measured = x != 12
    return coherent, HeldOut.of(Pattern(counts * measured, measured), 0.02, 0)


def off(one: torch.Tensor, other: torch.Tensor) -> float:
    """How far the moduli are apart, over all."""
    return float((one.sqrt() - other.sqrt()).square().sum() / other.sum())


def test_a_blurred_pattern_comes_nearer_to_the_coherent_one_on_used_and_on_held_out_voxels() -> None:
    coherent, held_out = pattern()
    sharp = deblurred(held_out, kernel_of(SIGMAS, SHAPE), 20)
    for voxels in (held_out.used[0], held_out.free):
        before = off(held_out.pattern.counts[voxels], coherent[voxels])
        assert off(sharp.pattern.counts[voxels], coherent[voxels]) < 0.5 * before


def test_what_is_held_out_or_not_measured_changes_nothing() -> None:
    _, held_out = pattern()
    kernel = kernel_of(SIGMAS, SHAPE)
    first = deblurred(held_out, kernel, 3)
    counts = torch.where(held_out.used[0], held_out.pattern.counts, 1e6)
    second = deblurred(HeldOut(Pattern(counts, held_out.pattern.mask), held_out.free), kernel, 3)
    assert torch.equal(first.pattern.counts, second.pattern.counts)
    assert not first.pattern.counts[~held_out.pattern.mask].any()
    assert not first.can_judge


def test_the_kernel_of_a_beam_has_the_widths_that_the_likelihood_begins_with() -> None:
    kernel = kernel_of(SIGMAS, SHAPE)
    assert torch.allclose(torch.tensor(sigmas_of(kernel)), torch.tensor(SIGMAS), rtol=0.02)
    assert torch.allclose(kernel, kernel.flip((1, 2, 3)), atol=1e-9)
    assert abs(float(kernel.sum()) - 1) < 1e-4
