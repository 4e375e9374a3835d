"""Prediction: patterns in, objects out, as quickly as this machine can.

A copy of the network is made ready once: normalisation folded into the convolutions, convolutions in the precision that
is quickest here, channels last. Every pattern begins from a start that a seed draws, the same whatever batch it is in. A few
of a hundred end in a superposition of the crystal and its twin, which shows: the object fits much worse than counting noise
allows. They begin again from another start, and what fits best is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import torch
from jaxtyping import Float
from torch import Tensor, nn

import autophasenn
from autophasenn.arguments import path_of, shown
from autophasenn.devices import device_of, is_shortage
from autophasenn.errors import InputError, PlanError
from autophasenn.files.boundary import reading
from autophasenn.files.stored import sha256_of
from autophasenn.network import onednn, weights
from autophasenn.network.architectures import DESIGNS, Network
from autophasenn.network.autophasenn import AutoPhaseNN
from autophasenn.network.estimates import Stage
from autophasenn.network.folding import folded
from autophasenn.options import NotNegative, Number, options
from autophasenn.physics.diffraction import intensity_of
from autophasenn.physics.metrics import chi2_of_intensity
from autophasenn.physics.symmetry import ELEMENTS, inverse, symmetry
from autophasenn.randomness import Stream, generator_of
from autophasenn.volumes import PATTERN, SPATIAL, Mask, Objects, Volume

SHIPPED = {name: Path(autophasenn.__file__).parent / "weights" / f"{name}.safetensors" for name in DESIGNS}
"""The weights of the package, by the name of the network."""
DEFAULT_NETWORK = "unrolled"
"""The network, unless another is asked for."""
APART = 13
"""Symmetries of the cube from one look at a pattern to the next: prime to 48, so that all come, and unlike ones first."""
PRECISIONS = ("bfloat16", "float32")
BFLOAT16 = ("avx512_bf16", "amx_bf16")
"""What a processor can that multiplies such numbers itself; one that does not takes several times as long as for float32."""


@options
class Inference:
    """How a network is run; by default as every method does, which judge themselves whether another prediction is needed.

    Parameters
    ----------
    precision : str, optional
        Of the convolutions: "bfloat16" or "float32". null: the first where the processor multiplies it itself, and is
        quicker so (`quick_precision`); an object is changed by a few thousandths.
    compiled : bool
        By torch.compile: quicker after half a minute or more of compiling.
    starts : int
        Starts of a pattern at most: another is made as long as the best object is poor. The paper's network, which begins
        with nothing, looks at the pattern in another of the 48 orientations of the cube instead.
    poor : float
        Mean squared misfit of the square root of the counts, over the voxels that have any, above which an object is poor.
        Counting noise alone gives 0.25 to 0.5. 0: all starts are made.
    stages : int, optional
        Of an unrolled network; null: as many as it was trained with.
    batch : int
        Patterns that are computed at once.
    """

    precision: str | None = None
    compiled: bool = False
    starts: Number = 1
    poor: NotNegative = 1.5
    stages: Number | None = None
    batch: Number = 16

    def __post_init__(self) -> None:
        if self.precision not in (None, *PRECISIONS):
            raise PlanError(f"The precision {self.precision!r} is not known; choose from {', '.join(PRECISIONS)}.")


class Predictor:
    """A trained network, ready to invert patterns.

    Parameters
    ----------
    network : Network
        Stays as it is; a copy is used.
    inference : Inference, optional
    device : torch.device or str

    Raises
    ------
    InputError
        If `network` is none.
    PlanError
        If the device is not there.

    Attributes
    ----------
    network : Network
        As it was given.
    inference : Inference
        With the precision that was chosen.
    device : torch.device
    file : Path, optional
        Of the weights; None: it was given in memory.
    sha256 : str, optional
        Checksum of that file.

    Examples
    --------
    >>> from autophasenn.network.architectures import build
    >>> from autophasenn.network.unrolled import UnrolledDesign
    >>> predictor = Predictor(build(UnrolledDesign(stages=2, width=4)), Inference("float32"))
    >>> counts = torch.poisson(torch.ones(1, 64, 64, 64))
    >>> predictor.predict(counts, counts >= 0).shape
    torch.Size([1, 32, 32, 32])
    """

    def __init__(
        self, network: Network, inference: Inference | None = None, device: torch.device | str = "cpu"
    ) -> None:
        given: object = network  # from Python it may be anything
        if not isinstance(given, Network):
            raise InputError(
                f"The network is {shown(given)}; give one of this package, or read a file of weights by from_file."
            )
        if not isinstance(inference, Inference | None):
            raise PlanError(f"inference is {shown(inference)}; it should be an Inference.")
        self.device, self.network = device_of(str(device)), network
        self.file: Path | None = None
        self.sha256: str | None = None
        inference = inference or Inference()
        ready = (folded(network) if isinstance(network, AutoPhaseNN) else deepcopy(network)).eval().to(self.device)
        chosen = inference.precision or quick_precision(self.device)
        self.inference = replace(inference, precision=chosen)
        self._network = _compiled(_cast(ready, chosen)) if inference.compiled else self._ready(ready, chosen)

    @classmethod
    def from_file(
        cls,
        path: str | Path | None = None,
        inference: Inference | None = None,
        device: torch.device | str = "cpu",
        network: str | None = None,
    ) -> Predictor:
        """The predictor of a file of weights.

        Parameters
        ----------
        path : str or Path, optional
            None: the package's.
        inference : Inference, optional
        device : torch.device or str
        network : str, optional
            A name of `DESIGNS`, which the weights must be of. None: any; of the package's, `DEFAULT_NETWORK`.

        Raises
        ------
        InputError
            See `network.weights.load` and `weights_file`.
        PlanError
            If the device is not there.
        """
        file = weights_file(path, network)
        learned, _ = weights.load(file, network)
        predictor = cls(learned, inference, device)
        with reading(file):
            predictor.file, predictor.sha256 = file, sha256_of(file)
        return predictor

    @property
    def name(self) -> str:
        """Of the network, one of `DESIGNS`."""
        return next(name for name, design in DESIGNS.items() if isinstance(self.network.design, design))

    def warm_up(self) -> Predictor:
        """The same, after a prediction that nobody needs: what the first one prepares is done, as where times are taken."""
        dark_but_one = nn.functional.pad(torch.ones(1, 1, 1, 1), [32, 31] * 3)
        self.predict(dark_but_one, dark_but_one >= 0)
        return self

    def predict(self, counts: Volume, measured: Mask, seed: int = 0) -> Objects:
        """Invert patterns.

        Parameters
        ----------
        counts : float tensor (batch, 64, 64, 64)
            Centred. On another scale than photons the object is the same, but whether it is poor is judged wrongly.
        measured : bool tensor (batch, 64, 64, 64)
        seed : int
            Of the starts.

        Returns
        -------
        complex64 tensor (batch, 32, 32, 32)
            On the device of `counts`; 0 where the amplitude is below 10 % of the largest.

        Raises
        ------
        InputError
            If the patterns have another size, the masks do not fit them, or a batch does not fit into the memory.
        """
        _check_size(counts, measured)
        size = self.inference.batch
        with _shortage_explained(self, size):
            parts = [slice(first, first + size) for first in range(0, len(counts), size)]
            found = [self._best(self._here(counts[part]), self._here(measured[part]), seed) for part in parts]
        return torch.cat(found).to(counts.device)

    def _here(self, volume: Tensor) -> Tensor:
        return volume.contiguous().to(self.device)

    @torch.inference_mode()
    def _best(self, counts: Volume, measured: Mask, seed: int) -> Objects:
        objects, misfit = self._run(counts, measured, seed, 0)
        for start in range(1, self.inference.starts):
            poor = torch.nonzero(~(misfit < self.inference.poor)).flatten()
            if not len(poor):
                break
            others, other = self._run(counts[poor], measured[poor], seed, start)
            better = ~(misfit[poor] <= other)
            objects[poor[better]], misfit[poor[better]] = others[better], other[better]
        return objects

    def _run(self, counts: Volume, measured: Mask, seed: int, start: int) -> tuple[Objects, Float[Tensor, " batch"]]:
        """Objects and their misfit; every pattern begins alike, whatever batch it is in."""
        element = APART * (seed + start) % ELEMENTS if isinstance(self.network, AutoPhaseNN) else 0
        generator = generator_of(seed, start, Stream.START)
        generators = [generator.clone_state() for _ in counts]
        with _precision(self.device, self.inference.precision):
            seen = symmetry(counts, element), symmetry(measured, element)
            last = self._network(*seen, generators, self.inference.stages)[-1]
        if element:
            last = Stage(symmetry(last.objects, inverse(element)))
        if self.inference.starts == 1:
            return last.objects, counts.new_zeros(len(counts))
        return last.objects, _misfit(last, counts, measured)

    def _ready(self, network: Network, precision: str) -> Network:
        """The same network with its convolutions in a precision, done as is quickest for few patterns."""
        network = _cast(network, precision)
        if self.device.type == "cpu" and precision == "float32" and onednn.is_there():
            onednn.by_onednn(network)
        return network


def weights_file(path: str | Path | None = None, network: str | None = None) -> Path:
    """The file of weights that is meant: the one that is given, or the package's for a network.

    Parameters
    ----------
    path : str or Path, optional
    network : str, optional
        A name of `DESIGNS`; None: `DEFAULT_NETWORK`.

    Raises
    ------
    InputError
        If there is no such network, the package has no weights for it, or `path` is none.
    """
    if network not in (None, *DESIGNS):
        raise InputError(f"The network {shown(network)} is not known; choose from {', '.join(DESIGNS)}.")
    if path is not None:
        return path_of(path, "The file of weights")
    shipped = SHIPPED[network or DEFAULT_NETWORK]
    if not shipped.is_file():
        raise InputError(f"This installation has no weights ({shipped} is missing); give a file of weights.")
    return shipped


def quick_precision(device: torch.device) -> str:
    """That in which convolutions take the least time, by what the device says of itself: one of `PRECISIONS`."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            is_quick = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        can: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # older versions do not say
        is_quick = torch.backends.mkldnn.is_available() and any(can.get(each) for each in BFLOAT16)
    return "bfloat16" if is_quick else "float32"


def _misfit(estimate: Stage, counts: Volume, measured: Mask) -> Float[Tensor, " batch"]:
    """Mean squared misfit of the square root of the counts, over the measured voxels that have any."""
    chi2 = chi2_of_intensity(intensity_of(estimate.waves), counts, measured)
    counts = torch.where(measured, counts, 0)
    return chi2 * counts.sum(SPATIAL) / (counts > 0).sum(SPATIAL).clamp_min(1)


def _cast(network: Network, precision: str) -> Network:
    """The same network with its convolutions in a precision."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv3d):
            layer.to(getattr(torch, precision))
    return network


def _compiled(network: Network) -> Network:
    """The same network with what is learned compiled: transforms of complex numbers gain nothing."""
    for part in network.children():
        part.compile()
    return network


def _precision(device: torch.device, precision: str | None) -> Any:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def _check_size(counts: Volume, measured: Mask) -> None:
    found = tuple(counts.shape[1:])
    if found != PATTERN:
        raise InputError(
            f"The network inverts patterns of {_words(PATTERN)} voxels, and this one has {_words(found)}; resample it "
            "to that, as `autophasenn reconstruct --method refined` does."
        )
    if not len(counts) or measured.shape != counts.shape:
        raise InputError(
            f"There are {len(counts)} patterns and {len(measured)} masks of {_words(tuple(measured.shape[1:]))} voxels; "
            "give one pattern or more, and a mask of the same shape."
        )


def _words(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


@contextmanager
def _shortage_explained(predictor: Predictor, batch: int) -> Iterator[None]:
    """Say which batch would fit where one does not."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_shortage(error):
            raise
        free = free_memory(predictor.device)
        fits = min(batch - 1, free // BYTES_A_PATTERN)
        remedy = f"about {fits} would fit" if fits > 0 else f"only {free / 2**20:.0f} MiB are free, and one takes about"
        remedy += "" if fits > 0 else f" {BYTES_A_PATTERN / 2**20:.0f}: close other programs"
        raise InputError(
            f"A batch of {batch} patterns does not fit into the memory of {predictor.device}; {remedy}."
        ) from error


BYTES_A_PATTERN = 120 * 2**20
"""What a pattern takes while the networks run."""


def free_memory(device: torch.device) -> int:
    """Bytes of a device that nothing uses."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
