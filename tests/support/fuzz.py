"""Damage files of every format by seeds, in processes that may die: `make fuzz`. What was tried is not tried again.

    python tests/support/fuzz.py FOLDER --count 20000

FOLDER/verdicts.jsonl has a line a seed; the table at the end counts them. Exit status 1 if any is wrong.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SECONDS = 60.0
"""After so long without a verdict a process hangs in a library, and is ended."""
START = 600.0
"""A process on a busy machine may take so long until its first verdict."""
AT_ONCE = 2500
"""Seeds of one process."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed, the same at every call for one folder")
    parser.add_argument("--worker", nargs=2, type=int, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.worker:
        work(words.folder, range(*words.worker))
        return 0
    words.folder.mkdir(parents=True, exist_ok=True)
    log = words.folder / "verdicts.jsonl"
    while (tried := len(verdicts(log))) < words.count:
        supervise(words.folder, log, words.first, tried, min(tried + AT_ONCE, words.count))
        print(f"{len(verdicts(log))} of {words.count}", file=sys.stderr, flush=True)
    return report(verdicts(log)[: words.count])


def work(folder: Path, seeds: range) -> None:
    """Write a verdict a seed; the formats take turns."""
    from mutations import FORMATS, mutated, verdict

    faulthandler.enable()
    with tempfile.TemporaryDirectory() as place, (folder / "verdicts.jsonl").open("a") as log:
        made = {}
        for number, (name, kind) in enumerate(FORMATS.items()):
            home = Path(place) / str(number)
            home.mkdir()
            path = kind.write(home)
            made[name] = kind, path, path.read_bytes()
        names = list(made)
        for seed in seeds:
            kind, path, content = made[name := names[seed % len(names)]]
            (folder / "now.json").write_text(json.dumps([seed, name]))
            path.write_bytes(mutated(content, seed))
            started = time.monotonic()
            found = verdict(kind.read, path)
            path.write_bytes(content)
            line = {"seed": seed, "format": name, "verdict": found, "seconds": round(time.monotonic() - started, 3)}
            log.write(json.dumps(line) + "\n")
            log.flush()


def supervise(folder: Path, log: Path, seed: int, first: int, last: int) -> None:
    """Run a worker on the `first` to `last` of the seeds from `seed` on; that on which it dies or hangs says so."""
    command = [sys.executable, __file__, str(folder), "--worker", str(seed + first), str(seed + last)]
    with (folder / "trace.txt").open("a") as trace:
        worker = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=trace)
        done, since = first, time.monotonic()
        while worker.poll() is None:
            time.sleep(0.5)
            if (now := len(verdicts(log))) != done:
                done, since = now, time.monotonic()
            elif time.monotonic() - since > (START if done == first else SECONDS):
                worker.kill()
                worker.wait()
                break
    done = len(verdicts(log))
    if done < last:
        now_at, name = json.loads((folder / "now.json").read_text())
        if now_at != seed + done:
            raise SystemExit(f"The worker ended before its first seed; see {folder / 'trace.txt'}.")
        with log.open("a") as file:
            file.write(json.dumps({"seed": now_at, "format": name, "verdict": f"ended by {worker.returncode}"}) + "\n")


def verdicts(log: Path) -> list[dict[str, str]]:
    """Those so far, by seed."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def report(found: list[dict[str, str]]) -> int:
    """Print the table and the faults."""
    table: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for each in found:
        word = each["verdict"] if each["verdict"] in ("right", "refused") else "wrong"
        table[each["format"]][word] += 1
    print(f"{'format':14}{'right':>8}{'refused':>9}{'wrong':>7}")
    for name, counted in table.items():
        print(f"{name:14}{counted['right']:8}{counted['refused']:9}{counted['wrong']:7}")
    wrong = [each for each in found if each["verdict"] not in ("right", "refused")]
    for each in wrong:
        print(f"seed {each['seed']} ({each['format']}): {each['verdict']}")
    print(f"{len(found)} tried, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
