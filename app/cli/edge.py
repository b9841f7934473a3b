"""``linli edge``: the box beside the cameras."""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path

import click
import structlog

from app.wiring.folder_lock import FolderLock


@click.group("edge")
def command() -> None:
    """Run the box beside the cameras: frames become observations, spooled until the platform has them.

    A first box: make its token (`linli edge token`), write its configuration, run it (`linli edge run --config FILE`).
    To see what a camera would report on a recording: `linli edge analyze VIDEO --camera FILE`.
    """


@command.command("run")
@click.option(
    "--config", required=True, type=click.Path(path_type=Path), help="the box: [box], [mqtt], [console], [[camera]]"
)
@click.option("--check", is_flag=True, help="only check the configuration, secrets, models and streams; writes nothing")
def run(config: Path, *, check: bool) -> None:
    """Run a box until it is stopped (Ctrl-C or SIGTERM). Killed at any moment it loses nothing it had spooled."""
    from edge.check import check_box
    from edge.config import load_config
    from edge.run import EdgeBox

    _log_to_stderr()
    box = load_config(config)
    if check:
        for note in check_box(box):
            click.echo(note, err=True)
        click.echo(f"{config}: {len(box.camera)} cameras, models and tokens are usable", err=True)
        return
    with FolderLock(Path(box.box.data), "[box] data"):
        EdgeBox(box).run(_stop_on_signals())


@command.command("token")
@click.option("--box", "box_id", required=True, help="the box's id")
@click.option("--site", "site_id", required=True, help="the box's site")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="the token file to write; never overwritten"
)
@click.option(
    "--register",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="the console's data folder: adds the box to its boxes.jsonl",
)
def token(box_id: str, site_id: str, out: Path, folder: Path | None) -> None:
    """Make a box's token, a secret it shows when it uploads evidence. Prints what the console must know of it."""
    import msgspec

    from edge.token import make_token, register

    registration = make_token(box_id, site_id, out)
    click.echo(msgspec.json.encode(registration).decode())
    if folder is None:
        click.echo("give the line above to the console: append it to boxes.jsonl in its data folder", err=True)
    else:
        click.echo(f"registered in {register(registration, folder)}", err=True)


@command.command("analyze")
@click.argument("video", type=click.Path(path_type=Path))
@click.option("--camera", required=True, type=click.Path(path_type=Path), help="TOML file with one [camera]")
@click.option("--json", "as_json", is_flag=True, help="one JSON line per observation (also the default off a terminal)")
@click.option("--explain", is_flag=True, help="say on stderr which tracks were rejected, and why")
def analyze(video: Path, camera: Path, *, as_json: bool, explain: bool) -> None:
    """Run a camera's analysers over a video file: one line per observation the box would publish.

    The smallest camera file: [camera], id = "c1", analysers = ["high_altitude_throw"].
    """
    from edge.inference.analyze import analyze_video

    analyze_video(video, camera, as_json=as_json, explain=explain)


def _stop_on_signals() -> threading.Event:
    from app.wiring.process import on_signal

    stop = threading.Event()
    on_signal(stop.set)
    return stop


def _log_to_stderr() -> None:
    from app.wiring.logs import counted
    from app.wiring.repeats import Repeats

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[
            structlog.processors.add_log_level,
            counted(Repeats()),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
