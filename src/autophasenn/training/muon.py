"""Muon: momentum whose singular values are all made one, for the kernels of convolutions; AdamW for all other weights.

A kernel of shape (out, in, k, k, k) is a matrix of out x (in k^3). Its momentum M = U S V^T becomes U V^T, so that weak
directions of the gradient are followed as far as strong ones: a given loss is reached after less than half the samples
that AdamW takes (docs/guide/training.md). K. Jordan et al., https://kellerjordan.github.io/posts/muon (2024); the step is
scaled to the root mean square of AdamW's as in J. Liu et al., arXiv:2502.16982 (2025), section 2.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

MOMENTUM = 0.95
LIKE_ADAM = 0.2
"""Root mean square of a step of AdamW, in units of its learning rate."""
FASTER = 4.0
"""Learning rate of the kernels over that of all other weights."""
QUINTIC = (3.4445, -4.7750, 2.0315)
"""Of the iteration that takes every singular value from 0..1 to near 1 (Jordan et al.)."""
ITERATIONS = 5


class Muon(Optimizer):
    """Muon for kernels wider than one voxel, AdamW for the rest.

    Parameters
    ----------
    parameters : iterable of nn.Parameter
    learning_rate : float
        Of AdamW; kernels take `FASTER` times as much.
    betas : (float, float)
        Of AdamW.
    weight_decay : float
        Decoupled, of all weights.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        learning_rate: float,
        betas: tuple[float, float] = (0.9, 0.98),
        weight_decay: float = 0.0,
    ) -> None:
        everything = list(parameters)
        kernels = [p for p in everything if _is_kernel(p)]
        others = [p for p in everything if not _is_kernel(p)]
        groups = [{"params": p, "is_kernel": k} for p, k in ((kernels, True), (others, False)) if p]
        super().__init__(groups, {"lr": learning_rate, "betas": betas, "weight_decay": weight_decay, "eps": 1e-8})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of every weight that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            move = _muon if group["is_kernel"] else _adamw
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    move(parameter, parameter.grad, self.state[parameter], group)
        return loss


def orthogonalised(matrix: Tensor) -> Tensor:
    """U V^T of a matrix U S V^T, roughly: singular values between 0.7 and 1.2. Newton-Schulz, no decomposition."""
    a, b, c = QUINTIC
    x = matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / x.norm().clamp_min(1e-12)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if matrix.shape[0] > matrix.shape[1] else x


def _is_kernel(parameter: Tensor) -> bool:
    return parameter.ndim > 2 and parameter[0, 0].numel() > 1


def _muon(kernel: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    if not state:
        state["momentum"] = torch.zeros_like(kernel)
    state["momentum"].lerp_(gradient, 1 - MOMENTUM)
    ahead = gradient.lerp(state["momentum"], MOMENTUM).flatten(1)
    step = orthogonalised(ahead) * (LIKE_ADAM * max(ahead.shape) ** 0.5)
    kernel.sub_(step.reshape(kernel.shape), alpha=FASTER * group["lr"])


def _adamw(weight: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    if not state:
        state.update(step=torch.zeros(()), mean=torch.zeros_like(weight), square=torch.zeros_like(weight))
    first, second = group["betas"]
    state["step"] += 1
    state["mean"].lerp_(gradient, 1 - first)
    state["square"].lerp_(gradient.square(), 1 - second)
    count = float(state["step"])
    spread = (state["square"] / (1 - second**count)).sqrt_().add_(group["eps"])
    weight.addcdiv_(state["mean"], spread, value=-group["lr"] / (1 - first**count))
