"""From atoms to the object on voxels: number density, and the Bragg phase of the mean displacement."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from autophasenn.crystals.sampling import View
from autophasenn.errors import InputError
from autophasenn.volumes import OBJECT_VOXELS


def deposit(
    positions: Float[Tensor, "atoms 3"], spread: Float[Tensor, " 3"], values: Float[Tensor, "quantities atoms"]
) -> Float[Tensor, "quantities n n n"]:
    """Sum the values of atoms in each voxel of the 32^3 box.

    An atom gives voxel i of an axis the share ``F(i + 1/2 - x) - F(i - 1/2 - x)`` of its value, where F is the integral of
    a triangle of half-width `spread` about the atom, a step where `spread` is 0. Its shares sum to 1, so the sum over the
    voxels is the sum over the atoms.

    Parameters
    ----------
    positions : float64 tensor (atoms, 3)
        In voxels, as indices: voxel i reaches from ``i - 1/2`` to ``i + 1/2``.
    spread : float64 tensor (3,)
        In voxels.
    values : float64 tensor (quantities, atoms)

    Returns
    -------
    float64 tensor (quantities, 32, 32, 32)
    """
    n = OBJECT_VOXELS
    indices, shares = [], []
    for x, width in zip(positions.T, spread.tolist(), strict=True):
        first = torch.floor(x - width + 0.5)
        edges = first[:, None] - 0.5 + torch.arange(int(2 * width) + 3)
        cumulative = _integral_of_triangle((edges - x[:, None]) / width) if width > 0 else (edges > x[:, None]).double()
        indices.append((first[:, None].long() + torch.arange(edges.shape[1] - 1)).clamp(0, n - 1))
        shares.append(cumulative.diff(dim=1).clamp_min(0))
    i, j, k = indices
    cells = (i[:, :, None, None] * n + j[:, None, :, None]) * n + k[:, None, None, :]
    weights = torch.einsum("ai,aj,ak->aijk", *shares).flatten(1)
    result = positions.new_zeros((len(values), n**3))
    for target, value in zip(result, values, strict=True):
        target.index_add_(0, cells.flatten(), (weights * value[:, None]).flatten())
    return result.reshape(-1, n, n, n)


def _integral_of_triangle(t: Tensor) -> Tensor:
    """Integral from minus infinity to t of the triangle ``max(0, 1 - |t|)``."""
    t = t.clamp(-1, 1)
    return 0.5 + t - t * t.abs() / 2


def on_voxels(
    sites: Float[Tensor, "atoms 3"], phases: Float[Tensor, " atoms"], lattice_constant: float, view: View
) -> tuple[Float[Tensor, "n n n"], Float[Tensor, "n n n"]]:
    """Number density and mean Bragg phase of a crystal, the middle of its bounding box in the middle of the 32^3 box.

    Seen along its own axes with voxels of two lattice constants the unit cells lie aligned with the voxels, and every
    voxel inside the crystal has exactly 32 atoms, as in Yao et al., npj Comput. Mater. 8, 124 (2022). In any other view
    every atom is spread as a triangle of half-width a along each axis of the voxels, so that the lattice does not beat
    with them.

    Parameters
    ----------
    sites : float64 tensor (atoms, 3)
        Of the undeformed lattice (`lattice.fcc_sites`), metres, in the crystal's cubic axes.
    phases : float64 tensor (atoms,)
        Bragg phases -G.u, rad, not wrapped.
    lattice_constant : float
        Metres.
    view : View
        Its preferred voxels are two lattice constants wide; an oversampling counts the extent of the atoms, their spread
        included.

    Returns
    -------
    density : float64 tensor (32, 32, 32)
        Atoms in each voxel; they sum to the number of atoms.
    phase : float64 tensor (32, 32, 32)
        Of the mean displacement of the atoms in each voxel, rad, not wrapped; 0 where there is none.

    Raises
    ------
    InputError
        If the crystal does not fit in 32 voxels along each axis.
    """
    aligned = view.oversampling is None and bool((view.rotation == torch.eye(3)).all())
    margin = lattice_constant / 4 if aligned else lattice_constant  # half a plane's distance; the spread of an atom
    turned = sites @ view.rotation.T
    low, high = turned.amin(0) - margin, turned.amax(0) + margin
    size = view.voxel_size(high - low, preferred=2 * lattice_constant)
    spans = (high - low) / size
    if float(spans.max()) > OBJECT_VOXELS * (1 + 1e-9):
        raise InputError(
            f"The crystal spans {float(spans.max()):.1f} voxels and its box has {OBJECT_VOXELS}; make the crystal smaller, "
            "or give the sampling an oversampling range, for instance 2 to 6."
        )
    centre = (low + high) / 2
    spread = lattice_constant / size
    if aligned:
        plane = lattice_constant / 2
        centre, spread = torch.floor(centre / plane + 1e-6) * plane, torch.zeros(3, dtype=torch.float64)
    density, total = deposit(
        (turned - centre) / size + (OBJECT_VOXELS - 1) / 2, spread, torch.stack([torch.ones_like(phases), phases])
    )
    return density, torch.where(density > 0, total / density.clamp_min(1e-300), 0)
