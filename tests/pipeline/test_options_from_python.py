"""Options that Python makes are checked as strictly as those of a plan's file, and in the same words.

They are made in a Python of their own: in this one the types of all calls are checked before they are made.
"""

import json
import subprocess
import sys
from fnmatch import fnmatchcase

import pytest

from autophasenn.errors import PlanError
from autophasenn.limits import plain
from autophasenn.options import read_mapping, typed
from autophasenn.phasing.algorithms import HIO
from autophasenn.phasing.schedule import Block, Schedule
from autophasenn.pipeline.plan import Plan, load_plan

AS_IN_YAML = {
    "Plan(free_fraction='0.1')": "free_fraction: '0.1'",
    "Plan(free_fraction=[0.1])": "free_fraction: [0.1]",
    "Plan(free_fraction=True)": "free_fraction: true",
    "Plan(free_fraction=0.9)": "free_fraction: 0.9",
    "Ensemble(starts=2.5)": "retrieval: {starts: 2.5}",
    "Ensemble(starts=True)": "retrieval: {starts: true}",
    "Ensemble(starts=0)": "retrieval: {starts: 0}",
    "Refinement(partial_coherence='no')": "refinement: {partial_coherence: 'no'}",
    "Refinement(partial_coherence=1)": "refinement: {partial_coherence: 1}",
    "Likelihood(of='x')": "refinement: {likelihood: {of: x}}",
    "Preprocessing(values='x')": "preprocess: {values: x}",
    "Preprocessing(gain='2')": "preprocess: {gain: '2'}",
    "Preprocessing(shape=(8, 'a', 8))": "preprocess: {shape: [8, a, 8]}",
    "Preprocessing(shape=(8, 2, 8))": "preprocess: {shape: [8, 2, 8]}",
}
"""What Python makes, and the same in YAML."""
REFUSED = {
    "Plan(free_fraction=None)": "free_fraction is None; it should be a valid number.",
    "Plan(free_fraction=np.array([0.1]))": "free_fraction is array(*; it should be a valid number.",
    "HIO('RAAR')": "beta is 'RAAR'; it should be a valid number.",
    "HIO(math.nan)": "beta is nan; give a number above 0, up to 1.",
    "Plan(refinement=None)": "refinement is None; it should be a Refinement.",
    "Plan(refinement=HIO())": "refinement is HIO(*; it should be a Refinement.",
    "Plan(even_density=3)": "even_density is 3; it should be an EvenDensity.",
    "Schedule([Block(HIO(), 20)], 1)": "blocks is [[]Block(*; it should be a tuple.",
    "Schedule((Block(HIO(), 20), 3))": "blocks[[]1] is 3; it should be a Block.",
    "Block(3, 20)": "algorithm is 3; it should be ER, HIO, RAAR, DM, SF or CHIO.",
    "Preprocessing(shape=(8, 8))": "shape is (8, 8); it should be a tuple of 3.",
    "Preprocessing(gain=10**400)": "gain is *; give a number above 0 (*).",
    "AutoPhaseNNDesign(gathered=True)": "gathered is True; it should be 1, 2 or 4.",
    "GeometryFile(motors=3)": "motors is 3; it should be a dictionary.",
    "GeometryFile(motors={1: 2.0})": "a name in motors is 1; it should be a valid string.",
    "GeometryFile(motors={'delta': []})": "motors.delta is []; it should be a valid number, a valid string or a tuple.",
}
ACCEPTED = """Plan(
    free_fraction=np.float32(0.125),
    retrieval=Ensemble(starts=np.int64(3)),
    refinement=Refinement(partial_coherence=np.bool_(False), poor=torch.tensor(2.0)),
    preprocess=Preprocessing(shape=(np.int32(8), 8, np.uint8(16)), gain=Fraction(1, 2), values=np.str_("counts")),
)"""
MAKE = f"""
import json, math
from fractions import Fraction
import numpy as np, torch
from autophasenn.beamlines.by_hand import GeometryFile
from autophasenn.errors import PlanError
from autophasenn.network.autophasenn import AutoPhaseNNDesign
from autophasenn.phasing.algorithms import HIO
from autophasenn.phasing.ensemble import Ensemble
from autophasenn.phasing.likelihood import Likelihood
from autophasenn.phasing.refinement import Refinement
from autophasenn.phasing.schedule import Block, Schedule
from autophasenn.pipeline.plan import Plan, dump_plan
from autophasenn.preprocessing.options import Preprocessing

said = {{}}
for each in {[*AS_IN_YAML, *REFUSED]}:
    try:
        said[each] = "accepted: " + repr(eval(each))
    except PlanError as error:
        said[each] = str(error)
print(json.dumps([said, dump_plan({ACCEPTED})]))
"""


@pytest.fixture(scope="module")
def told() -> tuple[dict[str, str], str]:
    """What each is refused with, and the file of the plan that is accepted."""
    run = subprocess.run([sys.executable, "-c", MAKE], check=True, capture_output=True, text=True)
    said, plan = json.loads(run.stdout)
    return said, plan


@pytest.mark.parametrize("made", AS_IN_YAML)
def test_python_is_refused_in_the_sentence_that_yaml_gets(made: str, told: tuple[dict[str, str], str]) -> None:
    with pytest.raises(PlanError) as caught:
        typed(read_mapping(AS_IN_YAML[made], "plan.yaml"), Plan, "plan.yaml")
    in_yaml, in_python = str(caught.value), told[0][made]
    assert in_yaml.endswith(in_python)
    assert ";" not in in_yaml.removesuffix(in_python)  # only file and section stand before it


@pytest.mark.parametrize("made", REFUSED)
def test_a_value_of_another_type_is_refused_where_the_option_is_made(
    made: str, told: tuple[dict[str, str], str]
) -> None:
    assert fnmatchcase(told[0][made], REFUSED[made]), told[0][made]


def test_numbers_of_numpy_and_torch_are_accepted_and_become_pythons(told: tuple[dict[str, str], str]) -> None:
    """What NumPy's own cannot: be written into YAML."""
    plan = typed(read_mapping(told[1].partition("\n")[2], "plan.yaml"), Plan, "plan.yaml")
    assert (plan.free_fraction, plan.retrieval.starts) == (0.125, 3)
    assert plan.refinement.partial_coherence is False
    assert plan.refinement.poor == 2.0
    assert (plan.preprocess.shape, plan.preprocess.gain, plan.preprocess.values) == ((8, 8, 16), 0.5, "counts")


def test_what_is_pythons_own_already_stays_the_same_object() -> None:
    blocks = (Block(HIO(), 20),)
    assert Schedule(blocks).blocks is blocks
    assert plain(blocks) is blocks
    assert plain([1]) == [1]


def test_a_plan_is_read_from_a_word_too_and_what_is_no_file_name_is_refused() -> None:
    with pytest.raises(PlanError, match=r"^nope\.yaml: the plan cannot be read: No such file"):
        load_plan("nope.yaml")
    with pytest.raises(PlanError, match="the plan cannot be read"):
        load_plan("null\0character.yaml")
