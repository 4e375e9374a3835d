"""From every beamline's own files to the crystal in the laboratory frame: its size, the place of its cut corner, its strain.

Crystal and frames come from the independent forward model of `beamtime` and `solid`, whose axes and files are those of the
beamline; the command line reads and reconstructs them.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from layouts import LAYOUTS, Id01Spec, Sixs2019, Written
from scipy import ndimage
from solid import Solid, scan_of

from autophasenn import cli
from autophasenn.image import CrystalImage
from autophasenn.pipeline.result import Result

SIZE = 40
PHASED = [layout for layout in LAYOUTS if layout not in (Id01Spec, Sixs2019)]
"""One of every beamline; `test_beamlines.py` reads those that are left out."""
OPTION = {
    "energy_ev": "--energy",
    "distance_m": "--distance",
    "pixel_m": "--pixel",
    "direct_beam": "--direct-beam",
    "first_pixel": "--first-pixel",
}
"""Of a `Setup`, at the terminal. Where ID27's stages stood in the direct beam is where its file says that they stood."""
EDGE = 0.5
"""Of the amplitude inside: where a crystal that is seen at a limited resolution ends."""


def words_of(written: Written) -> list[str]:
    words = [word for name, value in written.options.items() for word in (f"--{name}", str(value))]
    for name, value in written.setup.items():
        if name in OPTION:
            words += [OPTION[name], ",".join(map(repr, value)) if isinstance(value, tuple) else repr(value)]
    return words


@pytest.mark.parametrize("layout", PHASED, ids=lambda layout: layout.__name__)
def test_size_cut_corner_and_strain_are_where_they_were(
    layout: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    e = scan_of(layout.experiment, SIZE)  # type: ignore[attr-defined]
    solid = Solid(e)
    written = layout.write(tmp_path, solid.counts(), e)  # type: ignore[attr-defined]
    words = ["reconstruct", str(written.path), "--beamline", layout.name, *words_of(written), "-o", str(tmp_path / "r")]  # type: ignore[attr-defined]
    monkeypatch.setattr(sys, "argv", ["autophasenn", *words, "--confidence", "2", "--no-figures"])
    with pytest.raises(SystemExit) as leaving:
        cli.main()
    assert not leaving.value.code
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    q = 1e-9 * e.q_lab(SIZE // 2, *e.peak)
    assert report["q_per_nm"] == pytest.approx(np.linalg.norm(q), rel=3e-4)
    image = Result.load(tmp_path / "r").image
    np.testing.assert_allclose(1e-9 * np.asarray(image.scattering_vector), q, atol=3e-4 * np.linalg.norm(q))
    check_crystal(image, solid)


def check_crystal(image: CrystalImage, solid: Solid) -> None:
    amplitude, voxel = np.asarray(image.amplitude), 1e9 * np.asarray(image.voxel_size)
    amplitude = amplitude / np.median(amplitude[amplitude > EDGE])
    inside = amplitude > EDGE
    places = np.argwhere(inside)
    low, high = places.min(0), places.max(0)
    through = [length_through(amplitude, axis, (low + high) // 2, (high - low) // 6) for axis in range(3)]
    np.testing.assert_allclose(through * voxel, solid.extents_nm, atol=0.5 * float(voxel.max()))
    middle, half = (low + high) / 2, (high - low) / 2
    corners = {
        signs: float(amplitude[tuple(np.rint(middle + 0.82 * half * signs).astype(int))])
        for signs in [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
    }
    # No intensity tells a crystal from its twin, whose cut corner is opposite and whose strain is that of the other side.
    sign = min((1, -1), key=lambda s: corners[s, s, s])
    cut = corners.pop((sign, sign, sign))
    assert cut < 0.4 * min(corners.values()), (cut, corners)
    assert sign * gradient(image, inside, amplitude, middle) == pytest.approx(solid.gradient_per_nm, rel=0.1)


def length_through(amplitude: np.ndarray, axis: int, middle: np.ndarray, reach: np.ndarray) -> float:
    """Voxels between the edges, fractions included: the median of the lines along an axis through the crystal's middle."""
    about = tuple(
        slice(None) if other == axis else slice(middle[other] - reach[other], middle[other] + reach[other] + 1)
        for other in range(3)
    )
    lengths = []
    for line in np.moveaxis(amplitude[about], axis, -1).reshape(-1, amplitude.shape[axis]):
        first, *_, last = np.flatnonzero(line > EDGE)
        before = (line[first] - EDGE) / (line[first] - line[first - 1])
        after = (line[last] - EDGE) / (line[last] - line[last + 1])
        lengths.append(last - first + before + after)
    return float(np.median(lengths))


def gradient(image: CrystalImage, inside: np.ndarray, amplitude: np.ndarray, middle: np.ndarray) -> float:
    """Of the strain along Q, along Q, 1/nm: a line through the voxels below the surface, weighted by their amplitude.

    At the surface itself the strain is a one-sided difference, half a voxel from where it stands.
    """
    q = np.asarray(image.scattering_vector)
    interior = ndimage.binary_erosion(inside)
    strain = np.asarray(image.strain)[interior]
    along = (np.argwhere(interior) - middle) * 1e9 * np.asarray(image.voxel_size) @ (q / np.linalg.norm(q))
    assert np.isfinite(strain).all()
    return float(np.polyfit(along, strain, 1, w=amplitude[interior])[0])


def test_the_forward_model_is_the_sum_over_the_crystals_points() -> None:
    """The wave between the points of its grid in q, against every point of the crystal at the exact q of some voxels."""
    e = scan_of(LAYOUTS[0].experiment, SIZE)
    solid = Solid(e)
    along, crystal = solid._points
    r = np.stack(np.meshgrid(along, along, along, indexing="ij"), -1).reshape(-1, 3)
    wave = solid.wave()
    for place in ((20, 20, 20), (0, 0, 0), (39, 3, 17), (22, 39, 39), (5, 21, 30)):
        q = 1e-9 * e.q(*place) - solid.g
        exact = (np.exp(-1j * r @ q) @ crystal.ravel()) / np.abs(crystal).sum()
        assert wave[place] == pytest.approx(exact, abs=2e-4)
