"""The compiled passes over a wave: used where they pay, and what they give is what torch gives."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from autophasenn.phasing import fused
from autophasenn.phasing.engine import retrieve
from autophasenn.phasing.schedule import error_reduction

SHAPE = (9, 14, 35)


def drawn(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def passes() -> fused.Passes:
    pytest.importorskip("numba")
    found = fused.compiled()
    assert found is not None
    return found


@pytest.mark.parametrize(("c", "d"), [(0.0, -1.0), (1.0, -0.9), (0.8, -0.6)])
def test_one_pass_is_the_projection_the_misfit_and_the_feedback(c: float, d: float) -> None:
    held, part = drawn(SHAPE, 0), drawn(SHAPE, 1)
    measured = torch.rand(SHAPE, generator=torch.Generator().manual_seed(2)) < 0.7
    modulus = drawn(SHAPE, 3).abs()
    target = fused.target_of(modulus, measured)
    psi = (held + part).to(torch.complex128)
    projected = torch.where(measured, modulus * psi / psi.abs(), psi)
    misfit = float(torch.where(measured, psi.abs() - modulus, 0).square().sum())

    alone = (held + part).clone()
    assert passes().project(fused.flat(alone), fused.flat(target)) == pytest.approx(misfit, rel=1e-6)
    torch.testing.assert_close(alone.to(torch.complex128), projected, rtol=1e-6, atol=1e-6)

    found = passes().feed_back(fused.flat(held), fused.flat(part), fused.flat(target), np.float32(c), np.float32(d))
    assert found == pytest.approx(misfit, rel=1e-6)
    torch.testing.assert_close(part.to(torch.complex128), projected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(held.to(torch.complex128), c * psi + d * projected, rtol=1e-6, atol=2e-6)


def test_a_wave_that_is_zero_stays_finite() -> None:
    psi, target = torch.zeros(40, dtype=torch.complex64), torch.full((40,), 3e4)
    assert passes().project(fused.flat(psi), fused.flat(target)) == pytest.approx(40 * 9e8)
    assert torch.equal(psi, torch.zeros_like(psi))


def test_what_is_not_a_number_stays_so() -> None:
    psi, target = torch.full((40,), torch.nan, dtype=torch.complex64), torch.ones(40)
    assert np.isnan(passes().project(fused.flat(psi), fused.flat(target)))
    assert bool(psi.isnan().all())


def test_they_are_for_long_calls_on_few_threads_of_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = torch.ones(1, 4, 4, 4)
    found = passes()
    monkeypatch.setattr(torch, "get_num_threads", lambda: fused.MOST_THREADS)
    assert fused.passes_for(counts, fused.LEAST_WORK) is found
    assert fused.passes_for(counts, fused.LEAST_WORK - 1) is None
    assert fused.passes_for(counts.double(), fused.LEAST_WORK) is None
    assert fused.passes_for(counts.to("meta"), fused.LEAST_WORK) is None
    monkeypatch.setattr(torch, "get_num_threads", lambda: fused.MOST_THREADS + 1)
    assert fused.passes_for(counts, fused.LEAST_WORK) is None


def test_a_retrieval_is_the_same_with_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    passes()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    counts = torch.poisson(100 * torch.rand(1, *SHAPE, generator=torch.Generator().manual_seed(4)) ** 4)
    measured = torch.ones_like(counts, dtype=torch.bool).index_fill_(3, torch.tensor([3, 4]), False)
    found = []
    for work in (1, 10**12):
        monkeypatch.setattr(fused, "LEAST_WORK", work)
        found.append(retrieve(counts, measured, error_reduction(5), seeds=[0, 1]))
    one, other = found
    torch.testing.assert_close(one.object, other.object, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(one.errors, other.errors, rtol=1e-5, atol=0)


def test_where_numba_cannot_be_imported_torch_does_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that is older than the NumPy beside it."""
    (tmp_path / "numba.py").write_text("raise ImportError('Numba needs NumPy 2.2 or less.')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "numba", raising=False)
    assert fused.is_installed()
    assert fused.compiled.__wrapped__() is None


def test_without_a_folder_to_write_in_torch_does_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a read-only installation of a user who has no home."""
    numba = pytest.importorskip("numba")
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(blocked / "cache"))
    monkeypatch.setattr(numba.config, "CACHE_LOCATOR_CLASSES", "UserProvidedCacheLocator")
    assert fused.compiled.__wrapped__() is None
