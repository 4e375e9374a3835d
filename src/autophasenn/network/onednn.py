"""Convolutions of one small volume by oneDNN, for inference on a CPU.

PyTorch gives oneDNN the float32 convolutions of batches and of large volumes; one small volume goes through a slower
product of matrices (``ConvParams::use_mkldnn`` in aten/src/ATen/native/Convolution.cpp). For the volumes of these networks
that takes several times as long (docs/notebook/performance.md).
"""

from __future__ import annotations

import platform

import torch
from torch import Tensor, nn


class OneDNNConv3d(nn.Module):
    """What a convolution does, by oneDNN whatever the batch.

    Parameters
    ----------
    convolution : torch.nn.Conv3d
        float32, on the CPU, padded with zeros by a number of voxels.
    """

    def __init__(self, convolution: nn.Conv3d) -> None:
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias
        assert not isinstance(convolution.padding, str)
        self._how = (convolution.padding, convolution.stride, convolution.dilation, convolution.groups)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, n, n, n) -> (batch, channels, n, n, n)."""
        return torch.mkldnn_convolution(x, self.weight, self.bias, *self._how)


def is_there() -> bool:
    """Whether this PyTorch has oneDNN, it is switched on, and the processor is of a kind on which it was measured."""
    is_measured = platform.machine().lower() in ("x86_64", "amd64")
    is_on = torch.backends.mkldnn.is_available() and bool(torch.backends.mkldnn.enabled)
    return is_measured and is_on and hasattr(torch, "mkldnn_convolution")


def by_onednn(network: nn.Module) -> None:
    """Have oneDNN do all convolutions of a network for inference that look at neighbours; changes it."""
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.Conv3d) and max(layer.kernel_size) > 1 and layer.padding_mode == "zeros":
                setattr(parent, name, OneDNNConv3d(layer))
