"""Detectors that are not there: a scan replayed as files, over PVAccess, or over ZMQ (Dectris, version 1 or 2).

python -m autophasenn.live.simulated files FOLDER | pva CHANNEL | zmq ADDRESS | zmq2 ADDRESS
    [--scan SCAN] [--rate FRAMES/S] [--name NAME] [--codec lz4 | bslz4 | blosc]
"""

from __future__ import annotations

import argparse
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from autophasenn.errors import AutoPhaseNNError
from autophasenn.files.frames import find_frames, read_image
from autophasenn.files.readers import read_pattern_file
from autophasenn.live.sending import encode, series_1, series_2
from autophasenn.live.streams import FRAMES, NAME, SCALARS
from autophasenn.pipeline.example import EXAMPLE

logger = logging.getLogger(__name__)

NUMBERS = {kind: number for number, kind in SCALARS.items()}
LISTENER = 30.0
"""Seconds to wait for somebody who listens."""


def frames_of(scan: Path) -> list[np.ndarray]:
    """The frames of a scan's folder or of a pattern's file."""
    if scan.is_dir():
        return [read_image(path, "frame") for path in find_frames(scan)]
    return list(read_pattern_file(scan).frames)


def paced(frames: Sequence[np.ndarray], rate: float) -> Iterator[tuple[int, np.ndarray]]:
    """Frames and their numbers, so many a second."""
    began = time.monotonic()
    for index, frame in enumerate(frames):
        time.sleep(max(0.0, began + index / rate - time.monotonic()))
        yield index, frame


def replay_files(folder: Path, name: str, frames: Sequence[np.ndarray], rate: float) -> None:
    """Write each frame into ``folder/name``, as a detector's file writer does."""
    import tifffile

    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    for index, frame in paced(frames, rate):
        tifffile.imwrite(target / f"{name}_{index:05d}.tif", frame)


def replay_pva(
    channel: str,
    name: str,
    frames: Sequence[np.ndarray],
    rate: float,
    codec: str = "",
    heard: threading.Event | None = None,
    taken: threading.Event | None = None,
) -> None:
    """Serve an NTNDArray channel and post each frame, compressed as NDPluginCodec does it, once somebody listens.

    Who has connected need not listen yet; the first frames are lost then, as those of a detector are. `heard` is set by
    whoever knows better. Whoever is slow loses the last ones when the channel goes, a second after them, or once `taken` is
    set.
    """
    from p4p.nt import NTNDArray
    from p4p.server import Server
    from p4p.server.thread import SharedPV

    listener, array = threading.Event(), NTNDArray()

    class Handler:
        """Notices who comes."""

        def onFirstConnect(self, pv: SharedPV) -> None:  # noqa: N802
            """Somebody listens."""
            listener.set()

    first = array.wrap(np.zeros_like(frames[0]))
    pv = SharedPV(initial=first, handler=Handler())
    with Server(providers=[{channel: pv}]):
        logger.info("PVAccess channel %s is served", channel)
        listener.wait(LISTENER)
        time.sleep(0.5) if heard is None else heard.wait(LISTENER)
        for index, frame in paced(frames, rate):
            facts = {NAME: name, FRAMES: len(frames)}
            value = array.wrap(np.ascontiguousarray(frame), attrib=facts, timestamp=time.time())
            value.uniqueId = 1000 + index
            if codec:
                data = encode(frame, codec)
                if codec == "bslz4":
                    data = data[12:]  # areaDetector leaves the head of the HDF5 filter out
                value.value = ("ubyteValue", np.frombuffer(data, np.uint8))
                value.compressedSize = len(data)
                value.codec = {"name": codec, "parameters": NUMBERS[frame.dtype.name]}
            pv.post(value)
        time.sleep(1) if taken is None else taken.wait(LISTENER)


def replay_zmq(
    address: str,
    name: str,
    frames: Sequence[np.ndarray],
    rate: float,
    codec: str = "",
    version: int = 1,
    series: int = 1,
) -> None:
    """Push a series as a Dectris detector does."""
    import zmq

    said = {1: series_1, 2: series_2}[version]
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.set_hwm(len(frames) + 2)
        socket.bind(address)
        for message in said(name, paced(frames, rate), len(frames), frames[0].dtype, series, codec):
            socket.send_multipart(message)
        socket.close(linger=int(1000 * LISTENER))


REPLAYS: dict[str, Callable[..., None]] = {
    "files": replay_files,
    "pva": replay_pva,
    "zmq": replay_zmq,
    "zmq2": partial(replay_zmq, version=2),
}
SENDS = {"files": (), "pva": ("lz4", "bslz4", "blosc"), "zmq": ("lz4", "bslz4"), "zmq2": ("lz4", "bslz4")}
"""Codecs of each."""


def main() -> None:
    """Replay a scan once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=REPLAYS)
    parser.add_argument("target", help="folder, channel or address (tcp://127.0.0.1:9999)")
    parser.add_argument("--scan", type=Path, default=EXAMPLE, help="folder of frames, or pattern; else the example")
    parser.add_argument("--rate", type=float, default=20.0, help="frames a second")
    parser.add_argument("--name", help="of the scan; else of its folder or file")
    parser.add_argument("--codec", choices=SENDS["pva"], help="compresses the frames; else they are sent raw")
    asked = parser.parse_args()
    if asked.codec and asked.codec not in SENDS[asked.kind]:
        parser.error(f"{asked.kind} does not send {asked.codec}; choose of: {', '.join(SENDS[asked.kind]) or 'none'}")
    logging.basicConfig(level=logging.INFO)
    name = asked.name or asked.scan.stem
    target = Path(asked.target) if asked.kind == "files" else asked.target
    try:
        compressed = {"codec": asked.codec} if asked.codec else {}
        REPLAYS[asked.kind](target, name, frames_of(asked.scan), asked.rate, **compressed)
    except AutoPhaseNNError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
