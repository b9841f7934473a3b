"""``linli log load``: a file of events becomes records of the configured log."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from app.settings.loading import load_settings
from app.settings.settings import Settings
from app.wiring.district import is_district, log_partitions, open_cluster, topic_names
from app.wiring.folder_lock import FolderLock
from app.wiring.log_loading import load_events
from contracts.durations import DAY_MS
from contracts.errors import ConfigurationError, LogBroken
from contracts.events import AnyEvent
from ingest.pipeline.event_file import EventFile
from streams.log.sqlite.day_log import DayLog
from system.clock import wall_ms

FUTURE = (
    "that is in the future of this machine's clock. An ingest that writes here later steps back to the present, "
    "and says so with the alarm host_clock_stepped"
)
PROGRESS_EVERY = 20_000


@click.group("log")
def command() -> None:
    """Read and check the log of batches that everything is a function of."""


@command.command("load")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--rate", type=click.FloatRange(min=0.1), help="events a second, at most (default: as fast as it goes)")
@click.option("--config", type=click.Path(path_type=Path), help="settings file (default: linli.toml here, if any)")
def load(file: Path, rate: float | None, config: Path | None) -> None:
    """Write FILE (one event a line, in order of acceptance) into the configured log, as a shard of ingest would.

    Time is the file's: watermarks follow received_ms, never the clock. A file older than what the log already holds is
    refused, since the log's time does not go back for it; one from the future is warned of. Events of devices that the
    file does not configure are skipped.

    On Kafka the command ends once everything is acknowledged. Nothing keeps a shard of ingest, or a second load, from
    writing the same partitions meanwhile: see to it that none runs.
    """
    settings = load_settings(config)
    source = EventFile()
    load_into = _into_kafka if is_district(settings) else _into_files
    with file.open("rb") as lines:
        done, where = load_into(settings, source.events(lines), rate)
    for reason, refusal in sorted(source.refused.items()):
        click.echo(f"skipped {refusal.count}: {reason}, first in line {refusal.first_line}: {refusal.detail}", err=True)
    click.echo(f"{done} events are in {where}", err=True)
    if not done:
        raise ConfigurationError(f"{file} holds no event that could be loaded")


def _into_files(settings: Settings, events: Iterator[AnyEvent], rate: float | None) -> tuple[int, str]:
    folder = settings.log.folder()
    with FolderLock(folder):
        log = DayLog(folder)
        try:
            fresh = _not_before(events, log.last_watermark_ms(), "another folder (log.url)")
            return load_events(log, fresh, rate_per_s=rate, on_progress=_Progress()), str(folder)
        finally:
            log.close()


def _into_kafka(settings: Settings, events: Iterator[AnyEvent], rate: float | None) -> tuple[int, str]:
    from streams.log.kafka.kafka_log import KafkaLogLoader, KafkaLogWriter

    topic = topic_names(settings).log
    with open_cluster(settings, "linli-log-load") as cluster:
        partitions = log_partitions(cluster, settings)
        last_ms = KafkaLogWriter(cluster, topic, range(partitions)).last_watermark_ms()
        fresh = _not_before(events, last_ms, "another log (kafka.prefix)")
        log = KafkaLogLoader(cluster, topic)
        done = load_events(log, fresh, partitions=partitions, rate_per_s=rate, on_progress=_Progress())
        log.finish()
    return done, f"{topic} at {settings.log.url}"


def _not_before(events: Iterator[AnyEvent], watermark_ms: int, elsewhere: str) -> Iterator[AnyEvent]:
    ahead_ms = wall_ms() + DAY_MS
    for event in events:
        if event.received_ms > ahead_ms:
            click.echo(f"event {event.event_id} was received at {event.received_ms}: {FUTURE}", err=True)
            ahead_ms = sys.maxsize
        if event.received_ms < watermark_ms:
            raise LogBroken(
                f"event {event.event_id} was received at {event.received_ms}, before the log's last watermark "
                f"{watermark_ms}: load it into {elsewhere}"
            )
        yield event


class _Progress:
    """Says how far it is, every so often."""

    def __init__(self) -> None:
        self._next = PROGRESS_EVERY

    def __call__(self, events: int) -> None:
        if events >= self._next:
            click.echo(f"  {events} events", err=True)
            self._next = events + PROGRESS_EVERY
