"""Prediction gives what the network gives, whatever is done to make it quick."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.errors import InputError, PlanError
from autophasenn.experiment.experiment import Experiment, simulate
from autophasenn.network import onednn, predict, weights
from autophasenn.network.architectures import Network, build
from autophasenn.network.autophasenn import AutoPhaseNN, AutoPhaseNNDesign
from autophasenn.network.folding import EdgedConvolution, folded
from autophasenn.network.predict import Inference, Predictor, weights_file
from autophasenn.network.unrolled import UnrolledDesign
from autophasenn.physics.metrics import chi2
from autophasenn.physics.symmetry import inverse, symmetry
from autophasenn.randomness import Stream, generator_of
from autophasenn.volumes import crop_or_pad

EXACT = Inference("float32")


@pytest.fixture(scope="module")
def patterns() -> tuple[torch.Tensor, torch.Tensor]:
    samples = simulate(Polyhedra(), Experiment(), 3, range(3))
    return samples.counts, samples.masks


@pytest.fixture(scope="module")
def network() -> Network:
    return build(UnrolledDesign(stages=2, width=4, memory=1), 5).eval()


def trained_looking(turned: bool, design: AutoPhaseNNDesign | None = None) -> AutoPhaseNN:
    """The paper's network, narrow, with statistics as training leaves them; `turned`: some scales are negative."""
    made = build(design or AutoPhaseNNDesign(width=3), 1).eval()
    assert isinstance(made, AutoPhaseNN)
    generator = torch.Generator().manual_seed(2)
    for layer in made.modules():
        if isinstance(layer, nn.BatchNorm3d):
            for tensor, low, high in (
                (layer.running_mean, -1, 1),
                (layer.running_var, 0.3, 3),
                (layer.weight.data, -1 if turned else 0.3, 2),
                (layer.bias.data, -1, 1),
            ):
                tensor.uniform_(low, high, generator=generator)
    return made


def misfit_of(objects: torch.Tensor, counts: torch.Tensor, measured: torch.Tensor) -> torch.Tensor:
    return chi2(crop_or_pad(objects, counts.shape[1:]), counts, measured)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("design", [None, AutoPhaseNNDesign(width=2, gathered=4, patterson=True)])
def test_folding_the_normalisation_changes_nothing(
    patterns: tuple[torch.Tensor, torch.Tensor], turned: bool, design: AutoPhaseNNDesign | None
) -> None:
    plain = trained_looking(turned, design)
    quick = folded(plain)
    kept = [layer for layer in quick.modules() if isinstance(layer, nn.BatchNorm3d)]
    before_pooling = [level[0][-1] for level in plain.encoder]
    assert len(kept) == sum(bool((layer.weight <= 0).any()) for layer in before_pooling)  # the maximum is not theirs
    assert bool(kept) == turned
    assert any(isinstance(layer, EdgedConvolution) for layer in quick.modules())
    with torch.no_grad():
        expected, found = (each(*patterns)[-1].objects for each in (plain, quick))
    assert torch.allclose(found, expected, atol=1e-4)
    assert expected.abs().std() > 0.01


def test_an_edged_convolution_sees_zeros_beyond_the_edge() -> None:
    generator = torch.Generator().manual_seed(0)
    plain = nn.Conv3d(2, 3, 3, padding=1)
    scale, shift = torch.tensor([2.0, -1.0]), torch.tensor([5.0, 7.0])
    x = torch.randn(1, 2, 4, 4, 4, generator=generator)
    normalised = x * scale[:, None, None, None] + shift[:, None, None, None]
    with torch.no_grad():
        assert torch.allclose(EdgedConvolution(plain, (scale, shift))(x), plain(normalised), atol=1e-5)


@pytest.mark.skipif(not onednn.is_there(), reason="this PyTorch has no oneDNN")
@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_is_the_same_by_onednn(stride: int) -> None:
    plain = nn.Sequential(nn.Conv3d(4, 6, 1), nn.Sequential(nn.Conv3d(6, 5, 3, stride=stride, padding=1)))
    quick = deepcopy(plain)
    onednn.by_onednn(quick)
    assert isinstance(quick[0], nn.Conv3d)  # looks at no neighbours
    assert isinstance(quick[1][0], onednn.OneDNNConv3d)
    x = torch.randn(1, 4, 9, 9, 9, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(quick(x), plain(x), atol=1e-5)


def test_a_prediction_is_the_last_stage_of_the_network(
    network: Network, patterns: tuple[torch.Tensor, torch.Tensor]
) -> None:
    found = Predictor(network, EXACT).predict(*patterns, seed=9)
    with torch.no_grad():
        expected = network(*patterns, [generator_of(9, 0, Stream.START) for _ in range(3)])[-1].objects
    assert torch.allclose(found, expected, atol=1e-6 * float(expected.abs().max()))


def test_no_prediction_is_made_that_nobody_asked_for(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    made = list[int]()

    def counted(self: Predictor, counts: torch.Tensor, *_: object) -> torch.Tensor:
        made.append(len(counts))
        return counts

    monkeypatch.setattr(Predictor, "predict", counted)
    predictor = Predictor(network, EXACT)
    assert not made
    assert predictor.warm_up() is predictor
    assert made == [1]


def test_a_pattern_gives_the_same_object_in_any_batch(
    network: Network, patterns: tuple[torch.Tensor, torch.Tensor]
) -> None:
    counts, measured = patterns
    together = Predictor(network, EXACT).predict(counts, measured)
    in_turn = Predictor(network, replace(EXACT, batch=1)).predict(counts, measured)
    alone = Predictor(network, EXACT).predict(counts[2:3], measured[2:3])[0]
    limit = 1e-5 * float(together.abs().max())
    assert torch.allclose(in_turn, together, atol=limit)
    assert torch.allclose(alone, together[2], atol=limit)


def test_of_several_starts_the_best_fitting_is_kept(
    network: Network, patterns: tuple[torch.Tensor, torch.Tensor]
) -> None:
    counts, measured = patterns
    kept = Predictor(network, replace(EXACT, starts=3, poor=0.0)).predict(counts, measured, seed=4)
    with torch.no_grad():
        found = [
            network(counts, measured, [generator_of(4, start, Stream.START) for _ in counts])[-1].objects
            for start in range(3)
        ]
    misfits = torch.stack([misfit_of(objects, counts, measured) for objects in found])
    assert torch.allclose(misfit_of(kept, counts, measured), misfits.amin(0), rtol=1e-4)
    assert (misfits.std(0) > 0).all()


def test_the_papers_network_looks_at_a_poor_pattern_in_other_orientations_and_keeps_the_best_fitting(
    patterns: tuple[torch.Tensor, torch.Tensor],
) -> None:
    counts, measured = patterns
    network = trained_looking(False)
    kept = Predictor(network, replace(EXACT, starts=3, poor=0.0)).predict(counts, measured)
    found = [Predictor(network, replace(EXACT, starts=1)).predict(counts, measured, seed) for seed in range(3)]
    with torch.no_grad():
        as_measured = network(counts, measured)[-1].objects
        element = predict.APART
        other = network(symmetry(counts, element), symmetry(measured, element))[-1].objects
    assert torch.allclose(found[0], as_measured, atol=1e-4)
    assert torch.allclose(found[1], symmetry(other, inverse(element)), atol=1e-4)
    misfits = torch.stack([misfit_of(objects, counts, measured) for objects in found])
    assert torch.allclose(misfit_of(kept, counts, measured), misfits.amin(0), rtol=1e-3)
    assert (misfits.std(0) > 0).all()


def test_only_poor_objects_begin_again(network: Network, patterns: tuple[torch.Tensor, torch.Tensor]) -> None:
    once = Predictor(network, replace(EXACT, starts=1)).predict(*patterns)
    contented = Predictor(network, replace(EXACT, starts=3, poor=1e9)).predict(*patterns)
    assert torch.equal(once, contented)


def test_bfloat16_changes_an_object_by_its_rounding(
    network: Network, patterns: tuple[torch.Tensor, torch.Tensor]
) -> None:
    half, full = (
        Predictor(network, Inference(precision, starts=1, stages=1)).predict(*patterns)
        for precision in predict.PRECISIONS
    )
    assert not torch.equal(half, full)
    assert float((half - full).norm() / full.norm()) < 0.05


@pytest.mark.parametrize(
    ("can", "precision"),
    [
        ({"avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True}, "bfloat16"),
        ({"avx512_f": True}, "float32"),
        ({}, "float32"),
    ],
)
def test_bfloat16_is_taken_where_the_processor_multiplies_it(
    can: dict[str, bool], precision: str, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: can)
    assert Predictor(network).inference.precision == precision
    assert Predictor(network, Inference("float32")).inference.precision == "float32"


def test_the_network_given_is_left_as_it_was(network: Network) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    Predictor(network, Inference("bfloat16"))
    for name, value in network.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("junk", [1e6, -1.0, torch.nan, torch.inf])
def test_unmeasured_voxels_are_not_seen(
    network: Network, patterns: tuple[torch.Tensor, torch.Tensor], junk: float
) -> None:
    counts, measured = patterns[0][:1], patterns[1][:1].clone()
    measured[:, :, :9] = False
    predictor = Predictor(network, EXACT)
    expected = predictor.predict(counts, measured)
    assert torch.allclose(predictor.predict(torch.where(measured, counts, junk), measured), expected, atol=1e-6)


def test_weights_of_a_file_predict_as_the_network_that_was_saved(
    network: Network, patterns: tuple[torch.Tensor, torch.Tensor], tmp_path: Path
) -> None:
    weights.save(network, {}, tmp_path / "a.safetensors", torch.float32)
    found = Predictor.from_file(tmp_path / "a.safetensors", EXACT).predict(*patterns)
    assert torch.equal(found, Predictor(network, EXACT).predict(*patterns))


def test_patterns_of_another_size_are_refused(network: Network) -> None:
    predictor = Predictor(network, EXACT)
    with pytest.raises(InputError, match=r"64 x 64 x 64 voxels, and this one has 48 x 64 x 80; resample"):
        predictor.predict(torch.ones(1, 48, 64, 80), torch.ones(1, 48, 64, 80, dtype=torch.bool))


def test_no_pattern_and_a_mask_of_another_shape_are_refused(network: Network) -> None:
    predictor = Predictor(network, EXACT)
    counts = torch.ones(2, 64, 64, 64)
    for some, mask in ((counts[:0], counts[:0] > 0), (counts, counts[:1] > 0)):
        with pytest.raises(InputError, match="a mask of the same shape"):
            predictor.predict(some, mask)


def test_a_gpu_that_is_not_there_is_refused(network: Network) -> None:
    with pytest.raises(PlanError, match="'cuda:77' is not there; use --device cpu"):
        Predictor(network, EXACT, "cuda:77")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here")
def test_a_gpu_predicts_what_the_cpu_does(network: Network, patterns: tuple[torch.Tensor, torch.Tensor]) -> None:
    on_cpu, on_gpu = (Predictor(network, EXACT, device).predict(*patterns) for device in ("cpu", "cuda"))
    assert float((on_gpu - on_cpu).norm() / on_cpu.norm()) < 0.05


def test_options_that_make_no_sense_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="'float8' is not known; choose from bfloat16, float32"):
        Inference("float8")
    with pytest.raises(PlanError, match="starts is 0"):
        Inference(starts=0)
    monkeypatch.setitem(predict.SHIPPED, "unrolled", tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="no weights"):
        Predictor.from_file()


def test_where_memory_ends_the_batch_that_fits_is_said(network: Network) -> None:
    many = 2**23  # eight million patterns: 8 TiB
    counts = torch.ones(1, 64, 64, 64).expand(many, 64, 64, 64)
    measured = torch.ones(1, 64, 64, 64, dtype=torch.bool).expand(many, 64, 64, 64)
    with pytest.raises(InputError, match=rf"batch of {many} patterns does not fit.*about \d+ would fit"):
        Predictor(network, replace(EXACT, batch=many)).predict(counts, measured)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED")])
def test_where_one_pattern_is_too_much_the_memory_it_takes_is_said(
    network: Network, patterns: tuple[torch.Tensor, torch.Tensor], error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Predictor(network, EXACT)

    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr(predictor, "_best", failing)
    monkeypatch.setattr(predict, "free_memory", lambda device: 3 * 2**20)
    with pytest.raises(InputError, match="only 3 MiB are free, and one takes about 120: close"):
        predictor.predict(patterns[0][:1], patterns[1][:1])


def test_a_network_is_asked_for_by_its_name(tmp_path: Path) -> None:
    weights.save(build(UnrolledDesign(width=4)), {}, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match="not autophasenn; give another file"):
        Predictor.from_file(tmp_path / "a.safetensors", EXACT, network="autophasenn")
    with pytest.raises(InputError, match="'resnet' is not known; choose from unrolled, autophasenn"):
        weights_file(None, "resnet")
    assert weights_file() == predict.SHIPPED["unrolled"]
    for name, file in predict.SHIPPED.items():
        if file.is_file():
            assert weights.load(weights_file(None, name), name)[0].design.name.lower().startswith(name)
