"""``linli streams``: workers of the rules on a district's log, and how they get past a record they cannot digest."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import click

from app.cli.command_line import KEPT, pass_settings
from app.settings.settings import Settings
from app.wiring.district import is_district, open_cluster, topic_names
from app.wiring.folder_lock import FolderLock
from contracts.errors import ConfigurationError
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.log.sqlite.day_log import DayLog

_PARTITION = click.option(
    "--partition", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="of a log on Kafka"
)


class FailureBook(Protocol):
    """Which positions of a partition failed, and which a person has given up."""

    def failure_details(self) -> dict[int, tuple[int, str]]: ...
    def forget_failure(self, position: int) -> bool: ...
    def skip(self, position: int) -> None: ...
    def skipped(self) -> frozenset[int]: ...


@click.group("streams")
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
@click.pass_context
def command(context: click.Context, config: Path | None) -> None:
    """Run workers of the rules over a district's log; look at positions that they could not be fed, and skip one.

    Three uncaught errors at one position stop `linli run`, or one partition of `linli streams run`: going on alone
    would lose findings silently. A newer version may well digest the record; only when none does, give it up.
    """
    context.obj = config


@command.command("run")
@click.option("--accept-cut", is_flag=True, help="go on though the version of the rules before was killed, not drained")
@click.option("--report-to", type=int, hidden=True, help="be the worker itself; progress goes to this descriptor")
@click.option("--no-supervisor", is_flag=True, hidden=True, help="be the worker itself, for tests and debuggers")
@pass_settings
def run(settings: Settings, accept_cut: bool, report_to: int | None, no_supervisor: bool) -> None:  # noqa: FBT001
    """Judge the log's partitions, shared with every other worker of the same kafka.prefix. log.url names the brokers.

    Start as many as you like, also on one host and from one folder; partitions move by themselves, and within about
    twenty seconds when a worker is killed. SIGTERM or Ctrl-C ends one in order within about ten seconds. A worker that
    crashes or stands still is replaced inside this process group and says why.

    After an update of the rules stop every worker of the old version with SIGTERM, then start the new ones: a partition
    that was not drained is refused, unless --accept-cut lets some of its records be judged twice; an alarm says which.
    """
    from app.wiring.logs import configure_logs
    from app.wiring.workers.start import start_supervisor, start_worker

    configure_logs()
    if report_to is not None or no_supervisor:
        start_worker(settings, accept_cut=accept_cut, report_to=report_to)
    sys.exit(start_supervisor(settings, sys.argv[1:]))


@command.command("failures")
@_PARTITION
@pass_settings
def failures(settings: Settings, partition: int) -> None:
    """Print the positions that failed, one a line: position, times, skipped or not, the last error."""
    with _book(settings, partition) as book:
        skipped, failed = book.skipped(), book.failure_details()
    for position, (times, detail) in failed.items():
        click.echo(f"{position}\t{times}\t{'skipped' if position in skipped else '-'}\t{detail}")
    if not failed:
        click.echo("nothing has failed", err=True)


@command.command("retry")
@click.argument("position", type=KEPT)
@_PARTITION
@pass_settings
def retry(settings: Settings, position: int, partition: int) -> None:
    """Forget how often POSITION failed: three more attempts, after an update."""
    with _book(settings, partition, to_write=True) as book:
        known = book.forget_failure(position)
    if not known:
        raise ConfigurationError(f"position {position} has not failed; `linli streams failures` shows which did")
    click.echo(f"position {position} will be tried again", err=True)


@command.command("skip")
@click.argument("position", type=KEPT)
@_PARTITION
@pass_settings
def skip(settings: Settings, position: int, partition: int) -> None:
    """Give up the record at POSITION for good: what it holds is not judged, and a finding says so."""
    with _book(settings, partition, to_write=True) as book:
        known = position in book.failure_details()
        if known:
            book.skip(position)
            if not is_district(settings):
                _give_up(settings.log.folder(), position)
    if not known:
        raise ConfigurationError(f"position {position} has not failed; `linli streams failures` shows which did")
    click.echo(f"position {position} will be skipped", err=True)


@contextmanager
def _book(settings: Settings, partition: int, *, to_write: bool = False) -> Iterator[FailureBook]:
    """Yield a partition's failures. On one machine only while `linli run` is not; on Kafka workers look again soon."""
    with ExitStack() as opened:
        if is_district(settings):
            from streams.checkpoints.kafka import KafkaCheckpointStore

            cluster = opened.enter_context(open_cluster(settings, "linli-streams-command"))
            names = topic_names(settings)
            count = cluster.partitions(names.snapshots)
            if partition >= count:
                raise ConfigurationError(f"there is no partition {partition}: {names.snapshots} has {count}")
            yield KafkaCheckpointStore(cluster, names, partition, sender=cluster.producer(), tails=cluster.tails())
            return
        folder = settings.log.folder()
        if to_write:
            opened.enter_context(FolderLock(folder))
        store = _store(folder)
        opened.callback(store.close)
        yield store


def _give_up(folder: Path, position: int) -> None:
    """Empty the record in the log if it is damaged: every other reader has to get past it too."""
    log = DayLog(folder)
    try:
        if log.give_up(position):
            click.echo(f"the damaged record at position {position} was emptied", err=True)
    finally:
        log.close()


def _store(folder: Path) -> SqliteCheckpointStore:
    path = folder / "engine.db"
    if not path.exists():
        raise ConfigurationError(f"there is no engine.db in {folder}; log.url names the folder of `linli run`")
    return SqliteCheckpointStore(path)
