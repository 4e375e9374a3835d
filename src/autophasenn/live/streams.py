"""Clients of detectors that send frames instead of writing files; each runs in a process of its own.

EPICS PVAccess: an NTNDArray channel as areaDetector's NDPluginPva serves it (EPICS normative types specification). The
attributes `ScanName` and `ScanFrames` of a frame say which scan it belongs to and how many frames that has; where they are
missing, a scan ends when no frame comes for a while. `uniqueId` numbers the frames, so that lost ones are noticed.

Frames may be compressed by lz4, bslz4 or blosc, as areaDetector's NDPluginCodec does it.

ZMQ: the stream of Dectris detectors, version 1 or 2 (:mod:`autophasenn.live.simplon`).
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from autophasenn.errors import AutoPhaseNNError, PlanError, install
from autophasenn.live.codecs import decode
from autophasenn.live.simplon import Begin, End, Frame, read_message
from autophasenn.live.spool import Spool

logger = logging.getLogger(__name__)

NAME, FRAMES = "ScanName", "ScanFrames"
"""Attributes of an NTNDArray."""
_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
SCALARS = dict(enumerate((*_INTEGERS, "float32", "float64"), start=1))
"""Types of pixels by the number that areaDetector writes into codec.parameters (ScalarType of pvData)."""
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
    frames = PvaFrames(channel, Spool(folder, pack, abandon))
    with subscribed(channel, frames.take):
        logger.info("PVAccess channel %s", channel)
        while True:
            time.sleep(TICK)
            frames.spool.tidy()


@contextmanager
def subscribed(channel: str, take: Callable[[Any], None]) -> Iterator[None]:
    """Hand every update of a PVAccess channel to `take`, and an exception when the connection comes or goes.

    The subscription is held, as p4p cancels one that nothing refers to when garbage is collected.

    Raises
    ------
    PlanError
        If p4p is not installed.
    """
    try:
        from p4p.client.thread import Context
    except ModuleNotFoundError as error:
        raise PlanError(f"--pva needs p4p: {install('live')}.") from error
    request = f"record[queueSize={QUEUE}]"
    with (
        Context("pva", nt=False) as context,
        context.monitor(channel, take, request=request, notify_disconnect=True),
    ):
        yield


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
        except AutoPhaseNNError as error:
            self._complain(f"a frame was passed over: {error}")
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


def _image_of(update: Any) -> Shaped[np.ndarray, "y x"] | str:
    """The frame in an NTNDArray, or why there is none."""
    sizes, codec = [dimension.size for dimension in update.dimension], update.codec.name
    if update.value is None:  # a channel that has not had a frame
        return "it has no frame yet"
    if len(sizes) != 2:
        return f"it sends arrays of {len(sizes)} dimensions; a frame has 2"
    value = np.asarray(update.value)
    if not codec:
        return decode(value.tobytes(), "", value.dtype.name, sizes[::-1], "<" if sys.byteorder == "little" else ">")
    kind = SCALARS.get(update.codec.parameters)
    if kind is None:
        return (
            f"its frames are compressed ({codec}) and codec.parameters is {update.codec.parameters!r}; it must be the "
            "number of the pixels' type (5 to 8 of unsigned integers), as NDPluginCodec sets it"
        )
    return decode(value.tobytes()[: update.compressedSize or None], codec, kind, sizes[::-1])


def receive_zmq(address: str, folder: Path, pack: bool, abandon: float) -> None:
    """Keep the frames of a ZMQ stream until the process is ended.

    Parameters
    ----------
    address : str
        Of the detector's PUSH socket, ``tcp://host:9999`` (version 1) or ``tcp://host:31001`` (version 2).
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
        self._left: tuple[str, ...] = ()

    def take(self, parts: Sequence[bytes]) -> None:
        """A message of one or more parts; what is no message of a detector is told and passed over."""
        try:
            said = read_message(parts)
            if isinstance(said, Begin):
                self._names = {said.series: said.name or f"series_{said.series:06d}"}
                self.spool.begin(self._name(said.series), 0, said.expected, said.series)
            elif isinstance(said, Frame):
                self._tell_of(said.others)
                self.spool.begin(self._name(said.series), 0, None, said.series)
                self.spool.frame(self._name(said.series), said.number, said.image)
            elif isinstance(said, End):
                self.spool.end(self._name(said.series))
                self._names.pop(said.series, None)
        except (OSError, MemoryError, AutoPhaseNNError) as error:
            if str(error) != self._complaint:  # once, and not for every frame
                logger.warning("A message of the ZMQ stream was passed over: %s", error)
            self._complaint = str(error)

    def _tell_of(self, others: tuple[str, ...]) -> None:
        if others and others != self._left:
            logger.warning(
                "The detector sends several thresholds; the first is taken, and %s left (switch it off to save time)",
                ", ".join(others),
            )
        self._left = others

    def _name(self, series: int) -> str:
        return self._names.get(series, f"series_{series:06d}")
