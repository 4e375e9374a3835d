"""The live demonstration: a watcher with its page, and simulated detectors that send it scans frame by frame.

python -m autophasenn.live.demo [-o live-demo] [--port PORT] [--rate 10] [--scan FOLDER --spec FILE]
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory

from autophasenn.machine import PROGRAM, Stop
from autophasenn.pipeline.example import geometry_by_hand

CHANNEL, ADDRESS = "SIM:image", "tcp://127.0.0.1:9999"
PORT = 8080


def main() -> None:
    """Run until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", default="live-demo", help="folder of the results")
    parser.add_argument("--port", help=f"of the page; else {PORT}, or any other where that is taken")
    parser.add_argument("--rate", default="10", help="frames a second")
    parser.add_argument("--scan", type=Path, help="folder of a rocking scan of 34-ID-C; else the bundled example")
    parser.add_argument("--spec", help="its SPEC file")
    asked = parser.parse_args()
    asked.port = asked.port or _free_port()
    with TemporaryDirectory() as folder:
        if asked.scan is None:  # as it was simulated: so it has lengths, strain, axes in q, and the frame of the sample
            geometry = Path(folder) / "geometry.yaml"
            geometry.write_text(json.dumps(geometry_by_hand()), "utf-8")
            measured = ["--geometry", str(geometry)]
        else:
            measured = ["--beamline", "34idc", "--spec", str(asked.spec)]
        sys.exit(_run(asked, measured))


def _run(asked: argparse.Namespace, measured: list[str]) -> int:
    """The watcher and, once its page is there, the detectors; the watcher's exit status."""
    watcher = _python(
        *("-c", PROGRAM, "watch", "-o", asked.output, "--port", asked.port),
        *("--pva", CHANNEL, "--zmq", ADDRESS, "--abandon", "10", *measured),
    )
    address = f"http://127.0.0.1:{asked.port}"
    print("The watcher loads the network and opens its page; then the detectors begin.", flush=True)
    with Stop() as stop:
        while not stop.is_asked() and watcher.poll() is None and not _answers(address):
            stop.pipe.poll(0.3)
        detectors = [] if stop.is_asked() or watcher.poll() is not None else _detectors(asked)
        if detectors:
            number = "One detector sends" if len(detectors) == 1 else f"{len(detectors)} detectors send"
            print(f"{number} a scan; watch it arrive at the address above (Ctrl-C ends all).", flush=True)
        while not stop.is_asked() and watcher.poll() is None:
            stop.pipe.poll(0.5)
    for process in (watcher, *detectors):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    for process in (*detectors, watcher):
        process.wait()
    return watcher.returncode


def _free_port() -> str:
    """`PORT`, or any that is free where somebody else has it."""
    for port in (PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return str(probe.getsockname()[1])
    raise OSError("no port is free")


def _answers(address: str) -> bool:
    """Does somebody serve a page there?"""
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True  # it asks for its token
    except OSError:
        return False


def _detectors(asked: argparse.Namespace) -> list[subprocess.Popen[bytes]]:
    """Begin to send."""
    simulated = ("-m", "autophasenn.live.simulated")
    scan = [] if asked.scan is None else ["--scan", str(asked.scan)]
    name = [] if asked.scan is not None else ["--name", "gold_over_PVAccess"]
    detectors = [_python(*simulated, "pva", CHANNEL, "--rate", asked.rate, *scan, *name)]
    if asked.scan is None:  # a scan of a beamline has one number in the SPEC file, and so is sent once
        detectors.append(_python(*simulated, "zmq", ADDRESS, "--rate", asked.rate, "--name", "gold_over_ZMQ"))
    return detectors


def _python(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, *words])


if __name__ == "__main__":
    main()
