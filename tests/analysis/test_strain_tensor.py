"""Several reflections of one crystal: the tensor of a known displacement field, whatever twin and place each image has."""

import json
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from commands import status_of
from scipy import ndimage
from scipy.spatial.transform import Rotation

import autophasenn as ap
from autophasenn.analysis.inside import interior
from autophasenn.analysis.reflections import laid_on_each_other
from autophasenn.analysis.series import turned
from autophasenn.analysis.tensor import COMPONENTS, PLACES, Joint, strain_tensor, with_displacement
from autophasenn.image import CrystalImage
from autophasenn.phasing.ensemble import Ensemble
from autophasenn.phasing.schedule import error_reduction
from autophasenn.physics.geometry import describe
from autophasenn.pipeline import strain_tensor as pipeline
from autophasenn.pipeline.analyse import subject_in

A = 0.408e-9
HKL = ((1, 1, 1), (-1, 1, 1), (1, -1, 1), (0, 0, 2))
COMBINED = (*HKL[:3], (1, 1, -1))
"""The last one is a combination of all others; of `HKL` it is one of the second and the third alone."""
U = Rotation.from_rotvec([0.3, 0.2, 0.1]).as_matrix()
"""From the cubic axes to the sample frame."""
BENT = np.random.default_rng(0).normal(size=(3, 3, 3)) * 2e3
"""Of u_i = BENT_ijk r_j r_k / 2: the strain grows evenly through the crystal, 1/m."""


def field(places: np.ndarray) -> np.ndarray:
    return np.einsum("ijk,j...,k...->i...", BENT, places, places) / 2


def distortion(places: np.ndarray) -> np.ndarray:
    """du_i / dr_k."""
    return np.einsum("ijk,j...->ik...", (BENT + BENT.transpose(0, 2, 1)) / 2, places)


def lopsided(places: np.ndarray) -> np.ndarray:
    x, y, z = places * 1e9
    return (abs(x) < 80) & (abs(y) < 60) & (abs(z) < 70) & (x + y + z < 120) & (x - y < 100)


def block(places: np.ndarray) -> np.ndarray:
    x, y, z = places * 1e9
    return (abs(x) < 80) & (abs(y) < 60) & (abs(z) < 70)


def seen(hkl, voxel=4e-9, shift=(0.0, 0.0, 0.0), twin=False, body=lopsided, noise=0.0) -> CrystalImage:
    """What a perfect phasing of a reflection gives: in its own voxels, at its own place, as either twin."""
    q = U @ (2 * np.pi / A * np.array(hkl, float))
    places = (np.indices((61, 61, 61)) - 30 - np.reshape(shift, (3, 1, 1, 1))) * voxel
    inside = body(places)
    phase = 0.7 - np.tensordot(q, field(places), 1)
    phase += noise * np.random.default_rng(abs(np.array(hkl) @ (9, 3, 1))).normal(size=phase.shape)
    spread = None if not noise else np.where(inside, noise, np.nan).astype(np.float32)
    image = CrystalImage(
        inside.astype(np.float32), np.where(inside, phase, np.nan).astype(np.float32), inside,
        voxel_size=(voxel,) * 3, scattering_vector=q, phase_spread=spread,
    )  # fmt: skip
    return turned(image) if twin else image


def errors(tensor, body=lopsided) -> dict[str, float]:
    """Root mean square error of each component over its spread."""
    shape = tensor.support.shape
    places = (np.indices(shape) - np.reshape([n // 2 for n in shape], (3, 1, 1, 1))) * tensor.voxel_size[0]
    true = np.einsum("ab,bc...,dc->ad...", tensor.to_axes, distortion(places), tensor.to_axes)
    inside = interior(tensor.support, 2)
    found = {}
    for name, (j, k), values in zip(COMPONENTS, PLACES, tensor.strain_map, strict=True):
        truth = ((true[j, k] + true[k, j]) / 2)[inside]
        difference = values[inside] - truth
        found[name] = float(difference.std() / truth.std())
    turns = [(true[k, j] - true[j, k])[inside] / 2 for j, k in ((1, 2), (2, 0), (0, 1))]
    for name, truth, values in zip("xyz", turns, tensor.rotation_map, strict=True):
        found[f"rotation {name}"] = float((values[inside] - truth).std() / truth.std())
    return found


PLACED = (
    {"voxel": 4e-9},
    {"voxel": 4.3e-9, "shift": (1.3, -0.6, 0.2), "twin": True},
    {"voxel": 3.7e-9, "shift": (-2.2, 1.1, 0.0)},
    {"voxel": 4e-9, "shift": (0.5, 0.5, -0.5), "twin": True},
)


@pytest.mark.parametrize("count", [3, 4])
@pytest.mark.parametrize("axes", ["sample", "cubic"])
def test_reflections_together_give_the_strain_tensor_and_rotation_of_a_known_field(count: int, axes: str) -> None:
    images = [seen(hkl, **how) for hkl, how in zip(HKL[:count], PLACED, strict=False)]
    tensor = strain_tensor(laid_on_each_other(images, hkl=HKL[:count]), axes)
    assert tensor.twins == (False, True, False, True)[:count]
    assert max(errors(tensor).values()) < 0.02
    assert tensor.to_axes == pytest.approx(U.T if axes == "cubic" else np.eye(3), abs=1e-9)
    assert tensor.lattice is not None
    assert [tensor.lattice.a.value, tensor.lattice.c.value] == pytest.approx([0.408, 0.408])
    assert tensor.lattice.alpha.value == pytest.approx(90)


def test_the_displacement_is_that_of_the_field_but_for_a_shift_and_a_uniform_distortion() -> None:
    tensor = strain_tensor(laid_on_each_other([seen(hkl) for hkl in HKL]), "sample")
    shape = tensor.support.shape
    inside = tensor.support
    places = (np.argwhere(inside) - np.array([n // 2 for n in shape])) * tensor.voxel_size[0]
    rest = tensor.displacement_map[:, inside].T - field(places.T).T
    plane = np.column_stack([places, np.ones(len(places))])
    rest -= plane @ np.linalg.lstsq(plane, rest, rcond=None)[0]
    assert rest.std() < 0.01 * field(places.T).std()


def test_a_fourth_reflection_decides_the_twins_of_a_body_that_is_its_own_inversion() -> None:
    images = [seen(hkl, twin=i in (1, 3), body=block) for i, hkl in enumerate(COMBINED)]
    four = strain_tensor(laid_on_each_other(images), "sample")
    assert four.twins == (False, True, False, True)
    assert not any(four.guessed)
    assert four.disagreement.value < 0.01
    assert max(errors(four, block).values()) < 0.02
    three = laid_on_each_other(images[:3])
    assert [each.is_guess for each in three] == [False, True, True]
    assert any("guess" in note for note in strain_tensor(three).notes)


def test_a_twin_is_a_guess_where_the_other_reflections_lie_in_a_plane_however_many_there_are() -> None:
    last_alone = [seen(hkl, body=block) for hkl in ((1, 1, 1), (1, -1, 1), (2, 0, 2), (0, 0, 2))]
    placed = laid_on_each_other(last_alone)
    assert [each.is_guess for each in placed] == [False, False, False, True]
    assert not any(each.is_twin for each in placed[:3])
    first_alone = [seen(hkl, body=block) for hkl in HKL]  # -111 and 1-11 are 002 together
    assert [each.is_guess for each in laid_on_each_other(first_alone)] == [False, True, True, True]


def test_uncertainties_are_those_that_noise_of_the_phases_makes() -> None:
    clean = strain_tensor(laid_on_each_other([seen(hkl) for hkl in HKL]), "sample")
    noisy = strain_tensor(laid_on_each_other([seen(hkl, noise=0.05) for hkl in HKL]), "sample")
    inside = interior(clean.support & noisy.support, 2)
    assert noisy.strain_spread is not None
    made = np.std((noisy.strain_map - clean.strain_map)[:, inside], axis=1)
    said = np.sqrt(np.mean(np.square(noisy.strain_spread[:, inside]), axis=1))
    assert said / made == pytest.approx(np.ones(6), rel=0.15)


def test_what_the_reflections_disagree_in_makes_the_uncertainties_larger() -> None:
    images = [seen(hkl, noise=0.05) for hkl in HKL]
    sure = [replace(each, phase_spread=each.phase_spread / 10) for each in images]
    honest = strain_tensor(laid_on_each_other(images), "sample")
    tensor = strain_tensor(laid_on_each_other(sure), "sample")
    assert tensor.strain[0].mean.basis.startswith("what the reflections disagree in")
    assert np.nanmean(tensor.strain_spread) == pytest.approx(np.nanmean(honest.strain_spread), rel=0.2)


def test_reconstructions_that_agree_to_the_last_digit_leave_the_uncertainty_to_the_disagreement() -> None:
    images = [seen(hkl, noise=0.05) for hkl in HKL]
    alike = [replace(each, phase_spread=0 * each.phase_spread) for each in images]
    unknown = [replace(each, phase_spread=None) for each in images]
    without, zero = (strain_tensor(laid_on_each_other(each), "sample") for each in (unknown, alike))
    assert np.nanmin(zero.strain_spread) > 0
    np.testing.assert_allclose(zero.strain_spread, without.strain_spread, rtol=1e-5)


def test_how_far_three_scattering_vectors_are_from_a_cell_is_not_known() -> None:
    off = [strain_tensor(laid_on_each_other([seen(h) for h in HKL[:n]], hkl=HKL[:n])).lattice.off.value for n in (3, 4)]
    assert off[0] is None
    assert off[1] == pytest.approx(0, abs=1e-9)


def test_twins_that_agree_as_well_the_other_way_round_stay_a_guess() -> None:
    images = [seen(hkl, twin=i in (1, 3), body=block) for i, hkl in enumerate(HKL)]
    found = laid_on_each_other(images)
    assert [each.is_guess for each in found] == [False, True, True, True]
    twins = [each.is_twin for each in found]
    assert twins in ([False, True, False, True], [False, False, True, False])  # all but the first as one
    assert any("is a guess; more reflections decide it" in note for note in strain_tensor(found).notes)


def test_many_reflections_of_a_body_that_is_its_own_inversion_find_their_twins_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from autophasenn.analysis import reflections

    asked = []
    gradients = reflections.phase_gradients
    monkeypatch.setattr(reflections, "phase_gradients", lambda *given: asked.append(0) or gradients(*given))
    many = (*HKL, (2, 0, 0), (0, 2, 0), (2, 2, 0), (2, -2, 0))
    twins = tuple(i in (1, 3, 6) for i in range(len(many)))
    images = [seen(hkl, voxel=8e-9, twin=twin, body=block) for hkl, twin in zip(many, twins, strict=True)]
    assert tuple(each.is_twin for each in laid_on_each_other(images)) == twins
    assert len(asked) <= 2 * len(many)  # not each of 2^7 choices


def without_geometry(image: CrystalImage) -> CrystalImage:
    return replace(image, voxel_size=None, scattering_vector=None)


def test_images_that_make_no_tensor_are_refused_in_one_sentence() -> None:
    first, second, third = (seen(hkl) for hkl in HKL[:3])
    along = replace(third, scattering_vector=2 * second.scattering_vector)
    larger = replace(third, voxel_size=(6e-9,) * 3)
    nothing = replace(third, support=np.zeros_like(third.support))
    torn = replace(third, amplitude=np.where(third.amplitude > 0, np.nan, 0))
    bent = replace(third, phase=np.where(np.indices(third.shape)[0] == 30, np.nan, third.phase))
    for images, words in (
        ([first, second, nothing], "image 3 shows no body"),
        ([first, second, torn], f"image 3 has no number in {third.support.sum()} voxels of its body"),
        ([first, second, bent], f"image 3 has no number in {third.support[30].sum()} voxels of its body"),
        ([first, second, replace(third, scattering_vector=np.zeros(3))], r"image 3 has the scattering vector \[0.0, "),
        ([first, second], "needs three reflections"),
        ([first, second, along], "in one plane"),
        ([first, second, without_geometry(third)], "image 3 has no geometry"),
        ([first, second, larger], "body of image 3 is not that of the first image"),
    ):
        with pytest.raises(ap.InputError, match=words) as refused:
            laid_on_each_other(images)
        assert "\n" not in str(refused.value)


def test_components_of_a_lattice_that_is_not_cubic_stay_in_the_sample_frame() -> None:
    skewed = np.array([[1, 0.3, 0], [0, 1, 0], [0, 0, 1.0]])
    images = [seen(hkl) for hkl in HKL]
    images = [replace(each, scattering_vector=skewed @ each.scattering_vector) for each in images]
    placed = laid_on_each_other(images, hkl=HKL)
    tensor = strain_tensor(placed)
    assert tensor.axes == "sample"
    assert any("not a cubic one" in note for note in tensor.notes)
    with pytest.raises(ap.InputError, match="no cubic axes"):
        strain_tensor(placed, "cubic")


def test_indices_that_do_not_fit_are_refused() -> None:
    placed = laid_on_each_other([seen(hkl) for hkl in HKL[:3]], hkl=((1, 1, 1), (1, -1, 1), (-1, 1, 1)))
    with pytest.raises(ap.InputError, match="left-handed"):
        strain_tensor(placed)
    placed = laid_on_each_other([seen(hkl) for hkl in HKL[:3]], hkl=((1, 1, 1), (2, 2, 2), (-1, 1, 1)))
    with pytest.raises(ap.InputError, match="lie in one plane"):
        strain_tensor(placed)
    placed = laid_on_each_other([seen(hkl) for hkl in HKL], hkl=(*HKL[1:], HKL[0]))
    with pytest.raises(ap.InputError, match=r"do not fit their scattering vectors, which are \d\d % off"):
        strain_tensor(placed)
    with pytest.raises(ap.InputError, match="indices of all"):
        strain_tensor(laid_on_each_other([seen(hkl) for hkl in HKL[:3]]), "cubic")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three reflections of a lopsided crystal, each with the sample turned otherwise; the last one does not say how.

    The object is the true one: what phasing finds is not the point here.
    """
    folder = tmp_path_factory.mktemp("reflections")
    quick = ap.Plan(retrieval=Ensemble(starts=1, polish=0, schedule=error_reduction(5)))
    made = []
    for number, hkl in enumerate((*HKL[:3], HKL[2])):
        turn = Rotation.from_rotvec([0.4 * number, -0.3, 0.2 * number]).as_matrix()
        voxel = 8e-9
        places = np.einsum("ba,b...->a...", turn, (np.indices((32, 32, 32)) - 16) * voxel)
        q = U @ (2 * np.pi / A * np.array(hkl, float))
        rho = np.where(lopsided(places), np.exp(-1j * np.tensordot(q, field(places), 1)), 0)
        wave = np.fft.fftshift(np.fft.fftn(rho))
        counts = np.random.default_rng(number).poisson(np.abs(wave) ** 2 / (np.abs(wave) ** 2).sum() * 3e7)
        pattern = ap.Pattern(
            counts.astype(np.uint32), reciprocal_steps=np.eye(3) * 2 * np.pi / (32 * voxel), scattering_vector=turn @ q,
            sample_rotation=None if number == 3 else turn, name=f"reflection {number}",
        )  # fmt: skip
        made.append(folder / f"r{number}")
        result = ap.reconstruct(pattern, method="iterative", plan=quick, force=True)
        true = torch.from_numpy(rho.astype(np.complex64))
        found = replace(result.reconstruction, object=true, support=true.abs() > 0)
        replace(result, reconstruction=found).save(made[-1], figures=False)
    return made


def run(*words: object) -> int:
    return status_of("strain-tensor", *words)


def test_the_command_writes_numbers_volumes_and_a_figure(results: list[Path], tmp_path: Path, capsys) -> None:
    indices = [word for hkl in HKL[:3] for word in (f"--hkl={','.join(map(str, hkl))}",)]
    assert run(*results[:3], *indices, "-o", tmp_path / "tensor") == 0
    said = capsys.readouterr().out
    assert "strain xx" in said
    assert "mean unit cell" in said
    written = json.loads((tmp_path / "tensor" / "strain_tensor.json").read_text())
    assert set(written["strain"]) == set(COMPONENTS)
    assert written["axes"] == "cubic"
    assert written["lattice"]["a"]["value"] == pytest.approx(0.408, rel=1e-3)
    volumes = np.load(tmp_path / "tensor" / "volumes.npz")
    assert volumes["strain_xy"].shape == volumes["support"].shape
    assert {".json", ".npz", ".nxs", ".vti", ".png"} <= {each.suffix for each in (tmp_path / "tensor").iterdir()}
    assert run(*results[:3], "-o", tmp_path / "tensor") == 2  # there is one already


def test_a_result_whose_sample_frame_is_unknown_is_named(results: list[Path], tmp_path: Path, capsys) -> None:
    assert run(results[0], results[1], results[3], "-o", tmp_path / "tensor") == 2
    assert "r3: The image cannot be shown in the sample frame" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "tensor").exists()


@pytest.mark.parametrize("indices", ["1,1", "1,1,x", "1,1,1001", f"1,1,1{400 * '0'}"])
def test_indices_that_no_crystal_has_are_refused_before_any_work(tmp_path: Path, indices: str, capsys) -> None:
    assert run("a", "b", "c", "--hkl=1,1,1", f"--hkl={indices}", "--hkl=0,0,2", "-o", tmp_path / "tensor") == 2
    assert "give three whole numbers as in 1,-1,1" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("name", ["reciprocal_steps", "scattering_vector"])
def test_a_result_whose_pattern_lost_its_geometry_is_refused(results: list[Path], tmp_path: Path, name: str) -> None:
    copy = shutil.copytree(results[1], tmp_path / "copy")
    with h5py.File(copy / "result.cxi", "r+") as file:
        del file[f"entry_1/instrument_1/detector_1/{name}"]
    with pytest.raises(ap.InputError, match="its pattern none, so that it cannot be shown in the sample frame"):
        ap.analyse(copy, options=ap.AnalysisOptions(frame="sample"))


@pytest.mark.parametrize("factor", [0.05, 20.0])
def test_a_result_whose_steps_contradict_its_image_is_refused_as_it_is_read(
    results: list[Path], tmp_path: Path, factor: float, capsys
) -> None:
    """Also where steps and voxels of the object were edited alike, which took minutes before anything was said."""
    copy = shutil.copytree(results[1], tmp_path / "copy")
    with h5py.File(copy / "result.cxi", "r+") as file:
        file["entry_1/instrument_1/detector_1/reciprocal_steps"][...] *= factor
        file["entry_1/image_1/voxel_vectors"][...] /= factor
    began = time.perf_counter()
    assert run(results[0], copy, results[2], "-o", tmp_path / "tensor") == 2
    assert time.perf_counter() - began < 20, "it is refused before anything is calculated"
    said = " ".join(capsys.readouterr().err.split())
    assert "copy: " in said
    assert "reciprocal_steps and entry_1/image_2/voxel_size contradict each other" in said


def test_from_python_it_is_a_value(results: list[Path]) -> None:
    """And what its images make doubtful is said."""
    assert {ap.load(each).report.status for each in results[:3]} <= {"unchecked", "poor"}
    tensor = ap.strain_tensor(results[:3], hkl=HKL[:3])
    (doubted,) = (note for note in tensor.notes if "not believed" in note)
    assert len(re.findall(r"\((unchecked|poor)\)", doubted)) == 3
    assert tensor.strain_map.shape == (6, *tensor.support.shape)
    with pytest.raises(ap.InputError, match="3 results and the indices of 2"):
        ap.strain_tensor(results[:3], hkl=HKL[:2])
    with pytest.raises(ap.PlanError, match="list of three"):
        ap.strain_tensor(str(results[0]))


def erring(path: Path, seed: int) -> ap.Result:
    """A result whose phase errs from voxel to voxel, by half a radian."""
    result = ap.load(path)
    found = result.reconstruction
    noise = 0.5 * torch.randn(found.object.shape, generator=torch.Generator().manual_seed(seed))
    rho = found.object * torch.polar(torch.ones_like(noise), noise)
    return replace(result, reconstruction=replace(found, object=rho))


def test_patterns_phased_together_mend_images_that_err(results: list[Path]) -> None:
    given = [erring(each, i) for i, each in enumerate(results[:3])]
    alone, together = (ap.strain_tensor(given, axes="sample", joint=joint) for joint in (False, True))
    assert alone.joint is None
    assert together.joint is not None
    assert together.joint.is_kept
    assert max(together.joint.free_errors) < min(together.joint.free_errors_alone)
    assert any("phased together" in note for note in together.notes)
    erred, mended = errors(alone), errors(together)
    assert max(mended.values()) < 0.5 * min(erred.values())
    np.testing.assert_array_equal(together.strain_spread is None, alone.strain_spread is None)


def test_a_displacement_given_as_what_the_reflections_say_gives_their_tensor() -> None:
    tensor = strain_tensor(laid_on_each_other([seen(hkl) for hkl in HKL], hkl=HKL), "cubic")
    moved = np.tensordot(tensor.to_axes.T, np.nan_to_num(tensor.displacement_map), 1)
    again = with_displacement(tensor, moved, tensor.amplitude, Joint(True, (0.0,), (0.0,)))
    inside = interior(tensor.support)
    scale = np.abs(tensor.strain_map[:, inside]).max()
    for name in ("strain_map", "rotation_map"):
        np.testing.assert_allclose(getattr(again, name)[:, inside], getattr(tensor, name)[:, inside], atol=1e-3 * scale)
    np.testing.assert_allclose(again.displacement_map[:, inside], tensor.displacement_map[:, inside], atol=1e-14)
    assert again.strain[3].std.value == pytest.approx(tensor.strain[3].std.value, rel=1e-3)
    assert again.strain[3].mean.uncertainty == pytest.approx(tensor.strain[3].mean.uncertainty, rel=1e-3)


@pytest.mark.parametrize("edge", [0.0, 1.2], ids=["a sharp edge", "a soft edge"])
def test_patterns_that_no_one_crystal_has_leave_the_tensor_of_the_images(results: list[Path], edge: float) -> None:
    given = [ap.load(each) for each in results[:3]]
    objects = [each.reconstruction.object for each in given]
    objects[2] = objects[2].conj().resolve_conj()  # another displacement field in the same body
    for number, (each, sharp) in enumerate(zip(given, objects, strict=True)):
        amplitude = torch.from_numpy(ndimage.gaussian_filter(sharp.abs().numpy(), edge)) if edge else sharp.abs()
        rho = torch.polar(amplitude, sharp.angle())
        wave = torch.fft.fftshift(torch.fft.fftn(rho)).abs().square()
        counts = torch.poisson(wave * ((1e6 if edge else 3e7) / wave.sum()), torch.Generator().manual_seed(number))
        image = replace(each.reconstruction, object=rho, support=amplitude > 0.01, kernel=None)
        given[number] = replace(each, pattern=replace(each.pattern, counts=counts), reconstruction=image)
    alone, together = (ap.strain_tensor(given, axes="sample", joint=joint) for joint in (False, True))
    assert together.joint is not None
    assert not together.joint.is_kept
    np.testing.assert_array_equal(together.strain_map, alone.strain_map)
    assert any("do not explain the voxels that were held out clearly better" in note for note in together.notes)


def test_a_body_that_explains_one_pattern_worse_or_all_hardly_better_is_not_kept() -> None:
    alone = (1.0, 1.0, 1.0)
    assert pipeline.is_better((0.85, 1.04, 0.85), alone)
    assert not pipeline.is_better((0.5, 1.2, 0.5), alone)
    assert not pipeline.is_better((0.95, 0.95, 0.95), alone)
    assert not pipeline.is_better((0.5, float("nan"), 0.5), alone)


def test_without_held_out_voxels_nothing_is_phased_together(results: list[Path]) -> None:
    given = [ap.load(each) for each in results[:3]]
    blind = [replace(each, plan=ap.Plan(free_fraction=0.0)) for each in given]
    tensor = ap.strain_tensor(blind, joint=True)
    assert tensor.joint is None
    assert any("no voxels are known that were held out" in note for note in tensor.notes)


def test_the_command_says_whether_the_patterns_were_phased_together(
    results: list[Path], tmp_path: Path, capsys
) -> None:
    assert run(*results[:3], "--joint", "-o", tmp_path / "tensor", "--formats", "none") == 0
    assert "on held-out voxels" in " ".join(capsys.readouterr().out.split())
    written = json.loads((tmp_path / "tensor" / "strain_tensor.json").read_text())
    assert len(written["joint"]["free_errors"]) == 3


@pytest.mark.parametrize("is_assumed", [True, False])
def test_a_unit_cell_says_where_the_direct_beam_was_assumed(
    results: list[Path], monkeypatch: pytest.MonkeyPatch, is_assumed: bool
) -> None:
    monkeypatch.setattr(pipeline, "subject_in", lambda *a: replace(subject_in(*a), is_beam_assumed=is_assumed))
    notes = ap.strain_tensor(results[:3], hkl=HKL[:3]).notes
    assert any("direct beam was assumed of" in note for note in notes) == is_assumed


def test_the_rotation_of_the_sample_is_a_rotation_and_stands_in_the_report() -> None:
    counts = np.random.default_rng(0).poisson(5.0, (16, 16, 16))
    known = {"reciprocal_steps": 1e7 * np.eye(3), "scattering_vector": np.array([1e10, 0, 0])}
    turned_by = ap.Pattern(counts, **known, sample_rotation=U)
    assert describe(turned_by.geometry, (8.0, 8.0))["sample_rotation"] == pytest.approx(U)
    rounded = ap.Pattern(counts, **known, sample_rotation=np.round(U, 4)).geometry.sample_rotation
    assert (rounded @ rounded.T).numpy() == pytest.approx(np.eye(3), abs=1e-9)
    with pytest.raises(ap.GeometryError, match="is no rotation"):
        ap.Pattern(counts, **known, sample_rotation=np.diag([1.0, 1.0, -1.0]))
    with pytest.raises(ap.InputError, match="without reciprocal_steps"):
        ap.Pattern(counts, sample_rotation=U)


def test_a_geometry_of_steps_may_say_what_the_sample_circles_did(tmp_path: Path) -> None:
    file = tmp_path / "geometry.yaml"
    steps = "reciprocal_steps_per_nm: [[0.01, 0, 0], [0, 0.01, 0], [0, 0, 0.01]]\nq_per_nm: [20, 5, -7]\n"
    file.write_text(steps + f"sample_rotation: {U.tolist()}\n")
    np.save(tmp_path / "counts.npy", np.random.default_rng(0).poisson(5.0, (16, 16, 16)))
    pattern = ap.load(tmp_path / "counts.npy", instrument=ap.Instrument(geometry=file))
    assert describe(pattern.geometry, (8.0, 8.0))["sample_rotation"] == pytest.approx(U)
