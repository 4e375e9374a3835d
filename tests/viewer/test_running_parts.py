"""What the page that runs is made of: the mask by hand, the draft, its fields, its folder, its queue."""

from __future__ import annotations

import asyncio
import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_pattern import small_pattern

from autophasenn.errors import InputError, OutputError
from autophasenn.pipeline.first_look import FirstLook
from autophasenn.report.planes import SECTIONS
from autophasenn.viewer.app import Viewer
from autophasenn.viewer.results import Limits
from autophasenn.viewer.running.asking import Asked
from autophasenn.viewer.running.draft import Draft
from autophasenn.viewer.running.fields import FIELDS, refusals
from autophasenn.viewer.running.folder import WorkFolder
from autophasenn.viewer.running.frames import Frames, Look
from autophasenn.viewer.running.hand import Stroke, drawn
from autophasenn.viewer.running.queue import Queue
from autophasenn.viewer.running.rows import best_first
from autophasenn.viewer.running.run import Run
from autophasenn.viewer.running.workshop import Workshop
from autophasenn.viewer.shared import Shared

SHAPE = (6, 20, 30)


def test_a_box_masks_its_voxels_in_its_frames_and_nothing_else() -> None:
    out = drawn([Stroke("box", 0, ((2.5, 3.5), (4.5, 8.5)), 1.0, (1, 2))], SHAPE)
    expected = np.zeros(SHAPE, bool)
    expected[1:3, 2:5, 3:9] = True
    assert (out == expected).all()
    backwards = drawn([Stroke("box", 0, ((4.5, 8.5), (2.5, 3.5)), 1.0, (2, 1))], SHAPE)
    assert (backwards == expected).all()


@pytest.mark.parametrize(("section", "down", "across"), [(0, 1, 2), (1, 1, 0), (2, 2, 0)])
def test_a_brush_masks_what_lies_nearer_than_its_radius_to_its_line(section: int, down: int, across: int) -> None:
    start, end, radius = (4.2, 1.3), (9.1, 4.6), 2.0
    normal = 3 - down - across
    out = drawn([Stroke("brush", section, (start, end), radius, (0, 2))], SHAPE)
    middle = np.indices(SHAPE) + 0.5
    point = np.stack([middle[down], middle[across]], -1)
    line = np.subtract(end, start)
    share = np.clip((point - start) @ line / (line @ line), 0, 1)
    near = np.linalg.norm(point - start - share[..., None] * line, axis=-1) <= radius
    assert (out == (near & (np.indices(SHAPE)[normal] <= 2))).all()


def test_a_stroke_that_restores_takes_back_and_undo_is_one_stroke_less() -> None:
    whole = Stroke("box", 0, ((0.5, 0.5), (19.5, 29.5)), 1.0, (0, 5))
    back = Stroke("brush", 0, ((10.5, 10.5),), 1.0, (3, 3), restores=True)
    out = drawn([whole, back], SHAPE)
    assert not out[3, 10, 10]
    assert out.sum() == out.size - 5
    assert drawn([whole], SHAPE).all()
    assert not drawn([], SHAPE).any()
    assert Stroke.of(json.loads(json.dumps(back.as_json()))) == back
    outside = Stroke("brush", 0, ((-50.0, 900.0),), 3.0, (-7, 99))
    assert not drawn([outside], SHAPE).any()


def test_a_draft_is_the_same_after_it_was_kept_and_foreign_words_in_it_are_left_out(tmp_path: Path) -> None:
    draft = Draft("/data/a.npy", "a.npy", "", {"seed": "3"}, {"free_fraction": "0.03"},
                  (Stroke("box", 0, ((1.0, 1.0), (2.0, 2.0)), 1.0, (0, 5)),))  # fmt: skip
    folder = WorkFolder(tmp_path)
    folder.keep_draft("key", draft.as_json())
    assert Draft.of(folder.draft("key") or {}) == draft
    assert folder.draft("../drafts/key") is None
    foreign = Draft.of({"values": {"seed": "1", "output": "/etc"}, "strokes": [{"tool": "laser"}, 7], "plan": 3})
    assert foreign == Draft(values={"seed": "1"})


def test_fields_out_of_range_are_refused_at_the_field(tmp_path: Path) -> None:
    wrong = refusals({"seed": "-1", "confidence": "49", "starts": "three", "direct_beam": "1,2,3", "method": "magic",
                      "spec": str(tmp_path / "gone.spec"), "energy": "nan", "distance": "0.8"})  # fmt: skip
    assert set(wrong) == {"seed", "confidence", "starts", "direct_beam", "method", "spec", "energy"}
    assert wrong["confidence"] == "49 is out of range; give 0 to 48."
    assert "not a whole number" in wrong["starts"]
    assert "does not exist" in wrong["spec"]


def test_every_field_is_an_option_of_the_command(tmp_path: Path) -> None:
    import typer.main

    from autophasenn.cli import app

    known = {
        name
        for each in typer.main.get_command(app).commands["reconstruct"].params
        for name in each.opts + each.secondary_opts
    }
    assert {each.option for each in FIELDS} <= known


def test_command_and_python_say_the_same(tmp_path: Path) -> None:
    spec = tmp_path / "a b.spec"
    spec.touch()
    values = {"spec": str(spec), "scan": "12", "motors": "eta=17.9:0.01 nu=3", "direct_beam": "3,4", "method": "iterative",
              "starts": "4", "seed": "7", "no_figures": "1"}  # fmt: skip
    draft = Draft("/data/S12", "S12", "34idc", values)
    words = draft.command("out", tmp_path / "m.npy", tmp_path / "p.yaml")
    assert shlex.split(shlex.join(words)) == words
    for pair in (["--beamline", "34idc"], ["--scan", "12"], ["--motor", "nu=3"], ["--mask-marks", "measured"],
                 ["--plan", str(tmp_path / "p.yaml")], ["--starts", "4"], ["--direct-beam", "3,4"]):  # fmt: skip
        at = words.index(pair[1])
        assert words[at - 1 : at + 1] == pair
    script = draft.python("out", tmp_path / "m.npy", tmp_path / "p.yaml")
    compile(script, "script", "exec")
    for part in ("beamline='34idc'", "scan=12", "motors=('eta=17.9:0.01', 'nu=3')", "with_starts(", "seed=7",
                 "figures=False", "mask_marks='measured'", "direct_beam=(3.0, 4.0)"):  # fmt: skip
        assert part in script, script


def test_what_changed_between_two_runs_is_said() -> None:
    first = Draft("/d/a.npy", "a.npy", "", {"method": "network"})
    second = replace(first, values={"method": "iterative", "starts": "5"}, plan={"free_fraction": "0.03"})
    assert second.changes_since(first) == [
        "method network → iterative",
        "starts default → 5",
        "free_fraction default → 0.03",
    ]
    assert first.changes_since(None) == ["method network"]
    assert first.changes_since(first) == []


def test_a_second_page_in_the_same_folder_is_refused_and_so_is_a_folder_that_is_none(tmp_path: Path) -> None:
    first = Workshop(tmp_path)
    with pytest.raises(OutputError, match="Another page works"):
        Workshop(tmp_path)
    Workshop(tmp_path, tmp_path / "elsewhere")._stack.close()
    first._stack.close()
    Workshop(tmp_path)._stack.close()
    with pytest.raises(InputError, match="no folder"):
        Workshop(tmp_path / "gone")


def test_the_process_that_reads_is_begun_again_after_it_was_killed() -> None:
    async def ask() -> None:
        reader = Asked()
        try:
            asked = asyncio.ensure_future(reader.ask("about"))
            while reader._process is None:
                await asyncio.sleep(0.01)
            reader._process.kill()
            with pytest.raises(InputError, match="it was killed"):
                await asked
            said = await reader.ask("checked", plan={"preprocess.hot_contrast": "0.5"})
            assert "above 1" in said["wrong"]["preprocess.hot_contrast"]
        finally:
            await reader.close()

    asyncio.run(ask())


def test_a_mask_by_hand_is_that_of_its_scan_also_when_it_is_run_before_the_frames_are_there(tmp_path: Path) -> None:
    from trame.app import get_server

    counts = small_pattern()
    np.save(tmp_path / "a.npy", counts)
    counts[:, :8] = -1  # a gap that only b has
    mask = np.ones(counts.shape, bool)
    mask[:, :8] = False
    np.savez(tmp_path / "b.npz", counts=counts, mask=mask)

    async def work() -> None:
        workshop = Workshop(tmp_path)
        viewer = Viewer(Shared(None, [], Limits(), workshop), get_server("running", client_type="vue3"), "key")
        tab = viewer.bench
        try:
            tab.choose(str(tmp_path / "a.npy"), "a.npy", None)
            tab.draw([Stroke("box", 0, ((2.0, 25.0), (6.0, 29.0)), 1.0, (0, 31))])
            await tab._run()
            assert viewer.state.open_wrong == ""
            tab.choose(str(tmp_path / "b.npz"), "b.npz", None)
            frames = await tab.scan.frames_of(tab.draft)
            assert frames is not None
            assert (frames.why[:, :8] == 1).all()
            tab.again("0001")
            await tab._run()
            (first, second) = (run.words[run.words.index("--mask") + 1] for run in workshop.queue.runs.values())
            assert first == second
            expected = np.ones(counts.shape, bool)
            expected[:, 2:7, 25:30] = False
            assert (np.load(first) == expected).all()
            assert workshop.queue.runs["0002"].changed == []
        finally:
            await viewer.close()
            await workshop.close()

    asyncio.run(work())


def run_of(folder: WorkFolder, code: str) -> Run:
    """A run whose process is quick and does as it is told."""
    run = Run(folder.new_run(), {"name": "x.npy", "input": "x.npy"}, ["-c", code], "")
    run.keep()
    return run


def test_runs_queue_are_stopped_fail_with_their_words_and_outlive_their_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autophasenn.viewer.running.run.PROGRAM", "import sys; exec(sys.argv[2])")
    folder = WorkFolder(tmp_path)
    wait = "import time; print('begun', flush=True); time.sleep(600)"
    fails = "import sys; print('Error: The mask leaves no measured voxels.', file=sys.stderr); sys.exit(2)"
    dies = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    runs = [run_of(folder, code) for code in (wait, fails, dies, "pass", wait)]

    async def work(queue: Queue, until: object) -> None:
        working = asyncio.ensure_future(queue.work())
        while not until():  # type: ignore[operator]
            await asyncio.sleep(0.02)
        working.cancel()

    def begun(run: Run) -> bool:
        log = run.folder / "log.txt"
        return log.is_file() and "begun" in log.read_text()

    first = Queue(folder, lambda: None)
    asyncio.run(work(first, lambda: begun(runs[0])))
    # the server has ended; another one finds the run going on, stops it, and goes on with what waits
    second = Queue(folder, lambda: None)
    assert second.runs["0001"].state == "running"
    second.stop("0005")
    second.stop("0001")
    asyncio.run(work(second, lambda: all(run.is_over for run in second.runs.values())))
    kept = {path.name: content for path, content in folder.runs()}
    assert [kept[key]["state"] for key in sorted(kept)] == ["stopped", "failed", "failed", "done", "stopped"]
    assert kept["0002"]["reason"] == "The mask leaves no measured voxels."
    assert "SIGSEGV" in kept["0003"]["reason"]
    assert second.runs["0001"].own_process() is None


def test_a_mask_of_the_same_voxels_is_the_same_file(tmp_path: Path) -> None:
    folder = WorkFolder(tmp_path)
    measured = small_pattern() > 0
    first = folder.keep_mask(measured)
    assert folder.keep_mask(measured.copy()) == first
    assert (np.load(first) == measured).all()
    measured[0, 0, 0] ^= True
    assert folder.keep_mask(measured) != first


def test_runs_are_ordered_by_the_verdict_on_their_images_those_without_one_last() -> None:
    rows = [
        {"key": str(i), "verdict": verdict} for i, verdict in enumerate(["", "poor", "unchecked", "", "reconstructed"])
    ]
    assert [row["key"] for row in best_first(rows)] == ["4", "2", "1", "0", "3"]


@pytest.mark.parametrize("section", range(3))
def test_ticks_on_the_frames_count_from_the_middle_of_the_peaks_voxel(tmp_path: Path, section: int) -> None:
    steps, peak = (0.02, 0.01, 0.005), (2.0, 11.0, 13.0)
    FirstLook(np.ones(SHAPE, np.float32), np.zeros(SHAPE, np.uint8), q_steps=steps, q_peak=peak).write(tmp_path)
    frames, look, plane = Frames(tmp_path), Look(section, is_summed=False, index=2), SECTIONS[section]
    drawn = frames.q_axes(look)
    for edge, axis in (("across", plane.across), ("down", plane.down)):
        assert drawn[f"q_{edge}"]
        for tick in drawn[f"q_{edge}"]:
            index = SHAPE[axis] * tick["at"] / 100 - 0.5
            assert (index - peak[axis]) * steps[axis] == pytest.approx(float(tick["text"].replace("−", "-")), abs=1e-9)
    down, across = ((peak[axis] + 0.5) / SHAPE[axis] for axis in (plane.down, plane.across))
    assert "nm⁻¹ from the peak" in frames.said(look, down, across)
    FirstLook(np.ones(SHAPE, np.float32), np.zeros(SHAPE, np.uint8)).write(tmp_path)
    assert Frames(tmp_path).q_axes(look) == {"q_unit": "", "q_across": [], "q_down": []}
