"""Patterns come from a Tiled server over its network protocol; the server runs here, in a thread of this process."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusing import refusal

from autophasenn import cli
from autophasenn.errors import InputError
from autophasenn.files.readers import read_pattern_file
from autophasenn.files.tiled_server import is_address, read_tiled
from autophasenn.pipeline.example import EXAMPLE

KEY = "akeyofthistest"
pytestmark = pytest.mark.filterwarnings("ignore")
"""Those of the server, which fails where it warns, and of the libraries that it takes in."""


def nothing() -> None:
    """What reading an address could change: no file."""


@pytest.fixture(scope="module")
def example() -> dict[str, np.ndarray]:
    with np.load(EXAMPLE) as file:
        return dict(file)


@pytest.fixture(scope="module")
def server(example: dict[str, np.ndarray]) -> Iterator[str]:
    """host:port of a server that wants a key."""
    why = "Tiled's server is not installed (pip install 'tiled[server]')"
    app_module = pytest.importorskip("tiled.server.app", reason=why, exc_type=ImportError)
    uvicorn = pytest.importorskip("uvicorn", reason=why)
    from tiled.adapters.array import ArrayAdapter
    from tiled.adapters.mapping import MapAdapter
    from tiled.config import Authentication

    counts = example["counts"]
    sampling = {name: example[name].tolist() for name in ("reciprocal_steps", "scattering_vector")}

    def array(values: np.ndarray, **metadata: object) -> Any:
        return ArrayAdapter.from_array(values, metadata=metadata)

    run = MapAdapter(
        {
            "primary": MapAdapter(
                {"detector_image": array(counts[:, None], **sampling), "eta": array(np.arange(len(counts)) * 0.01)}
            )
        }
    )
    two = MapAdapter({"merlin": array(counts), "eiger": array(counts[:8])})
    tree = MapAdapter({"run": run, "two": two, "motor": array(np.arange(5.0)), "picture": array(counts[0])})
    app = app_module.build_app(tree, authentication=Authentication(single_user_api_key=KEY))
    listening = socket.create_server(("127.0.0.1", 0))  # who asks before the server is up waits in its queue
    serving = uvicorn.Server(uvicorn.Config(app, log_config=None))
    thread = threading.Thread(target=serving.run, kwargs={"sockets": [listening]})
    thread.start()
    host, port = listening.getsockname()
    yield f"{host}:{port}"
    serving.should_exit = True
    thread.join()
    listening.close()


@pytest.fixture
def with_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILED_API_KEY", KEY)


@pytest.mark.usefixtures("with_key")
def test_the_frames_of_a_run_come_over_the_network_with_their_sampling(
    server: str, example: dict[str, np.ndarray]
) -> None:
    for path in ("run", "run/primary", "run/primary/detector_image", "/api/v1/metadata/run"):
        stored = read_tiled(f"tiled://{server}/{path.lstrip('/')}")
        np.testing.assert_array_equal(stored.counts, example["counts"])
        assert stored.counts.dtype == example["counts"].dtype
    scan = read_pattern_file(f"tiled+http://{server}/run")
    assert scan.geometry is not None
    middle = (scan.frames.shape[1] / 2, scan.frames.shape[2] / 2)
    np.testing.assert_allclose(
        scan.geometry.scattering_vector(middle, 0.0).numpy(), example["scattering_vector"], rtol=1e-12
    )
    assert scan.source["path"] == f"tiled+http://{server}/run"


@pytest.mark.usefixtures("with_key")
def test_a_scan_of_a_server_is_reconstructed_as_the_same_file_is(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = []
    for number, name in enumerate((f"tiled://{server}/run", str(EXAMPLE))):
        folder = tmp_path / str(number)
        words = ["reconstruct", name, "-o", str(folder), "--method", "network", "--confidence", "0", "--no-figures"]
        monkeypatch.setattr(sys, "argv", ["autophasenn", *words])
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        assert not leaving.value.code
        reports.append(json.loads((folder / "report.json").read_text()))
    assert reports[0]["input"]["path"] == f"tiled://{server}/run"
    for same in ("chi2", "support_voxels", "q_per_nm", "d_spacing_nm", "strain"):
        assert reports[0][same] == reports[1][same]


@pytest.mark.usefixtures("with_key")
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nothing", "has no entry 'tiled://{server}/nothing'"),
        ("run/primary/nothing", "has no entry"),
        ("two", "holds several stacks of frames; give the address of one: tiled://{server}/two/merlin"),
        ("motor", "has 1 dimensions"),
        ("picture", "has 2 dimensions"),
        ("run/primary/eta", "has 1 dimensions"),
    ],
)
def test_what_is_no_stack_of_frames_is_refused_in_a_sentence(
    server: str, path: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refusal(["inspect", f"tiled://{server}/{path}"], nothing, monkeypatch, capsys)
    assert words.format(server=server).replace("'", "") in told.replace("'", "")


def test_without_its_key_a_server_is_asked_nothing_and_the_variable_is_named(
    server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TILED_API_KEY", raising=False)
    assert "set the variable TILED_API_KEY" in refusal(
        ["inspect", f"tiled://{server}/run"], nothing, monkeypatch, capsys
    )
    monkeypatch.setenv("TILED_API_KEY", "another")
    assert "set the variable TILED_API_KEY" in refusal(
        ["inspect", f"tiled://{server}/run"], nothing, monkeypatch, capsys
    )


def test_a_key_in_the_address_is_refused_as_addresses_are_stored_and_it_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for address in ("tiled://somewhere/run?api_key=hidden", "tiled+https://hidden:hidden@somewhere/run"):
        told = refusal(["inspect", address], nothing, monkeypatch, capsys)
        assert "holds a key" in told
        assert "hidden" not in told


def test_a_server_that_is_away_is_said_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tiled.client", reason="the extra `tiled` is not installed")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        host, port = taken.getsockname()
    told = refusal(["inspect", f"tiled://{host}:{port}/run"], nothing, monkeypatch, capsys)
    assert f"The Tiled server at {host}:{port} does not answer" in told


@pytest.mark.parametrize("address", ["tiled:///run", "tiled://host:notaport/run", "tiled://[::1/run"])
def test_an_address_without_a_server_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="names no server"):
        read_tiled(address)


def test_an_address_is_no_file_of_a_beamline_and_a_web_address_is_told_how_to_be_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refusal(["inspect", "tiled://host/run", "--beamline", "id01"], nothing, monkeypatch, capsys)
    assert "say its geometry with --diffractometer id01" in told
    assert "begins with tiled+https://" in refusal(["inspect", "https://host/run"], nothing, monkeypatch, capsys)


def test_files_are_no_addresses() -> None:
    assert not any(map(is_address, ("scan.npz", "tiled.h5:/entry", "tiled", "https://host/scan.npz")))
