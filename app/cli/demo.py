"""``linli demo``: a living community on this machine."""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import click


@click.command("demo")
@click.option("--seconds", type=click.FloatRange(min=1), help="end by itself so long after set-up (default: Ctrl-C)")
@click.option("--headless", is_flag=True, help="say nothing about the page; for machines and tests")
@click.option("--json", "as_json", is_flag=True, help="at the end print one JSON object with what was counted")
@click.option(
    "--clips", type=click.Path(path_type=Path, exists=True, file_okay=False), help="folder of real clips to watch"
)
@click.option("--seed", type=int, default=1, show_default=True, help="another seed, other people")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="page; if taken, the next free"
)
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), help="keep everything here (default: thrown away)"
)
def command(
    seconds: float | None,
    headless: bool,  # noqa: FBT001 - click passes flags so
    as_json: bool,  # noqa: FBT001
    clips: Path | None,
    seed: int,
    port: int,
    data: Path | None,
) -> None:
    """Watch a living community: its last four hours, then life at the pace of the clock.

    Everything is real but the people: an MQTT broker (mosquitto, else one built in), ingest, the log, the rules, an
    edge box that runs ONNX over rendered films, incidents with still and clip, and a receiver that is told over a
    signed webhook. Nothing is installed, nothing leaves this machine, Ctrl-C ends it all. What it wrote is deleted at
    the end unless --data names a folder. A taken port gives the next free one.
    """
    import msgspec

    from app.demo.show import Show
    from app.demo.stage import Stage
    from app.wiring.logs import configure_logs
    from app.wiring.process import on_signal

    configure_logs()

    def say(text: str) -> None:
        click.echo(text, err=True)

    with ExitStack() as stack:
        folder = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="linli-demo-")))
        began_s = time.monotonic()
        stage = Stage(folder.resolve(), seed, port, clips, say)
        show = Show(stage, say)

        on_signal(show.stop, interrupts=lambda: not stage.built)
        stack.callback(stage.close)
        say("setting up: broker, four hours of history, films …")
        stage.build()
        say(f"set up in {time.monotonic() - began_s:.0f} s")
        if not headless:
            say(f"\n  the page:  {stage.page}\n  user:      admin\n  password:  {stage.password}\n\nCtrl-C ends it.\n")
        report = show.run(seconds)
    if as_json:
        click.echo(msgspec.json.encode(report).decode())
    else:
        say(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    if report.lost or report.duplicates:
        sys.exit(1)
