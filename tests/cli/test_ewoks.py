"""Reconstruction as a task of a workflow, which ewoks itself executes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ewokscore = pytest.importorskip("ewokscore", reason="the extra `ewoks` is not installed")

from autophasenn.pipeline.example import EXAMPLE  # noqa: E402
from autophasenn.pipeline.result import Result  # noqa: E402

TASK = "autophasenn.ewoks.Reconstruct"


def executed(*nodes: dict[str, Any], links: tuple[dict[str, Any], ...] = ()) -> Any:
    graph = {"graph": {"id": "strain"}, "nodes": list(nodes), "links": list(links)}
    return ewokscore.execute_graph(json.loads(json.dumps(graph)), outputs=[{"all": True}], merge_outputs=False)


def node(name: str, **inputs: object) -> dict[str, Any]:
    given = [{"name": key, "value": value} for key, value in inputs.items()]
    return {"id": name, "task_type": "class", "task_identifier": TASK, "default_inputs": given}


def test_a_workflow_reconstructs_and_hands_on_where_the_result_lies(tmp_path: Path) -> None:
    with np.load(EXAMPLE) as file:
        np.save(tmp_path / "counts.npy", file["counts"])
    said = {
        "diffractometer": "id01",
        "motors": ["mu=0", "eta=17.9:0.01", "nu=4", "delta=36"],
        "energy": 9000,
        "distance": 0.8,
        "pixel": [55e-6, 55e-6],
        "direct_beam": [250, 260],
    }
    folder, counts = tmp_path / "result", str(tmp_path / "counts.npy")
    asked = {"output": str(folder), "method": "network", "figures": False, "seed": 3, "instrument": said}
    found = executed(node("strain", path=counts, **asked))["strain"]
    assert found["folder"] == str(folder)
    assert found["report"] == json.loads((folder / "report.json").read_text())
    assert found["report"]["seed"] == 3
    assert found["report"]["geometry"]["energy_ev"] == 9000
    assert found["report"]["geometry"]["direct_beam"] == {"row": 250.0, "column": 260.0, "assumed": False}
    assert (found["status"], found["message"]) == (found["report"]["status"], found["report"]["message"])
    assert Result.load(folder).report.status == found["status"]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"path": "nothing.npz"}, "There is no file nothing.npz"),
        ({"path": str(EXAMPLE), "beamline": "nowhere"}, "The beamline 'nowhere' is not known"),
        ({"path": str(EXAMPLE), "instrument": {"enregy": 9000}}, "The instrument has no 'enregy'"),
        ({"path": str(EXAMPLE), "method": "guess"}, "guess"),
    ],
)
def test_bad_input_ends_a_workflow_with_the_sentence_of_the_command_line(
    inputs: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError) as failed:
        executed(node("strain", output="result", **inputs))
    assert words in str(failed.value.__cause__)
    assert not (tmp_path / "result").exists()
