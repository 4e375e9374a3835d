"""Defects displace and darken a crystal as elasticity and geometry say."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from autophasenn.crystals.defects import REAL_CRYSTALS, Defects, Inclusion, Lamella, faulting_planes
from autophasenn.crystals.dislocations import POISSON_RATIO, Dislocation
from autophasenn.crystals.fields import Grid
from autophasenn.crystals.lattice import scattering_vector
from autophasenn.crystals.shapes import facet_normals

A = 4.08e-10
VOXEL = 0.8e-9
G = torch.ones(3, dtype=torch.float64) * 2 * math.pi / A
GRID = Grid(np.eye(3), np.full(3, VOXEL), np.zeros(3))
CORNERS = 1e-8 * torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 3)
AXES = torch.eye(3, dtype=torch.float64)


def vector(x: float, y: float, z: float) -> Tensor:
    return torch.tensor([x, y, z], dtype=torch.float64)


def unit(x: float, y: float, z: float) -> Tensor:
    return torch.nn.functional.normalize(vector(x, y, z), dim=0)


def displacement_of(dislocation: Dislocation, points: Tensor) -> Tensor:
    """u (points, 3) at points (points, 3), metres."""
    return torch.stack([dislocation.displacement(lambda axis: points @ axis, component) for component in AXES], -1)


SCREW = Dislocation(vector(1e-9, 0, 2e-9), unit(1, 1, 0), A / 2 * vector(1, 1, 0))
EDGE = Dislocation(vector(0, -1e-9, 0), unit(1, 1, -2), A / 2 * vector(1, -1, 0))
MIXED = Dislocation(vector(0, 0, 0), unit(1, 0, -1), A / 2 * vector(1, -1, 0))
KINDS = pytest.mark.parametrize("dislocation", [SCREW, EDGE, MIXED], ids=["screw", "edge", "mixed"])


def circle(dislocation: Dislocation, radius: float, away: float = 0.0, steps: int = 20_001) -> Tensor:
    """Points around the line, right-handed, that start and end at the cut; the centre may be `away` from the line."""
    edge = dislocation.burgers - (dislocation.burgers @ dislocation.line) * dislocation.line
    is_screw = float(edge.norm()) < 1e-3 * float(dislocation.burgers.norm())
    x = torch.linalg.cross(dislocation.line, unit(0.3, 0.5, -0.7)) if is_screw else edge
    x = torch.nn.functional.normalize(x, dim=0)
    y = torch.linalg.cross(dislocation.line, x)
    angles = torch.linspace(-math.pi, math.pi, steps, dtype=torch.float64)
    around = dislocation.point + away * x
    return around + radius * (angles.cos()[:, None] * x + angles.sin()[:, None] * y)


@KINDS
@pytest.mark.parametrize("radius", [1e-9, 7e-9])
def test_the_displacement_around_a_dislocation_adds_up_to_its_burgers_vector(
    dislocation: Dislocation, radius: float
) -> None:
    steps = displacement_of(dislocation, circle(dislocation, radius)).diff(dim=0)
    smooth = steps[steps.norm(dim=1) < 1e-3 * A]  # all but the jump at the cut
    assert len(smooth) >= len(steps) - 2
    torch.testing.assert_close(smooth.sum(0), dislocation.burgers, rtol=0, atol=2e-3 * A)


@KINDS
def test_around_no_line_the_displacement_adds_up_to_nothing(dislocation: Dislocation) -> None:
    beside = displacement_of(dislocation, circle(dislocation, 1e-9, away=4e-9))
    torch.testing.assert_close(beside[0], beside[-1], rtol=0, atol=1e-6 * A)


@KINDS
def test_a_dislocation_is_in_elastic_equilibrium(dislocation: Dislocation) -> None:
    # Navier: (1 - 2 nu) laplace(u) + grad(div u) = 0, by central differences at points away from line and cut
    h = 2e-11
    generator = torch.Generator().manual_seed(0)
    angles = circle(dislocation, 3e-9, steps=9)[2:7]
    points = angles + 3e-10 * torch.randn((5, 3), generator=generator, dtype=torch.float64)

    def at(*shifts: Tensor) -> Tensor:
        return displacement_of(dislocation, points + h * sum(shifts, torch.zeros(3, dtype=torch.float64)))

    middle = at()
    second = torch.stack([(at(e) - 2 * middle + at(-e)) / h**2 for e in AXES])  # d2 u_j / dx_i2
    gradient_of_divergence = torch.zeros_like(middle)
    for i, e in enumerate(AXES):
        for j, f in enumerate(AXES):
            mixed = (at(e, f) - at(e, -f) - at(-e, f) + at(-e, -f)) / (4 * h**2)
            gradient_of_divergence[:, i] += second[i][:, i] if i == j else mixed[:, j]
    balance = (1 - 2 * POISSON_RATIO) * second.sum(0) + gradient_of_divergence
    assert float(balance.abs().max()) < 1e-3 * float(second.abs().max())


def test_the_phase_winds_once_around_the_line() -> None:
    factor = EDGE.factor(GRID.along, G * 0 + vector(1, -1, 0) * 2 * math.pi / A, VOXEL)  # G.b = 2 pi
    loop = [(k, 16 + 6) for k in range(10, 23)] + [(22, k) for k in range(21, 9, -1)]
    loop += [(k, 10) for k in range(21, 9, -1)] + [(10, k) for k in range(11, 23)]
    x, y = (torch.tensor(index) for index in zip(*loop, strict=True))
    values = factor[x, y, 16]
    steps = (values.roll(-1) * values.conj()).angle()
    assert abs(float(steps.sum())) == pytest.approx(2 * math.pi, abs=1e-3)


def test_a_reflection_does_not_see_a_screw_dislocation_across_it() -> None:
    across = Dislocation(vector(0, 0, 0), unit(1, -1, 0), A / 2 * vector(1, -1, 0))
    factor = across.factor(GRID.along, G, VOXEL)
    torch.testing.assert_close(factor, torch.ones_like(factor), rtol=0, atol=1e-5)


def test_the_amplitude_vanishes_on_the_line_only() -> None:
    line = Dislocation(vector(0, 0, 0), unit(1, 1, 0), A / 2 * vector(1, 1, 0))
    amplitude = line.factor(GRID.along, G, VOXEL).abs()
    assert float(amplitude[16, 16, 16]) < 1e-3
    assert float(amplitude[20, 20, 16]) < 1e-3
    assert float(amplitude[16, 16, 22]) > 0.95
    # across the line, n voxels away: n / sqrt(n^2 + 1/4), one turn of the phase or two
    for reflection, power in ((G, 1), (2 * G, 2)):
        beside = line.factor(GRID.along, reflection, VOXEL).abs()[16, 16, 17:21]
        n = torch.arange(1.0, 5.0)
        torch.testing.assert_close(beside, (n / (n.square() + 0.25).sqrt()) ** power, rtol=0, atol=1e-4)


def test_a_hole_takes_away_its_volume_and_displaces_nothing() -> None:
    hole = Inclusion(vector(1e-9, -2e-9, 0.5e-9), 4e-9, 0.0, 0.0)
    factor = hole.factor(GRID.along, G, VOXEL)
    missing = float((1 - factor.real).sum()) * VOXEL**3
    assert missing == pytest.approx(4 / 3 * math.pi * hole.radius**3, rel=0.03)
    assert float(factor.imag.abs().max()) == 0


def test_a_misfit_sphere_strains_itself_evenly_and_keeps_the_volume_around_it() -> None:
    # below pi everywhere, so that the phase is -G.u without a wrap; G along one axis gives one component of u
    sphere, length = Inclusion(vector(0, 0, 0), 5e-9, 0.8, 0.01), 2 * math.pi / A
    u = torch.stack([-sphere.factor(GRID.along, axis * length, VOXEL).angle() / length for axis in AXES]).double()
    divergence = sum((u[i].roll(-1, i) - u[i].roll(1, i))[1:-1, 1:-1, 1:-1] / (2 * VOXEL) for i in range(3))
    r = VOXEL * torch.stack(torch.meshgrid(*[torch.arange(-15, 15)] * 3, indexing="ij")).double().norm(dim=0)
    torch.testing.assert_close(divergence[r < 4e-9], torch.full_like(r[r < 4e-9], 0.03), rtol=0, atol=1e-4)
    assert float(divergence[r > 7e-9].abs().max()) < 2e-3


def test_a_twin_lamella_is_dark_and_shifts_the_phase_beyond_it() -> None:
    lamella = Lamella(unit(1, 0, 0), 1e-9, 4e-9, 2 * math.pi / 3)
    factor = lamella.factor(GRID.along, G, VOXEL)[:, 16, 16]
    x = VOXEL * (torch.arange(32) - 16)
    assert float(factor[(x - 1e-9).abs() < 1.5e-9].abs().max()) < 1e-6
    torch.testing.assert_close(factor[x < -2e-9], torch.ones_like(factor[x < -2e-9]))
    torch.testing.assert_close(factor[x > 4e-9].angle(), torch.full_like(x[x > 4e-9], 2 * math.pi / 3))


def test_a_stacking_fault_removes_nothing_but_where_phases_mix() -> None:
    amplitude = Lamella(unit(1, 1, -1), 0.0, 0.0, 2 * math.pi / 3).factor(GRID.along, G, VOXEL).abs()
    assert float((amplitude > 0.999).float().mean()) > 0.9
    assert float(amplitude.min()) == pytest.approx(0.5, abs=0.01)  # half of exp(0), half of exp(2 pi i / 3)


def test_an_uneven_amplitude_varies_as_much_as_it_was_drawn_and_leaves_the_phase() -> None:
    generator = torch.Generator().manual_seed(3)
    spreads = []
    for _ in range(20):
        (uneven,) = Defects(unevenness=1.0, variation=0.2).draw(generator, CORNERS, G, A)
        factor = uneven.factor(GRID.along, G, VOXEL)
        assert float(factor.imag.abs().max()) == 0
        spreads.append(float(factor.real.log().std()))
    assert max(spreads) < 0.3
    assert np.mean(spreads) == pytest.approx(0.1, rel=0.4)


def test_there_are_no_defects_unless_asked_for() -> None:
    generator = torch.Generator().manual_seed(0)
    assert all(Defects().draw(generator, CORNERS, G, A) == [] for _ in range(50))


def test_drawn_defects_can_be_seen_and_lie_in_the_crystal() -> None:
    generator = torch.Generator().manual_seed(1)
    everything = Defects(dislocation=1.0, inclusion=1.0, lamella=1.0, unevenness=1.0)
    expected = ["Dislocation"] * 3 + ["Inclusion"] * 3 + ["Lamella"] * 3 + ["Unevenness"]
    for _ in range(20):
        found = everything.draw(generator, CORNERS, G, A)
        assert [type(each).__name__ for each in found] == expected
        for each in found:
            if isinstance(each, Dislocation):
                turns = float(G @ each.burgers) / (2 * math.pi)
                assert abs(abs(turns) - 1) < 1e-9
                in_plane = (facet_normals((1, 1, 1)) @ torch.stack([each.line, each.burgers / A], 1)).abs().sum(1)
                assert float(in_plane.min()) < 1e-9  # line and Burgers vector share a plane {111}
                assert float(each.point.abs().max()) <= 1e-8
            if isinstance(each, Inclusion):
                assert float(each.centre.abs().max()) <= 1e-8
            if isinstance(each, Lamella):
                assert bool((faulting_planes(G, A) == each.normal).all(1).any())


VISIBLE = {(1, 1, 1): 6, (2, 0, 0): 8, (2, 2, 0): 4, (3, 1, 1): 4, (2, 2, 2): 6, (3, 3, 3): 0}
"""Reflections, and how many of the eight normals {111} have planes whose twins and faults they see."""


@pytest.mark.parametrize(("reflection", "number"), VISIBLE.items())
def test_a_reflection_sees_the_lamellae_whose_twins_do_not_share_it(
    reflection: tuple[int, int, int], number: int
) -> None:
    g = scattering_vector(reflection, A)
    hkl = torch.tensor(reflection, dtype=torch.float64)
    normals = facet_normals((1, 1, 1))
    partials = facet_normals((1, 1, 2)) * (A / math.sqrt(6))  # a/6 <112>
    seen = faulting_planes(g, A)
    assert len(seen) == number
    for normal in normals:
        twinned = 2 * (hkl @ normal) * normal - hkl  # half a turn about the normal
        shares = bool((twinned - twinned.round()).abs().max() < 1e-9)
        turns = partials[(partials @ normal).abs() < 1e-3 * A] @ g / (2 * math.pi)
        shifts = bool((turns - turns.round()).abs().max() > 0.3)
        assert bool((seen == normal).all(1).any()) == shifts == (not shares)


@pytest.mark.parametrize(("reflection", "number"), VISIBLE.items())
def test_drawn_lamellae_are_those_that_the_reflection_sees(reflection: tuple[int, int, int], number: int) -> None:
    g, generator = scattering_vector(reflection, A), torch.Generator().manual_seed(4)
    drawn = [each for _ in range(10) for each in Defects(lamella=1.0).draw(generator, CORNERS, g, A)]
    assert len(drawn) == (30 if number else 0)
    visible = faulting_planes(g, A)
    assert all(isinstance(each, Lamella) and bool((visible == each.normal).all(1).any()) for each in drawn)


def test_real_crystals_are_perfect_as_often_as_their_probabilities_say() -> None:
    generator = torch.Generator().manual_seed(2)
    perfect = [not REAL_CRYSTALS.draw(generator, CORNERS, G, A) for _ in range(300)]
    probabilities = [
        REAL_CRYSTALS.dislocation,
        REAL_CRYSTALS.inclusion,
        REAL_CRYSTALS.lamella,
        REAL_CRYSTALS.unevenness,
    ]
    expected = math.prod(1 - probability for probability in probabilities)
    assert abs(np.mean(perfect) - expected) < 0.1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dislocation": 1.2}, "1.2"),
        ({"hole": -0.1}, "-0.1"),
        ({"radius": (0.5, 0.1)}, "radius is drawn from 0.5 to 0.1"),
        ({"thickness": (0.0, math.inf)}, "thickness.1. is inf"),
        ({"misfit": -0.01}, "misfit is -0.01"),
        ({"misfit": math.nan}, "misfit is nan"),
        ({"variation": -0.2}, "variation is -0.2"),
        ({"variation": math.inf}, "variation is inf"),
    ],
)
def test_impossible_defects_are_refused(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Defects(**options)
