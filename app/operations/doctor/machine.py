"""One machine: its folder, its log, how far the rules are, and whether it runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from app.operations.doctor.everywhere import clock_line, folder
from app.operations.doctor.report import Check, CheckResult, age, fail, ok, warn
from app.settings.settings import Settings
from app.wiring.folder_lock import FolderLock
from contracts.errors import ConfigurationError
from streams.checkpoints.sqlite_lookup import EngineLookup
from streams.engine.manifest import PartitionManifest, decode_manifest
from streams.log.port import LogReader
from streams.log.sqlite.day_log import DayLog
from streams.runtime.partition_driver import MAX_ATTEMPTS
from system.clock import wall_ms

QUIET_MS = 60_000
BEHIND = 1_000
"""Records; an idle log grows by four a second, and the manifest is written every ten."""
FIRST_SNAPSHOT_S = 30
"""Where rules run they have saved something of a partition by the time its first record is so old."""


def checks_of(settings: Settings) -> list[Check]:
    """Return the checks of one machine."""
    path = settings.log.folder()
    return [
        Check("folder", lambda: folder("folder", path), "make it writable by Linli's account"),
        Check("process", lambda: process(path), "linli run"),
        Check("log", lambda: log(path), "look the message up in `linli docs operations`"),
        Check("rules", lambda: rules(path), "look the message up in `linli docs operations`"),
    ]


def process(path: Path) -> Iterator[CheckResult]:
    """Yield whether ``linli run`` holds the folder."""
    if not path.exists():
        yield fail("process", f"{path} is not there: nothing has run here", "linli inventory load FILE; linli run")
        return
    try:
        with FolderLock(path):
            yield warn("process", f"no `linli run` holds {path}", "linli run")
    except ConfigurationError as held:
        yield ok("process", str(held).partition(";")[0])


def log(path: Path) -> Iterator[CheckResult]:
    """Check that the day files continue each other, and that time goes on."""
    days = DayLog(path, readonly=True)
    try:
        begin, end, watermark_ms = days.begin(), days.end(), days.last_watermark_ms()
    finally:
        days.close()
    detail = f"positions {begin} to {end}"
    behind_ms = wall_ms() - watermark_ms
    if not end:
        yield warn("log", "nothing was written yet", "linli run, and see that the broker answers")
    elif behind_ms < 0:
        yield clock_line("the log's writer", -behind_ms)
    elif behind_ms > QUIET_MS:
        yield warn("log", f"{detail}, time stands since {age(behind_ms)}", "start `linli run`; see that MQTT answers")
    else:
        yield ok("log", f"{detail}, time is {age(behind_ms)} old")


def rules(path: Path) -> Iterator[CheckResult]:
    """Check that the snapshots belong to this log and reach into it, and that nothing has stopped the rules."""
    if not (path / "engine.db").exists():
        yield warn("rules", "no engine.db yet", "linli run")
        return
    days, look = DayLog(path, readonly=True), EngineLookup(path / "engine.db")
    try:
        manifest = newest([decode_manifest(body) for body in look.manifests()])
        if manifest is None:
            yield from unsaved("rules", days, wall_ms())
        else:
            yield from standing(
                "rules", manifest, days.begin(), days.end(), log_id=days.identity(), partition=0, partitions=1
            )
        for position, times in look.failures().items():
            yield failed("rules", position, times)
    finally:
        days.close()
        look.close()


def newest(manifests: list[PartitionManifest]) -> PartitionManifest | None:
    """Return the manifest of the version in force, of those of all versions."""
    return max(manifests, key=lambda manifest: (manifest.generation, manifest.position), default=None)


def unsaved(what: str, log: LogReader, now_ms: int) -> Iterator[CheckResult]:
    """Yield how a partition stands that has no snapshot. No line while there is nothing to judge."""
    begin, end = log.begin(), log.end()
    first = log.read(0, 1) if begin == 0 else []  # what retention has shortened is not new
    if first and now_ms - first[0].at_ms <= FIRST_SNAPSHOT_S * 1_000:
        yield ok(what, f"{end} records, nothing saved yet: the first snapshot comes within {FIRST_SNAPSHOT_S} s")
    elif end:
        detail = f"no snapshot after {FIRST_SNAPSHOT_S} s, {end - begin} records to judge"
        yield warn(what, detail, "see that the rules run")


def standing(
    what: str, manifest: PartitionManifest, begin: int, end: int, *, log_id: str, partition: int, partitions: int
) -> Iterator[CheckResult]:
    """Yield how a partition's snapshots stand to its log: a line only where something is to be said, or all is well."""
    if manifest.log_id != log_id:
        yield fail(
            what,
            f"log_replaced: snapshots are of log {manifest.log_id}, the log is {log_id}",
            "`linli docs runbook`: the log was truncated or made again",
        )
    elif (manifest.partition, manifest.partitions) != (partition, partitions):
        held = f"snapshots are of partition {manifest.partition} of {manifest.partitions}"
        yield fail(what, f"{held}, this is {partition} of {partitions}", "set kafka.partitions to what it was")
    elif manifest.through + 1 < begin:
        gap = f"positions {manifest.through + 1} to {begin - 1} were dropped before they were judged"
        yield fail(what, f"log_gap: {gap}", "`linli docs runbook`: records were dropped before they were judged")
    elif manifest.position >= end:
        behind = f"snapshots reach position {manifest.position}, the log ends at {end}"
        yield fail(what, f"log_replaced: {behind}", "`linli docs runbook`: the log was truncated or made again")
    elif end - 1 - manifest.position > BEHIND:
        yield warn(what, f"{end - 1 - manifest.position} records behind the log", "see that the rules run, and keep up")
    else:
        yield ok(what, f"{end - 1 - manifest.position} records behind the log")


def failed(what: str, position: int, times: int) -> CheckResult:
    """Return a position that raised uncaught errors."""
    detail, remedy = f"feeding position {position} failed {times} times", "linli streams failures says how"
    return fail(what, detail, remedy) if times >= MAX_ATTEMPTS else warn(what, detail, remedy)
