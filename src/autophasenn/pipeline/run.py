"""How one reconstruction is run: by which method, with which network, seed and device. Made without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autophasenn.errors import PlanError

if TYPE_CHECKING:
    import torch

    from autophasenn.inversion.methods import Inversion
    from autophasenn.network.predict import Predictor

DEFAULT = "refined"
"""The method, unless another is asked for."""


@dataclass(frozen=True)
class Run:
    """How a reconstruction is run; the parameters of its method stand in the plan.

    Parameters
    ----------
    method : str
        One of `inversion.methods.METHODS`.
    seed : int
        The whole randomness, 0 or more.
    device : str
        A torch device.
    weights : Path, optional
        Of the network; None: those of the package.
    force : bool
        Whether a pattern whose phases are not determined (oversampling below 2) is phased all the same.

    Raises
    ------
    PlanError
        If there is no such method, or the seed is negative.
    """

    method: str = DEFAULT
    seed: int = 0
    device: str = "cpu"
    weights: Path | None = None
    force: bool = False

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise PlanError(f"The seed {self.seed} is not usable; give a whole number, 0 or more.")
        if self.method == DEFAULT:
            return
        from autophasenn.inversion.methods import METHODS

        if self.method not in METHODS:
            raise PlanError(f"The method {self.method!r} is not known; choose from {', '.join(METHODS)}.")

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
        if self.method == "adapted" and plan.refined.free_fraction == 0:
            raise PlanError(
                "refined.free_fraction is 0, and --method adapted keeps only what explains held-out voxels better; give a "
                "free_fraction above 0, for instance 0.02, or --method refined."
            )

    def predictor(self) -> Predictor:
        """The network, loaded.

        Measuring which precision is quicker takes longer than the one prediction that is asked for. Whether another is
        needed is judged by `inversion.prediction.predict`: partial coherence alone makes a right prediction fit worse than
        noise allows.

        Raises
        ------
        InputError, PlanError
            If the weights are not those of a network, or the device is not there.
        """
        from autophasenn.network.predict import Inference, Predictor

        return Predictor.from_file(self.weights, Inference("float32", starts=1), self.torch_device())
