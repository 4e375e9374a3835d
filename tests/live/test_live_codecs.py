"""Frames as detectors send them: what was sent is what is kept, and what is broken is told in one sentence and left out."""

import gc
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import psutil
import pytest

from autophasenn.errors import InputError
from autophasenn.files.readers import read_pattern_file
from autophasenn.live.codecs import LARGEST, decode, dectris_encoding
from autophasenn.live.sending import encode, series_1, series_2
from autophasenn.live.simplon import Begin, End, Frame, read_message
from autophasenn.live.simulated import NUMBERS, replay_pva, replay_zmq
from autophasenn.live.spool import Spool
from autophasenn.live.streams import PvaFrames, ZmqFrames, subscribed

for library in ("zmq", "p4p"):
    pytest.importorskip(library, reason="the extra `live` is not installed")
cbor2 = pytest.importorskip("cbor2", reason="the extra `live` is not installed")
PATIENCE = 60.0
COMPRESSED = ("lz4", "lz4hdf5", "bslz4", "blosc")
UNSIGNED = (np.uint8, np.uint16, np.uint32)


def frames_of(dtype: type, number: int = 5, shape: tuple[int, int] = (67, 45)) -> np.ndarray:
    """Odd sizes, so that the last block is short and some elements are left over."""
    frames = np.random.default_rng(11).poisson(2, (number, *shape)).astype(dtype)
    frames[:, 3, 4] = np.iinfo(dtype).max
    return frames


def bitshuffled(frame: np.ndarray, block: int, order: str) -> bytes:
    """Bitshuffle and LZ4 out of their description: bit planes of blocks, the elements beyond a multiple of 8 as they are."""
    flat = np.ascontiguousarray(frame, frame.dtype.newbyteorder(order)).ravel()
    out, whole = b"", len(flat) // 8 * 8
    for start in range(0, whole, block):
        octets = flat[start : min(start + block, whole)].view(np.uint8).reshape(-1, frame.itemsize)
        bits = np.unpackbits(octets, axis=1, bitorder="little")
        planes = np.packbits(bits.T, axis=1, bitorder="little")
        packed = encode(planes.reshape(1, -1), "lz4")
        out += struct.pack(">I", len(packed)) + packed
    return out + flat[whole:].tobytes()


@pytest.mark.parametrize("dtype", UNSIGNED)
@pytest.mark.parametrize("codec", ["", *COMPRESSED])
def test_a_frame_is_what_was_encoded(codec: str, dtype: type) -> None:
    frame = frames_of(dtype)[0]
    decoded = decode(encode(frame, codec), codec, frame.dtype.name, frame.shape)
    np.testing.assert_array_equal(decoded, frame)
    assert decoded.dtype == frame.dtype
    assert decoded.dtype.isnative
    assert decoded.flags.writeable


@pytest.mark.parametrize("dtype", UNSIGNED)
@pytest.mark.parametrize("codec", COMPRESSED)
def test_noise_that_no_codec_makes_smaller_is_what_was_encoded(codec: str, dtype: type) -> None:
    frame = np.random.default_rng(12).integers(0, np.iinfo(dtype).max, (67, 45), dtype)
    data = encode(frame, codec)
    assert len(data) >= frame.nbytes
    np.testing.assert_array_equal(decode(data, codec, frame.dtype.name, frame.shape), frame)


@pytest.mark.parametrize(("repeats", "literals"), [(2, 30), (1, 35), (0, 40)])
def test_a_block_of_lz4_is_read_as_it_is_described_however_long_it_is(repeats: int, literals: int) -> None:
    """A token of two halves (literals, match - 4), longer ones go on behind it; the last sequence has literals alone."""
    first, last = bytes(range(100, 100 + repeats)), bytes(range(literals))
    block = b"".join(bytes([0x10, value, 1, 0]) for value in first) + bytes([0xF0, literals - 15]) + last
    meant = b"".join(bytes([value]) * 5 for value in first) + last
    assert (len(block) - len(meant)) == 2 - repeats  # of two repeats both are of one length, as raw data would be
    frame = decode(block, "lz4", "uint16", (4, len(meant) // 8))
    assert frame.tobytes() == meant


def test_blocks_of_lz4hdf5_may_be_copies_and_the_last_one_short() -> None:
    meant = bytes([7]) * 16 + bytes(range(16)) + bytes([9]) * 13
    packed = [bytes([0x16, 7, 1, 0, 0x50, *[7] * 5]), meant[16:32], bytes([0x13, 9, 1, 0, 0x50, *[9] * 5])]
    data = struct.pack(">QI", 45, 16) + b"".join(struct.pack(">I", len(block)) + block for block in packed)
    assert decode(data, "lz4hdf5", "uint8", (9, 5)).tobytes() == meant


def test_no_decoder_is_asked_for_more_than_such_data_can_hold() -> None:
    rows = LARGEST // 4 // 1000
    for codec, data in {
        "lz4": bytes(1000),
        "lz4hdf5": struct.pack(">QII", rows * 4000, 1 << 30, 20) + bytes(20),
        "bslz4": struct.pack(">QII", rows * 4000, 8192, 20) + bytes(20),
        "blosc": struct.pack("<BBBBIII", 2, 1, 0x30, 1, rows * 4000, rows * 4000, 40) + bytes(24),
    }.items():
        before = psutil.Process().memory_info().rss
        with pytest.raises(InputError, match="broken or cut short"):
            decode(data, codec, "uint32", (rows, 1000))
        assert psutil.Process().memory_info().rss - before < 2**26


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("head", [False, True])
@pytest.mark.parametrize("dtype", UNSIGNED)
def test_bslz4_is_read_as_it_is_described(dtype: type, head: bool, order: str) -> None:
    frame = frames_of(dtype)[0]
    block = 1024 if head else 8192 // frame.itemsize
    data = (struct.pack(">QI", frame.nbytes, block * frame.itemsize) if head else b"") + bitshuffled(
        frame, block, order
    )
    np.testing.assert_array_equal(decode(data, "bslz4", frame.dtype.name, frame.shape, order), frame)


@pytest.mark.parametrize("codec", COMPRESSED)
def test_no_broken_data_become_a_frame_or_take_more_than_a_sentence(codec: str) -> None:
    frame = frames_of(np.uint32)[0]
    data = encode(frame, codec)
    cuts = [data[:size] for size in (0, 1, 4, 11, 12, 13, len(data) // 2, len(data) - 1)]
    for broken in (*cuts, b"x" * 200):
        with pytest.raises(InputError, match=r"67 x 45 uint32 has 12060 bytes"):
            decode(broken, codec, "uint32", frame.shape)
    random = np.random.default_rng(5)
    for _ in range(200):  # whatever a changed byte does, it is a frame of that shape or a sentence
        changed = bytearray(data)
        changed[random.integers(len(data))] = random.integers(256)
        with suppress(InputError):
            assert decode(bytes(changed), codec, "uint32", frame.shape).shape == frame.shape


@pytest.mark.parametrize(
    ("codec", "kind", "shape", "said"),
    [
        ("jpeg", "uint16", (4, 5), "compressed by 'jpeg'.*lz4, lz4hdf5, bslz4, blosc or none"),
        ("", "complex64", (4, 5), "type 'complex64'"),
        ("", "uint16", (4, 5, 1), r"\(4, 5, 1\)"),
        ("", "uint16", (0, 5), r"\(0, 5\)"),
        ("", "uint16", (4, 6), "4 x 6 uint16 has 48 bytes, but 40 came"),
        ("lz4", "uint32", (LARGEST, 1), "more than any detector's"),
    ],
)
def test_what_is_no_frame_is_said(codec: str, kind: str, shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        decode(bytes(40), codec, kind, shape)


@pytest.mark.parametrize("codec", ["lz4hdf5", "bslz4", "blosc"])
def test_a_head_of_another_size_is_not_believed(codec: str) -> None:
    frame = frames_of(np.uint16)[0]
    with pytest.raises(InputError, match="has 3015 bytes, but its compressed data say 6030"):
        decode(encode(frame, codec), codec, "uint8", frame.shape)


@pytest.mark.parametrize(
    ("encoding", "meant"),
    [("<", ("", "<")), ("", ("", "<")), (">", ("", ">")), ("lz4<", ("lz4", "<")), ("bs32-lz4<", ("bslz4", "<"))],
)
def test_an_encoding_of_dectris_is_a_codec_and_an_order(encoding: str, meant: tuple[str, str]) -> None:
    assert dectris_encoding(encoding, "uint32") == meant


@pytest.mark.parametrize("encoding", ["bs32<", "bs16-lz4<", "bszstd<", "lz4", "trpx"])
def test_an_encoding_that_is_not_read_is_said(encoding: str) -> None:
    with pytest.raises(InputError, match=f"encoding '{encoding}'"):
        dectris_encoding(encoding, "uint32")


def image_2(array: object, **facts: object) -> list[bytes]:
    return [cbor2.dumps({"type": "image", "series_id": 7, "image_id": 0, "data": {"threshold_1": array}} | facts)]


def array_2(tag: int, data: object, shape: object = (4, 5)) -> Any:
    return cbor2.CBORTag(40, [shape, cbor2.CBORTag(tag, data)])


@pytest.mark.parametrize(
    ("tag", "kind"),
    [
        *(
            (64, "u1"),
            (65, ">u2"),
            (66, ">u4"),
            (67, ">u8"),
            (68, "u1"),
            (69, "<u2"),
            (70, "<u4"),
            (71, "<u8"),
            (72, "i1"),
        ),
        *((73, ">i2"), (74, ">i4"), (75, ">i8"), (77, "<i2"), (78, "<i4"), (79, "<i8")),
        *((81, ">f4"), (82, ">f8"), (85, "<f4"), (86, "<f8")),
    ],
)
def test_a_typed_array_of_cbor_has_the_type_of_its_tag(tag: int, kind: str) -> None:
    frame = np.arange(20).reshape(4, 5).astype(kind)
    said = read_message(image_2(array_2(tag, frame.tobytes())))
    assert isinstance(said, Frame)
    np.testing.assert_array_equal(said.image, frame)
    assert said.image.dtype == frame.dtype.newbyteorder("=")


def test_of_several_thresholds_the_first_is_taken_and_it_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    both = {"threshold_1": array_2(64, bytes(range(20))), "threshold_2": array_2(64, bytes(20))}
    frames = ZmqFrames(Spool(tmp_path, True, 60.0))
    for number in range(3):
        frames.take(image_2(None, data=both, image_id=number))
    frames.take([cbor2.dumps({"type": "end", "series_id": 7})])
    assert caplog.text.count("threshold_2") == 1
    assert read_pattern_file(tmp_path / "series_000007.npz").frames[2].ravel().tolist() == list(range(20))


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([], "empty"),
        ([b""], "empty"),
        ([b"[" * 100000], "no message"),
        ([cbor2.dumps({"type": "image", "series_id": 1})[:-3]], "broken or cut short"),
        ([cbor2.dumps({"series_id": 1})], "'type' is missing"),
        ([cbor2.dumps({"type": "image", "series_id": "a"})], "series_id is 'a'"),
        (image_2(b"1234"), "tag 40"),
        (image_2(cbor2.CBORTag(40, [1])), "no message"),
        (image_2(array_2(80, bytes(20))), "tag 80"),
        (image_2(array_2(64, "text")), "type str"),
        (image_2(array_2(64, bytes(19))), "20 bytes, but 19 came"),
        (image_2(array_2(64, bytes(20), shape=[4, "5"])), "rows and columns"),
        (image_2(array_2(64, bytes(20), shape=[1, 4, 5])), "rows and columns"),
        (image_2(array_2(69, cbor2.CBORTag(56500, ["bslz4", 4, b"x"]))), "elements of 4 bytes"),
        (image_2(array_2(69, cbor2.CBORTag(56500, ["zstd", 0, b"x"]))), "compressed by 'zstd'"),
        (image_2(array_2(69, cbor2.CBORTag(56500, ["lz4", 0, b"x" * 30]))), "data say"),
        (image_2(None, data={}), "no channel"),
        (image_2(None, image_id=-1), "tag 40|image_id"),
    ],
)
def test_a_message_that_is_broken_is_one_sentence_and_the_next_one_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, parts: list[bytes], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        read_message(parts)
    frames = ZmqFrames(Spool(tmp_path, True, 60.0))
    for _ in range(3):
        frames.take(parts)
    assert caplog.text.count("passed over") == 1
    for message in series_2("gold", enumerate(frames_of(np.uint16)), 5, np.dtype(np.uint16), 7, "bslz4"):
        frames.take(message)
    assert len(read_pattern_file(tmp_path / "gold.npz").frames) == 5


@pytest.mark.parametrize("series", [series_1, series_2])
def test_a_series_is_begun_and_ended_by_its_messages(series: Callable[..., Any]) -> None:
    frames = frames_of(np.uint32)
    first, *_, last = series("gold", enumerate(frames), 5, frames.dtype, 3, "lz4")
    assert read_message(first) == Begin(3, "gold", 5)
    assert read_message(last) == End(3)


def within(seconds: float, done: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.02)


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
@pytest.mark.parametrize("codec", ["", "lz4", "bslz4"])
@pytest.mark.parametrize("version", [1, 2])
def test_a_simulated_eiger_is_kept_as_it_sends(tmp_path: Path, version: int, codec: str, dtype: type) -> None:
    import zmq

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    sent, kept = frames_of(dtype), ZmqFrames(Spool(tmp_path, True, 60.0))
    detector = threading.Thread(target=replay_zmq, args=(address, "gold", list(sent), 1000.0, codec, version))
    detector.start()
    with zmq.Context() as context, context.socket(zmq.PULL) as client:
        client.connect(address)
        for _ in range(len(sent) + 2):
            assert client.poll(10000)
            kept.take(client.recv_multipart())
    detector.join(10)
    scan = read_pattern_file(tmp_path / "gold.npz")
    np.testing.assert_array_equal(scan.frames, sent)
    assert scan.frames.dtype == dtype
    assert scan.mask is None


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> None:
    """PVAccess on this machine alone; a server of p4p is asked directly, since a search that comes too early is lost."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for name in ("EPICS_PVA_ADDR_LIST", "EPICS_PVAS_INTF_ADDR_LIST"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setenv("EPICS_PVA_AUTO_ADDR_LIST", "NO")
    monkeypatch.setenv("EPICS_PVAS_SERVER_PORT", str(port))
    monkeypatch.setenv("EPICS_PVA_NAME_SERVERS", f"127.0.0.1:{port}")


@pytest.mark.parametrize("codec", ["", "lz4", "bslz4", "blosc"])
def test_a_simulated_areadetector_is_kept_as_it_sends(
    tmp_path: Path, codec: str, local: None, caplog: pytest.LogCaptureFixture
) -> None:
    channel, sent = f"SIM:{codec or 'raw'}", frames_of(np.uint16)
    heard, taken = threading.Event(), threading.Event()
    kept = PvaFrames(channel, Spool(tmp_path, True, 60.0))
    detector = threading.Thread(target=replay_pva, args=(channel, "gold", list(sent), 20.0, codec, heard, taken))
    caplog.set_level("INFO")
    detector.start()
    within(PATIENCE, lambda: "is served" in caplog.text)  # whoever looks for a channel too early looks again much later

    def take(update: object) -> None:
        kept.take(update)
        if not isinstance(update, Exception):  # the value that the channel had before
            gc.collect()  # takes no subscription that is held
            heard.set()

    with subscribed(channel, take):
        within(PATIENCE, lambda: (tmp_path / "gold.npz").exists())
        taken.set()
    detector.join(PATIENCE)
    np.testing.assert_array_equal(read_pattern_file(tmp_path / "gold.npz").frames, sent)


SERVER = shutil.which("pvapy-ad-sim-server")


@pytest.mark.skipif(SERVER is None, reason="pvapy, whose server of areaDetector's frames this takes, is not installed")
@pytest.mark.parametrize("compressed", [False, True])
def test_what_the_simulated_areadetector_of_pvapy_sends_is_kept(tmp_path: Path, compressed: bool, local: None) -> None:
    sent = frames_of(np.uint16, 12)
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        file.create_dataset("data", data=sent, chunks=(1, *sent.shape[1:]), **hdf5plugin.Bitshuffle(cname="lz4"))
    kept = PvaFrames("PVAPY:image", Spool(tmp_path, True, 0.5))
    words = [str(SERVER), "-if", str(tmp_path / "frames.h5"), "-hds", "data", *(["-hcm"] if compressed else [])]
    words += ["-cn", "PVAPY:image", "-fps", "20", "-nf", "12", "-cs", "6", "-rt", "60", "-std", "2", "-dc"]
    with (
        subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server,
        subscribed("PVAPY:image", kept.take),
    ):
        try:
            within(PATIENCE, lambda: any((kept.spool.last(name) or 0) >= 12 for name in kept.spool.receiving))
            within(PATIENCE, lambda: bool(kept.spool.tidy() or list(tmp_path.glob("*.npz"))))
        finally:
            server.kill()
    (packed,) = tmp_path.glob("*.npz")
    np.testing.assert_array_equal(read_pattern_file(packed).frames, sent)


def update(frame: np.ndarray, codec: str, data: bytes, parameters: object) -> SimpleNamespace:
    """What p4p hands over of a compressed NTNDArray."""
    return SimpleNamespace(
        uniqueId=0,
        value=np.frombuffer(data, np.uint8),
        dimension=[SimpleNamespace(size=size) for size in reversed(frame.shape)],
        codec=SimpleNamespace(name=codec, parameters=parameters),
        compressedSize=len(data),
        timeStamp=SimpleNamespace(secondsPastEpoch=int(time.time())),
        attribute=[SimpleNamespace(name="ScanName", value="gold"), SimpleNamespace(name="ScanFrames", value=1)],
    )


@pytest.mark.parametrize(
    ("codec", "cut", "kind", "said"),
    [
        ("jpeg", None, NUMBERS["uint16"], "compressed by 'jpeg'"),
        ("lz4", None, None, "codec.parameters is None"),
        ("lz4", -9, NUMBERS["uint16"], "cut short"),
        ("blosc", -9, NUMBERS["uint16"], "cut short"),
        ("bslz4", None, NUMBERS["uint32"], "data say 6030"),
    ],
)
def test_a_channel_goes_on_after_a_frame_that_is_broken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, codec: str, cut: int | None, kind: object, said: str
) -> None:
    frame = frames_of(np.uint16)[0]
    good = "bslz4" if codec == "jpeg" else codec
    frames = PvaFrames("SIM:image", Spool(tmp_path, True, 60.0))
    for _ in range(3):
        frames.take(update(frame, codec, encode(frame, good)[:cut], kind))
    assert caplog.text.count(said) == 1
    frames.take(update(frame, good, encode(frame, good), NUMBERS["uint16"]))
    np.testing.assert_array_equal(read_pattern_file(tmp_path / "gold.npz").frames[0], frame)
