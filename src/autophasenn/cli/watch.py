"""The command that reconstructs scans as they land."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from autophasenn.cli import options
from autophasenn.cli.app import ALL_DAY, advised, app, command_line
from autophasenn.cli.terminal import show_facts
from autophasenn.errors import InputError, install
from autophasenn.pipeline.instrument import AS_RECORDED, Instrument


@app.command()
@options.takes_instrument
def watch(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of all results; created.")],
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[FOLDER]", help="Where scans turn up: files, or with --beamline whatever that writes."),
    ] = None,
    pva: Annotated[
        str | None, typer.Option(metavar="CHANNEL", help="Take frames from an EPICS PVAccess channel (NTNDArray) too.")
    ] = None,
    zmq: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Take frames from a ZMQ stream (SIMPLON) too, tcp://host:9999."),
    ] = None,
    beamline: options.Beamline = None,
    spec: options.Spec = None,
    dark: options.Dark = None,
    white: options.White = None,
    mask: options.Mask = None,
    axes: options.Axes = None,
    dataset: Annotated[str | None, typer.Option(help="Name of the counts in HDF5 files, /entry/data/data.")] = None,
    plan: options.PlanFile = None,
    weights: options.Weights = None,
    force: options.Force = False,
    figures: Annotated[bool, typer.Option("--figures", help="Draw the figures of `reconstruct` too.")] = False,
    series: Annotated[
        bool,
        typer.Option("--series", help="Keep campaign.csv, campaign.html, plots and aligned images up to date in -o."),
    ] = False,
    against: Annotated[
        str, typer.Option(help="What --series plots against: scan, time, or what was recorded.")
    ] = "scan",
    learn: Annotated[
        bool,
        typer.Option(
            "--learn", help="Let the network learn on from scans refined well, while nothing else is to be done."
        ),
    ] = False,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Serve the page.")] = True,
    host: Annotated[
        str, typer.Option(help="Address of the page; another than the default needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0: any that is free.")] = 8080,
    token: Annotated[
        str | None, typer.Option(help="Must be in the address of the page; that of this account if left out.")
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = False,
    poll: Annotated[float, typer.Option(help="Seconds between two looks into the folder.")] = 0.5,
    settle: Annotated[float, typer.Option(help="Seconds without growth after which a file is complete.")] = 2.0,
    abandon: Annotated[float, typer.Option(help="Seconds without a new frame after which no more are awaited.")] = 60.0,
    notify: Annotated[
        bool,
        typer.Option("--notify", help="Let the system tell of changes: quicker, for folders of this machine only."),
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="Leave when everything that is there is done.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try the scans that failed once more.")] = False,
    device: options.Device = "cpu",
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="CPU threads of each of the two working processes; else half of the cores."),
    ] = None,
    largest: Annotated[float, typer.Option(help="GiB of the largest scan that is taken.")] = 8.0,
    time_limit: Annotated[float, typer.Option(help="Seconds for one image of a scan.")] = 900.0,
    memory_limit: Annotated[
        float | None, typer.Option(help="GiB for each of the two working processes; 40 % of the memory if left out.")
    ] = None,
    instrument: Instrument = AS_RECORDED,
) -> None:
    """Reconstruct scans as they land, and keep a page with all of them up to date, until Ctrl-C or SIGTERM."""
    import os

    from autophasenn.inversion.learning import Learning
    from autophasenn.live.crew import Companion, log_to_stderr
    from autophasenn.live.options import Watch
    from autophasenn.live.settings import Settings
    from autophasenn.live.streams import receive_pva, receive_zmq
    from autophasenn.live.watcher import watch as run
    from autophasenn.pipeline.run import Run
    from autophasenn.pipeline.source import Source

    settings = Settings(
        source=Source(
            beamline=beamline, spec=spec, dark=dark, white=white, mask=mask, instrument=instrument, axes=axes
        ),
        run=Run(device=device, weights=weights, force=force),
        dataset=dataset,
        plan=plan,
        threads=threads or max(1, (os.cpu_count() or 1) // 2),
        figures=figures,
        command=command_line(),
    )
    watched = Watch(
        folder=folder,
        results=output,
        settings=settings,
        poll=poll,
        settle=settle,
        abandon=abandon,
        once=once,
        retry=retry,
        notify=notify,
        largest=largest,
        time_limit=time_limit,
        memory_limit=memory_limit,
        advised=lambda sentence: advised(sentence, ALL_DAY),
        learning=Learning() if learn else None,
        streams=tuple(name for name, source in (("pva", pva), ("zmq", zmq)) if source is not None),
    )
    companions = []
    if page and not once:
        _check_installed("The page", "trame", "trame_vtk", "trame_vuetify")
        _check_page(host, port, token or None)
        companions.append(Companion("page", serve_page, output, host, port, token or None, browser))
    if series and not once:
        from autophasenn.campaign.follow import keep_series

        companions.append(Companion("series", keep_series, output, against))
    pack = watched.packs_streams
    if pva is not None:
        _check_installed("PVAccess", "p4p")
        companions.append(Companion("PVAccess client", receive_pva, pva, watched.spool("pva"), pack, abandon))
    if zmq is not None:
        _check_installed("ZMQ", "zmq")
        companions.append(Companion("ZMQ client", receive_zmq, zmq, watched.spool("zmq"), pack, abandon))
    log_to_stderr()
    ended = run(watched, companions)
    if series and once:
        from autophasenn.campaign.follow import write_now

        write_now(output, against, film=True)
    show_facts({**ended, "results": str(output)})


def serve_page(results: Path, host: str, port: int, token: str | None, browser: bool) -> None:
    """What the process of the page does."""
    from autophasenn.live.crew import log_to_stderr
    from autophasenn.viewer.server import ServerOptions, serve

    log_to_stderr("autophasenn.viewer")
    options = ServerOptions(host=host, port=port, token=token, open_browser=browser)
    serve(results, options, on_ready=lambda address: print(f"Open {address}", flush=True))


def _check_page(host: str, port: int, token: str | None) -> None:
    """Refuse what its process would refuse, before anything is begun."""
    from autophasenn.viewer.server import ServerOptions, check_address

    check_address(ServerOptions(host=host, port=port, token=token))


def _check_installed(what: str, *modules: str) -> None:
    if any(find_spec(module) is None for module in modules):
        without = ", or leave it out with --no-page" if what == "The page" else ""
        raise InputError(f"{what} is not installed: {install('live')}{without}.")
