"""Clients of detectors that send frames instead of writing files; each runs in a process of its own.

EPICS PVAccess: an NTNDArray channel as areaDetector's NDPluginPva serves it (EPICS normative types specification). The
attributes `ScanName` and `ScanFrames` of a frame say which scan it belongs to and how many frames that has; where they are
missing, a scan ends when no frame comes for a while. `uniqueId` numbers the frames, so that lost ones are noticed.

ZMQ: the stream of Dectris detectors (SIMPLON API 1.8, stream interface, version 1): multipart messages, a JSON header in the
first part of each: ``dheader-1.0`` begins a series, ``dimage-1.0`` brings a frame as raw bytes, ``dseries_end-1.0`` ends it.
Compression must be off. A header appendix ``{"scan": "name"}`` names the scan.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from autophasenn.errors import AutoPhaseNNError, PlanError, install
from autophasenn.live.spool import Spool

logger = logging.getLogger(__name__)

NAME, FRAMES = "ScanName", "ScanFrames"
"""Attributes of an NTNDArray."""
UNNAMED = 0
"""Series of the scans of a channel that does not name them."""
QUEUE = 200
"""Frames that wait while one is written; a detector that sends more is slowed down (ZMQ) or loses some (PVAccess)."""
TICK = 0.2
"""Seconds between two looks for scans that have ended."""


def receive_pva(channel: str, folder: Path, pack: bool, abandon: float) -> None:
    """Keep the frames of a PVAccess channel until the process is ended.

    Parameters
    ----------
    channel : str
        Name of the channel.
    folder : Path
        Of the spool.
    pack : bool
        Whether a scan that has ended becomes one file.
    abandon : float
        Seconds without a frame after which a scan has ended.

    Raises
    ------
    PlanError
        If p4p is not installed.
    """
    try:
        from p4p.client.thread import Context
    except ModuleNotFoundError as error:
        raise PlanError(f"--pva needs p4p: {install('live')}.") from error
    frames = PvaFrames(channel, Spool(folder, pack, abandon))
    with Context("pva", nt=False) as context:
        logger.info("PVAccess channel %s", channel)
        context.monitor(
            channel, frames.take, request=f"record[queueSize={QUEUE},pipeline=true]", notify_disconnect=True
        )
        while True:
            time.sleep(TICK)
            frames.spool.tidy()


class PvaFrames:
    """What is made of the updates of a channel.

    Parameters
    ----------
    channel : str
    spool : Spool
    """

    def __init__(self, channel: str, spool: Spool) -> None:
        self.channel, self.spool = channel, spool
        self._unnamed = spool.named_series().get(UNNAMED)
        self._connecting_since: float | None = time.time()
        self._complaint = ""

    def take(self, update: Any) -> None:
        """A frame, or an exception that says what became of the connection."""
        try:
            if isinstance(update, Exception):
                self._connecting_since = time.time()
                self._tell_of(update)
            else:
                self._keep(update)
        except Exception as error:  # one bad frame must not end the stream
            self._complain(f"a frame could not be kept ({type(error).__name__}: {error})")

    def _tell_of(self, trouble: Exception) -> None:
        from p4p.client.raw import Disconnected

        if isinstance(trouble, Disconnected):  # a detector that has ended its scan, or has not begun
            logger.info("PVAccess channel %s is not served; its frames are taken once it is", self.channel)
        else:
            logger.warning("PVAccess channel %s: %s", self.channel, type(trouble).__name__)

    def _complain(self, sentence: str) -> None:
        """Once, and not for every frame."""
        if sentence != self._complaint:
            logger.warning("PVAccess channel %s: %s", self.channel, sentence)
        self._complaint = sentence

    def _keep(self, update: Any) -> None:
        image = _image_of(update)
        since, self._connecting_since = self._connecting_since, None
        if isinstance(image, str):
            self._complain(image)
            return
        # The channel sends its last value to whoever connects: of a scan that may have ended long ago.
        if since is not None and not self.spool.receiving and update.timeStamp.secondsPastEpoch < int(since):
            return
        attributes = {each.name: each.value for each in update.attribute}
        number, expected = int(update.uniqueId), int(attributes.get(FRAMES) or 0) or None
        given = str(attributes.get(NAME) or "")
        name = given or self._name_of_unnamed(number)
        self.spool.begin(name, number, expected, None if given else UNNAMED)
        self.spool.frame(name, number, image)

    def _name_of_unnamed(self, number: int) -> str:
        last = None if self._unnamed is None else self.spool.last(self._unnamed)
        # Whoever connects anew gets the last frame again.
        if self._unnamed is None or last is None or number < last:
            if self._unnamed is not None:
                self.spool.end(self._unnamed)
            self._unnamed = f"{self.channel}_{time.strftime('%Y%m%d-%H%M%S')}"
        return self._unnamed


def _image_of(update: Any) -> np.ndarray | str:
    """The frame in an NTNDArray, or why there is none."""
    if update.codec.name:
        return f"its frames are compressed ({update.codec.name}); switch the codec of the plugin off"
    sizes = [dimension.size for dimension in update.dimension]
    if len(sizes) != 2 or update.value is None:
        return f"it sends arrays of {len(sizes)} dimensions; a frame has 2"
    return np.asarray(update.value).reshape(sizes[::-1])


def receive_zmq(address: str, folder: Path, pack: bool, abandon: float) -> None:
    """Keep the frames of a ZMQ stream until the process is ended.

    Parameters
    ----------
    address : str
        Of the detector's PUSH socket, ``tcp://host:9999``.
    folder, pack, abandon
        As :func:`receive_pva` has them.

    Raises
    ------
    PlanError
        If pyzmq is not installed, or the address is none.
    """
    try:
        import zmq
    except ModuleNotFoundError as error:
        raise PlanError(f"--zmq needs pyzmq: {install('live')}.") from error
    frames = ZmqFrames(Spool(folder, pack, abandon))
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        socket.set_hwm(QUEUE)
        try:
            socket.connect(address)
        except zmq.ZMQError as error:
            raise PlanError(
                f"{address!r} is no address of a stream ({error}); give one such as tcp://host:9999."
            ) from error
        logger.info("ZMQ stream %s", address)
        while True:
            if socket.poll(int(1000 * TICK)):
                frames.take(socket.recv_multipart())
            frames.spool.tidy()


class ZmqFrames:
    """What is made of the messages of a stream.

    Parameters
    ----------
    spool : Spool
    """

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self._names = spool.named_series()
        self._complaint = ""

    def take(self, parts: Sequence[bytes]) -> None:
        """A message of one or more parts; what is no message of a detector is told and passed over."""
        try:
            header = json.loads(parts[0])
            kind, series = header["htype"].split("-")[0], int(header["series"])
            if kind == "dheader":
                self._begin(series, parts)
            elif kind == "dimage":
                self.spool.begin(self._name(series), 0, None, series)
                self.spool.frame(self._name(series), int(header["frame"]), _decoded(parts))
            elif kind == "dseries_end":
                self.spool.end(self._name(series))
                self._names.pop(series, None)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, OSError, AutoPhaseNNError) as error:
            if str(error) != self._complaint:  # once, and not for every frame
                logger.warning("A message of the ZMQ stream was passed over: %s", error)
            self._complaint = str(error)

    def _name(self, series: int) -> str:
        return self._names.get(series, f"series_{series:06d}")

    def _begin(self, series: int, parts: Sequence[bytes]) -> None:
        config = json.loads(parts[1]) if len(parts) > 1 else {}
        expected = int(config.get("nimages", 0)) * int(config.get("ntrigger", 1)) or None
        self._names = {series: f"series_{series:06d}"}
        with suppress(ValueError, KeyError, TypeError):  # no appendix, or one for somebody else
            self._names[series] = str(json.loads(parts[-1])["scan"])
        self.spool.begin(self._names[series], 0, expected, series)


def _decoded(parts: Sequence[bytes]) -> np.ndarray:
    facts = json.loads(parts[1])
    if facts["encoding"] not in ("<", ""):
        raise ValueError(f"its encoding is {facts['encoding']!r}; switch the compression of the stream off")
    columns, rows = facts["shape"]
    image = np.frombuffer(parts[2], np.dtype(facts["type"]).newbyteorder("<")).reshape(rows, columns)
    return image.astype(image.dtype.newbyteorder("="))
