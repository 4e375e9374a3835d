"""The optimiser."""

from copy import deepcopy

import torch
from torch import nn

from autophasenn.training.muon import Muon, orthogonalised


def test_orthogonalised_has_singular_values_near_one_and_keeps_the_directions() -> None:
    matrix = torch.randn(12, 40, generator=torch.Generator().manual_seed(1)) * torch.logspace(0, -1, 12)[:, None]
    for one in (matrix, matrix.T):
        u, s, vt = torch.linalg.svd(orthogonalised(one), full_matrices=False)
        assert 0.6 < float(s.min()) <= float(s.max()) < 1.3
        expected_u, _, expected_vt = torch.linalg.svd(one, full_matrices=False)
        alignment = torch.sum((u @ vt) * (expected_u @ expected_vt)) / 12
        assert float(alignment) > 0.99


def test_what_is_no_kernel_moves_as_adamw_moves_it() -> None:
    torch.manual_seed(3)
    mine, theirs = nn.Linear(5, 4), nn.Linear(5, 4)
    theirs.load_state_dict(mine.state_dict())
    options = {"betas": (0.9, 0.98), "weight_decay": 0.01}
    first = Muon(mine.parameters(), 1e-2, **options)
    second = torch.optim.AdamW(theirs.parameters(), 1e-2, **options)
    for _ in range(5):
        x = torch.randn(7, 5)
        for network, optimiser in ((mine, first), (theirs, second)):
            optimiser.zero_grad()
            network(x).square().sum().backward()
            optimiser.step()
    torch.testing.assert_close(mine.weight, theirs.weight)
    torch.testing.assert_close(mine.bias, theirs.bias)


def test_a_kernel_takes_steps_of_the_size_that_adamw_takes() -> None:
    torch.manual_seed(4)
    layer = nn.Conv3d(8, 16, 3)
    before = layer.weight.detach().clone()
    optimiser = Muon(layer.parameters(), 1e-3)
    layer(torch.randn(2, 8, 5, 5, 5)).square().sum().backward()
    optimiser.step()
    step = (layer.weight.detach() - before).square().mean().sqrt()
    assert 0.5 * 4 * 0.2e-3 < float(step) < 1.5 * 4 * 0.2e-3


def test_its_state_resumes() -> None:
    torch.manual_seed(5)
    x = torch.randn(2, 3, 5, 5, 5)

    def trained(layer: nn.Module, optimiser: Muon, steps: int) -> None:
        for _ in range(steps):
            optimiser.zero_grad()
            layer(x).square().sum().backward()
            optimiser.step()

    first = nn.Conv3d(3, 4, 3)
    optimiser = Muon(first.parameters(), 1e-2)
    trained(first, optimiser, 3)
    second = nn.Conv3d(3, 4, 3)
    second.load_state_dict(first.state_dict())
    resumed = Muon(second.parameters(), 1e-2)
    resumed.load_state_dict(deepcopy(optimiser.state_dict()))
    trained(first, optimiser, 2)
    trained(second, resumed, 2)
    assert torch.equal(first.weight, second.weight)
