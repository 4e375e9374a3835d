"""The paper's network taught by images that were made from patterns alone, and then by diffraction: no label anywhere.

    python benchmarks/teach_paper_network.py pool POOL --count 3200            # patterns, and the unrolled network's images
    python benchmarks/teach_paper_network.py teach POOL -o runs/taught         # begin, or go on after any end

A pattern has two images, the crystal and its twin, and a network that is to give either learns to give their mean and stays
there. So a rule chooses one (`chosen_twin`), and the network learns to give that; then whichever is nearer to what it gives;
at last diffraction takes over, as in all other trainings. The images are those of the unrolled network, which has
learned without labels itself; those that fit their pattern poorly are left out. Every pattern comes again in any of the 48
orientations of the cube. The simulator's objects are thrown away as soon as the patterns are made.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from autophasenn.errors import AutoPhaseNNError, InputError
from autophasenn.experiment.experiment import simulate
from autophasenn.experiment.recipes import recipe
from autophasenn.files.writing import write_atomically
from autophasenn.network import weights
from autophasenn.network.architectures import build
from autophasenn.network.autophasenn import AutoPhaseNN, AutoPhaseNNDesign
from autophasenn.network.loss import root_chi2, unit_modulus
from autophasenn.network.predict import Inference, Predictor
from autophasenn.physics.ambiguity import translate
from autophasenn.physics.fourier import diffract_padded
from autophasenn.physics.metrics import chi2_of_intensity, support_of
from autophasenn.physics.symmetry import ELEMENTS, symmetry
from autophasenn.training import checkpoint
from autophasenn.training.average import Average
from autophasenn.training.checkpoint import Course
from autophasenn.training.muon import Muon
from autophasenn.volumes import OBJECT, PATTERN, SPATIAL, Objects, Volume, crop_or_pad, twin

BLOCK = 64
"""Patterns in a file of the pool."""
DIRECTION = (3.0, 2.0, 1.0)
"""Along which the crystal's skewness must be positive: no symmetry of the cube leaves it as it is."""
NOISE = 2.5
"""Mean squared misfit of the root of the counts above which an image is left out; counting noise alone gives 0.25 to 0.5."""
AMPLITUDE = 0.5
"""Root mean square of the images in their support, in the middle of what the network's sigmoid can give."""
DARK = -2.5
"""Of the amplitude's bias at the beginning: most voxels lie outside of the crystal."""


@dataclass(frozen=True)
class Teaching:
    """How it is taught.

    Parameters
    ----------
    samples, batch : int
    learning_rate : float
    average : float
        Memory of the moving average of the weights, a step.
    nearer, diffraction : float
        Shares of the samples from which on the nearer twin counts, and diffraction takes over.
    image_weight : float
        Weight of the images once diffraction has taken over.
    seed : int
    """

    samples: int = 30_000
    batch: int = 16
    learning_rate: float = 2e-3
    average: float = 0.99
    nearer: float = 0.45
    diffraction: float = 0.8
    image_weight: float = 0.25
    seed: int = 1

    def rate(self, seen: int) -> float:
        """Learning rate after `seen` samples: a short rise, then half a cosine to a fiftieth."""
        rise = min(1.0, (seen + 1) / 1500)
        return self.learning_rate * rise * (0.02 + 0.49 * (1 + math.cos(math.pi * min(1.0, seen / self.samples))))


def make_pool(folder: Path, count: int, seed: int) -> None:
    """Patterns of the paper's recipe and the images that the package's network makes of them; goes on where it ended."""
    folder.mkdir(parents=True, exist_ok=True)
    predictor = Predictor.from_file(None, Inference(None, starts=4))
    for first in range(0, count, BLOCK):
        path = folder / f"{first:06d}.safetensors"
        if path.exists():
            continue
        made = simulate(*recipe("polyhedra", "paper"), seed, range(first, first + BLOCK))
        images = predictor.predict(made.counts, made.masks, seed)
        intensity = diffract_padded(images, PATTERN).abs().square()
        chi2 = chi2_of_intensity(intensity, made.counts, made.masks)
        misfit = chi2 * made.counts.sum(SPATIAL) / (made.counts > 0).sum(SPATIAL)
        modulus = made.counts.sqrt()
        with write_atomically(path) as temporary:
            content = {
                "modulus": (modulus / modulus.amax(SPATIAL, keepdim=True)).half(),
                "image": torch.view_as_real(placed(images)).half(),
                "misfit": misfit,
            }
            save_file(content, temporary)
        print(f"{first + BLOCK} of {count}", flush=True)


def placed(images: Objects) -> Objects:
    """Images with their centre of mass at voxel 16, a mean phase of 0 and an amplitude of `AMPLITUDE`."""
    found = []
    for image in images:
        weight = image.abs().square()
        axes = [torch.arange(n) - n // 2 for n in image.shape]
        total = weight.sum()
        by_axis = [weight.sum([other for other in range(3) if other != axis]) for axis in range(3)]
        first, second, third = (-float((w * place).sum() / total) for w, place in zip(by_axis, axes, strict=True))
        moved = crop_or_pad(translate(crop_or_pad(image, PATTERN), (first, second, third)), OBJECT)
        turn = torch.conj_physical((moved * moved.abs()).sum()).sgn()
        inside = support_of(moved)
        scale = AMPLITUDE / moved[inside].abs().square().mean().sqrt()
        found.append(moved * turn * scale)
    return torch.stack(found)


def chosen_twin(images: Objects) -> Objects:
    """Of every image and its twin the one whose density is skewed along `DIRECTION`: its third moment is positive there."""
    axis = (torch.arange(images.shape[-1]) - images.shape[-1] // 2).float()
    along = sum(
        part * axis.reshape([-1 if a == place else 1 for a in range(3)]) for place, part in enumerate(DIRECTION)
    )
    moment = (images.abs().square() * along**3).sum(SPATIAL, keepdim=True)
    return torch.where(moment < 0, twin(images), images)


def distance(objects: Objects, images: Objects, *, or_twin: bool = False) -> Tensor:
    """Relative error of every object, squared; to its image, or to the nearer of image and twin."""

    def of(image: Objects) -> Tensor:
        return (objects - image).abs().square().sum(SPATIAL) / image.abs().square().sum(SPATIAL)

    return torch.minimum(of(images), of(twin(images))) if or_twin else of(images)


class Pool:
    """The patterns and images of a folder, in memory.

    Raises
    ------
    InputError
        If there are none.
    """

    def __init__(self, folder: Path) -> None:
        blocks = [load_file(path) for path in sorted(folder.glob("*.safetensors"))]
        if not blocks:
            raise InputError(f"There is no pool in {folder}; make it with `teach_paper_network.py pool {folder}`.")
        good = torch.cat([block["misfit"] for block in blocks]) < NOISE
        self.modulus, self.images = (torch.cat([b[name] for b in blocks])[good] for name in ("modulus", "image"))

    def batches(self, teaching: Teaching, first: int) -> Iterator[tuple[Volume, Objects]]:
        """Moduli and images of all steps from `first` on; those of a step depend on the seed and its number alone."""
        for step in range(first, -(-teaching.samples // teaching.batch)):
            draw = random.Random(f"{teaching.seed} {step}")
            drawn = [(draw.randrange(len(self.modulus)), draw.randrange(ELEMENTS)) for _ in range(teaching.batch)]
            moduli = torch.stack([symmetry(self.modulus[i].float(), element) for i, element in drawn])
            images = [symmetry(torch.view_as_complex(self.images[i].float()), element) for i, element in drawn]
            yield moduli, chosen_twin(torch.stack(images))


def begun(design: AutoPhaseNNDesign, seed: int) -> AutoPhaseNN:
    """The network before its first step: dark, and without phase."""
    network = build(design, seed)
    assert isinstance(network, AutoPhaseNN)
    generator = torch.Generator().manual_seed(seed)
    for decoder, bias in ((network.amplitude, DARK), (network.phase, 0.0)):
        last = decoder[-1]
        assert isinstance(last, nn.Conv3d)
        assert last.bias is not None
        nn.init.normal_(last.weight, std=0.01, generator=generator)
        nn.init.constant_(last.bias, bias)
    return network


def teach(pool: Pool, output: Path, teaching: Teaching, design: AutoPhaseNNDesign, minutes: float = math.inf) -> int:
    """Begin, or go on, and write ``weights.safetensors``; the number of samples seen until then."""
    output.mkdir(parents=True, exist_ok=True)
    network = begun(design, teaching.seed)
    average = Average(network, teaching.average)
    optimiser = Muon(network.parameters(), teaching.learning_rate, weight_decay=1e-3)
    last, course = output / "last.safetensors", Course()
    if last.exists():
        course = checkpoint.load(last, network, average.network, optimiser)
    began, step = time.monotonic(), course.step
    sums: list[list[float]] = []
    for moduli, images in pool.batches(teaching, step):
        if time.monotonic() - began > 60 * minutes:
            break
        seen = step * teaching.batch
        share = seen / teaching.samples
        for group in optimiser.param_groups:
            group["lr"] = teaching.rate(seen)
        everywhere = torch.ones_like(moduli, dtype=torch.bool)
        with torch.autocast("cpu", torch.bfloat16):
            (stage,) = network(moduli.square(), everywhere)
        error = distance(stage.objects, images, or_twin=share > teaching.nearer)
        loss = (error + 1e-4).sqrt().mean()
        if share > teaching.diffraction:
            misfit = root_chi2(stage.waves, unit_modulus(moduli.square(), everywhere), everywhere).mean()
            loss = misfit + teaching.image_weight * loss
        optimiser.zero_grad()
        loss.backward()
        if math.isfinite(float(nn.utils.clip_grad_norm_(network.parameters(), 1.0))):
            optimiser.step()
        step += 1
        average.update(network, step)
        sums.append([float(loss.detach()), float(error.detach().mean())])
        if step % 100 == 0:
            checkpoint.save(last, Course(step), network, average.network, optimiser)
            means = torch.tensor(sums).mean(0).tolist()
            rate = len(sums) * teaching.batch / (time.monotonic() - began)
            print(json.dumps({"seen": seen, "loss": means[0], "error": means[1], "per_second": rate}), flush=True)
            sums, began, minutes = [], time.monotonic(), minutes - (time.monotonic() - began) / 60
    checkpoint.save(last, Course(step), network, average.network, optimiser)
    card = {"made_by": "benchmarks/teach_paper_network.py", "samples": step * teaching.batch, "seed": teaching.seed}
    weights.save(average.network, card, output / "weights.safetensors")
    return step * teaching.batch


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("pool", "teach"):
        command = commands.add_parser(name)
        command.add_argument("pool", type=Path)
        command.add_argument("--seed", type=int, default=20260 if name == "pool" else 1)
        command.add_argument("--threads", type=int, default=1)
    commands.choices["pool"].add_argument("--count", type=int, default=3200)
    commands.choices["teach"].add_argument("-o", "--output", type=Path, required=True)
    commands.choices["teach"].add_argument("--samples", type=int, default=Teaching.samples)
    commands.choices["teach"].add_argument("--width", type=int, default=24)
    commands.choices["teach"].add_argument("--minutes", type=float, default=math.inf)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        if options.command == "pool":
            make_pool(options.pool, options.count, options.seed)
        else:
            design = AutoPhaseNNDesign(width=options.width, gathered=4, patterson=True)
            teaching = Teaching(samples=options.samples, seed=options.seed)
            seen = teach(Pool(options.pool), options.output, teaching, design, options.minutes)
            print(f"{seen} of {teaching.samples} samples; weights in {options.output / 'weights.safetensors'}")
    except AutoPhaseNNError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
