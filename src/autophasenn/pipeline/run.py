"""How one reconstruction is run: by which method, with which network, seed and device. Made without torch."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

from autophasenn.errors import PlanError, quoted
from autophasenn.inversion.names import MethodName, method_of

if TYPE_CHECKING:
    import torch

    from autophasenn.inversion.methods import Inversion
    from autophasenn.network.predict import Predictor

LARGEST_SEED = 2**63 - 1
"""That torch takes, and a file keeps."""


@dataclass(frozen=True)
class Run:
    """How a reconstruction is run; the parameters of its method stand in the plan.

    Parameters
    ----------
    method : str
        One of `inversion.names.METHODS`.
    seed : int
        The whole randomness, 0 or more and of 63 bits at most.
    device : str
        A torch device.
    weights : Path, optional
        Of the network; None: those of the package.
    network : str, optional
        "unrolled" or "autophasenn", which the weights must be of. None: any; of the package's, "unrolled".
    force : bool
        Whether a pattern whose phases are not determined (oversampling below 2) is phased all the same.

    Raises
    ------
    PlanError
        If there is no such method, or the seed is no whole number from 0 to 2**63 - 1.
    """

    method: str = MethodName.refined
    seed: int = 0
    device: str = "cpu"
    weights: Path | None = None
    network: str | None = None
    force: bool = False

    def __post_init__(self) -> None:
        seed: object = self.seed  # from Python it may be anything
        device: object = self.device
        if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= int(seed) <= LARGEST_SEED:
            raise PlanError(
                f"The seed {quoted(self.seed)} is not usable; give a whole number from 0 to {LARGEST_SEED} (63 bits)."
            )
        object.__setattr__(self, "seed", int(seed))  # NumPy's whole numbers overflow where Python's do not
        if not isinstance(device, str):
            raise PlanError(f"The device {quoted(self.device)} is not usable; give a name, as 'cpu' or 'cuda:1'.")
        method_of(self.method)

    @property
    def needs_network(self) -> bool:
        """Does it begin from a network's prediction?"""
        return method_of(self.method).needs_network

    def torch_device(self) -> torch.device:
        """The device.

        Raises
        ------
        PlanError
            If it is not there.
        """
        from autophasenn.devices import device_of

        return device_of(self.device)

    def check(self, plan: Inversion) -> None:
        """Refuse a plan that the method cannot follow.

        Raises
        ------
        PlanError
            If nothing can judge the network that has learned on.
        """
        from autophasenn.inversion.options import check_method

        check_method(self.method, plan)

    def predictor(self) -> Predictor:
        """The network, loaded; see `inversion.prediction.load_predictor`.

        Raises
        ------
        InputError, PlanError
            If the weights are not those of a network, or the device is not there.
        """
        from autophasenn.inversion.prediction import load_predictor

        return load_predictor(self.weights, self.torch_device(), self.network)
