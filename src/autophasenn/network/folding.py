"""Batch normalisation folded into the convolutions that follow it, exactly.

In inference it is an affine map of each channel, ``y = s x + t``. The next convolution takes s into its weights and t into
its bias; only at the edges of the volume, where the convolution sees zeros in place of t, the bias is another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import torch
from torch import Tensor, nn

from autophasenn.network.autophasenn import AutoPhaseNN

Affine = tuple[Tensor, Tensor]
"""s and t of every channel."""


def folded(network: AutoPhaseNN) -> AutoPhaseNN:
    """A copy, for inference, that gives the same objects with fewer passes over memory."""
    network = deepcopy(network).eval()
    code = _fold(network.encoder, None)
    for decoder in (network.amplitude, network.phase):
        _fold(decoder, code)
    return network


class EdgedConvolution(nn.Module):
    """A 3 x 3 x 3 convolution of ``s x + t`` padded with zeros, computed from x.

    Parameters
    ----------
    convolution : torch.nn.Conv3d
        Of what is normalised; 3 x 3 x 3 with a padding of 1.
    affine : (tensor (channels,), tensor (channels,))
        s and t.
    """

    edges: Tensor

    @torch.no_grad()
    def __init__(self, convolution: nn.Conv3d, affine: Affine) -> None:
        super().__init__()
        scale, shift = (part[None, :, None, None, None] for part in affine)
        self.inner = deepcopy(convolution)
        # The least volume that has a voxel of every kind: corners, edges, faces and inside.
        places = convolution(shift.expand(1, -1, 3, 3, 3).contiguous())[0]
        self.inner.weight = nn.Parameter(convolution.weight * scale)
        self.inner.bias = nn.Parameter(places[:, 1, 1, 1].clone())
        self.register_buffer("edges", places - places[:, 1:2, 1:2, 1:2])

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, n, n, n) -> (batch, channels, n, n, n)."""
        y = self.inner(x)
        n = y.shape[-1]
        kind = torch.ones(n, dtype=torch.long, device=y.device)
        kind[0], kind[-1] = 0, 2
        edges = self.edges.to(y.dtype)
        for end in (0, 2):
            place = -1 if end else 0
            y[:, :, place] += edges[:, end][:, kind][:, :, kind]
            y[:, :, 1:-1, place] += edges[:, 1, end][:, None, kind]
            y[:, :, 1:-1, 1:-1, place] += edges[:, 1, 1, end][:, None, None]
        return y


def _fold(layers: nn.Module, affine: Affine | None) -> Affine | None:
    """Fold the normalisations of layers in a row; what is left at their end, and `affine` is what came before."""
    places = list(_leaves(layers))
    for number, (parent, name, layer) in enumerate(places):
        if isinstance(layer, nn.Conv3d) and affine is not None:
            setattr(parent, name, EdgedConvolution(layer, affine))
            affine = None
        elif isinstance(layer, nn.BatchNorm3d) and not _is_turned_before_pooling(layer, places[number + 1 :]):
            affine = _affine(layer)
            setattr(parent, name, nn.Identity())
        elif isinstance(layer, nn.LeakyReLU):
            layer.inplace = True
    return affine


def _is_turned_before_pooling(layer: nn.BatchNorm3d, following: list[tuple[nn.Module, str, nn.Module]]) -> bool:
    """The largest of ``s x + t`` is not that of the largest x where s < 0: such a layer stays."""
    pooled = bool(following) and isinstance(following[0][2], nn.MaxPool3d)
    return pooled and bool((layer.weight <= 0).any())


def _affine(layer: nn.BatchNorm3d) -> Affine:
    assert layer.running_var is not None
    assert layer.running_mean is not None
    scale = layer.weight / (layer.running_var + layer.eps).sqrt()
    return scale.detach(), (layer.bias - layer.running_mean * scale).detach()


def _leaves(layers: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """Every layer with the module that holds it and its name there, in the order in which they are run."""
    for name, child in layers.named_children():
        if isinstance(child, nn.Sequential):
            yield from _leaves(child)
        else:
            yield layers, name, child
