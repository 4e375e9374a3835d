"""A plan is read strictly: what is written is what is done, and a slip is named, not ignored."""

import json
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from autophasenn.errors import PlanError
from autophasenn.options import commented_yaml, read_mapping, typed
from autophasenn.phasing.algorithms import CHIO, DM, ER, HIO, RAAR, SF
from autophasenn.phasing.coherence import CoherenceEstimate
from autophasenn.phasing.ensemble import Ensemble
from autophasenn.phasing.schedule import Block, Schedule
from autophasenn.pipeline.plan import VERSION, Plan, dump_plan, load_plan


def schedule_of(text: str) -> Schedule:
    return typed(read_mapping(text, "plan.yaml"), Schedule, "plan.yaml")


def plan_of(text: str, folder: Path) -> Plan:
    path = folder / "plan.yaml"
    path.write_text(text)
    return load_plan(path)


def test_the_default_plan_survives_its_file(tmp_path: Path) -> None:
    assert plan_of(dump_plan(Plan()), tmp_path) == Plan()


def test_a_plan_with_every_optional_part_survives_its_file(tmp_path: Path) -> None:
    schedule = Schedule(
        blocks=tuple(Block(algorithm, 7) for algorithm in (ER(), HIO(0.7), RAAR(1e-5), DM(), SF(), CHIO(0.3, 0.8))),
        shrink_wrap=None,
        coherence=CoherenceEstimate(),
        break_twin_at=None,
    )
    plan = Plan(retrieval=Ensemble(schedule=schedule))
    assert plan_of(dump_plan(plan), tmp_path) == plan


def test_parameters_as_json_name_every_algorithm_and_give_the_plan_again(tmp_path: Path) -> None:
    algorithms = (ER(), HIO(0.7), RAAR(0.7), DM(), SF(), CHIO(0.3, 0.8))
    plan = Plan(retrieval=Ensemble(schedule=Schedule(blocks=tuple(Block(each, 7) for each in algorithms))))
    text = json.dumps(asdict(plan))
    blocks = json.loads(text)["retrieval"]["schedule"]["blocks"]
    assert [block["algorithm"]["name"] for block in blocks] == ["ER", "HIO", "RAAR", "DM", "SF", "CHIO"]
    assert plan_of(json.dumps({"version": VERSION} | json.loads(text)), tmp_path) == plan


@settings(max_examples=25)
@given(beta=st.floats(1e-12, 1.0), iterations=st.integers(11, 10**9), repeats=st.integers(1, 10**6))
def test_numbers_survive_to_the_last_bit(beta: float, iterations: int, repeats: int) -> None:
    schedule = Schedule(blocks=(Block(HIO(beta), iterations),), repeats=repeats)
    assert schedule_of(commented_yaml(schedule)) == schedule


def test_what_a_file_leaves_out_keeps_its_default(tmp_path: Path) -> None:
    assert plan_of(f"version: {VERSION}\n", tmp_path) == Plan()
    plan = plan_of(f"version: {VERSION}\nretrieval: {{schedule: {{repeats: 2}}}}\n", tmp_path)
    assert plan == Plan(retrieval=Ensemble(schedule=Schedule(repeats=2)))


def test_every_parameter_of_the_printed_plan_is_explained() -> None:
    lines = [line.strip().removeprefix("- ") for line in dump_plan(Plan()).splitlines()]
    for kind in option_classes(Plan()):
        for column in fields(kind):
            places = [i for i, line in enumerate(lines) if line.startswith(f"{column.name}:")]
            assert places, f"{kind.__name__}.{column.name} is not in the printed plan"
    for part in ("preprocess", "retrieval", "schedule", "repeats", "postprocess"):
        assert lines[lines.index(next(line for line in lines if line.startswith(f"{part}:"))) - 1].startswith("#")


def option_classes(value: object) -> set[type]:
    """The dataclasses of a value and of what it holds."""
    if isinstance(value, tuple):
        return set().union(*map(option_classes, value))
    if not is_dataclass(value):
        return set()
    return {type(value)}.union(*(option_classes(getattr(value, column.name)) for column in fields(value)))


@pytest.mark.parametrize("algorithm", [ER(), HIO(), RAAR(), DM(), SF(), CHIO()], ids=lambda a: type(a).__name__)
def test_the_name_of_an_algorithm_is_its_class(algorithm: object) -> None:
    name = type(algorithm).__name__
    assert schedule_of(f"blocks: [{{algorithm: {{name: {name}}}, iterations: 20}}]").blocks == (Block(algorithm, 20),)  # type: ignore[arg-type]


def test_scientific_notation_is_a_number_with_or_without_point() -> None:
    assert (
        schedule_of("shrink_wrap: {threshold: 1e-1}").shrink_wrap
        == schedule_of("shrink_wrap: {threshold: 1.0e-1}").shrink_wrap
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("repeat: 3", ["`repeat`", "did you mean `repeats`?"]),
        ("nonsense: 3", ["`nonsense`", "blocks, repeats, shrink_wrap"]),
        ("shrink_wrap: {treshold: 0.1}", ["shrink_wrap", "`treshold`", "did you mean `threshold`?"]),
        ("blocks: [{algorithm: {name: HIO, bta: 1}, iterations: 1}]", ["blocks[0].algorithm", "`bta`", "`beta`"]),
        ("blocks: [{algorithm: {name: ER, beta: 1}, iterations: 1}]", ["blocks[0].algorithm", "`beta`", "takes name"]),
        ("blocks: [{algorithm: {name: HOI}, iterations: 1}]", ["'HOI'", "'ER', 'HIO'", "did you mean HIO?"]),
        ("blocks: [{algorithm: {beta: 0.9}, iterations: 1}]", ["blocks[0].algorithm", "`name`"]),
        ("blocks: [{algorithm: HIO, iterations: 1}]", ["blocks[0].algorithm", "'HIO'", "mapping"]),
        ("blocks: [{algorithm: {name: HIO}}]", ["blocks[0].iterations is missing"]),
        ("blocks: 3", ["blocks is 3", "a list"]),
        ("repeats: six", ["repeats is 'six'", "integer"]),
        ("repeats: 1.5", ["repeats is 1.5", "integer"]),
        ("repeats: true", ["repeats is True", "integer"]),
        ("repeats: null", ["repeats is null", "integer"]),
        ('shrink_wrap: {threshold: "0.1"}', ["shrink_wrap.threshold is '0.1'", "number"]),
        ("shrink_wrap: {threshold: .nan}", ["shrink_wrap.threshold is nan", "finite"]),
        ("shrink_wrap: [0.1]", ["shrink_wrap is [0.1]", "mapping"]),
        ("shrink_wrap: 2026-01-01", ["shrink_wrap is", "mapping"]),
        ("break_twin_at: never", ["break_twin_at is 'never'", "integer"]),
        ("1: 2", ["`1`"]),
        # what only the option itself can know keeps its own sentence
        ("blocks: [{algorithm: {name: HIO, beta: 2}, iterations: 1}]", ["blocks[0].algorithm", "beta is 2", "up to 1"]),
        ("blocks: []", ["at least one block"]),
        # what is no YAML mapping at all
        ("", ["not null"]),
        ("[]", ["not []"]),
        ("repeats: 1\nrepeats: 2", ["line 2", "`repeats` is given twice"]),
        ("repeats: [", ["line 1"]),
        ("\trepeats: 1", ["line 1"]),
        ("repeats: !!python/object/apply:os.getcwd []", ["line 1"]),
        ("repeats: \x00", ["plan.yaml"]),
    ],
)
def test_a_slip_is_one_sentence_that_names_it(text: str, words: list[str]) -> None:
    with pytest.raises(PlanError) as caught:
        schedule_of(text)
    sentence = str(caught.value)
    assert sentence.startswith("plan.yaml")
    assert "\n" not in sentence
    for word in words:
        assert word in sentence


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("retrieval: {}", ["version", "missing", f"`version: {VERSION}`"]),
        ("version: 1", ["version 1", f"reads version {VERSION}"]),
        ("version: '1'", ["version '1'"]),
        ("version: true", ["version True"]),
        ("version: 2\nretreival: {}", ["`retreival`", "did you mean `retrieval`?"]),
        ("version: 2\nretrieval: {schedule: {repeats: 0}}", ["retrieval.schedule", "repeats is 0; give 1 or more"]),
    ],
)
def test_a_plan_of_another_kind_is_refused_with_its_path(text: str, words: list[str], tmp_path: Path) -> None:
    with pytest.raises(PlanError) as caught:
        plan_of(text, tmp_path)
    for word in [str(tmp_path / "plan.yaml"), *words]:
        assert word in str(caught.value)


def test_a_plan_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"absent\.yaml: the plan cannot be read: No such file"):
        load_plan(tmp_path / "absent.yaml")
    with pytest.raises(PlanError, match="cannot be read: Is a directory"):
        load_plan(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PlanError, match=r"binary\.yaml: the plan cannot be read"):
        load_plan(tmp_path / "binary.yaml")


def test_the_printed_plan_is_plain_yaml() -> None:
    assert yaml.safe_load(dump_plan(Plan()))["version"] == VERSION
