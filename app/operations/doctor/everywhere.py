"""What one machine and a district have in common: secrets, MQTT, the databases, evidence, results, clocks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from app.operations.doctor import inventory_faults
from app.operations.doctor.erasure_key import REMEDY, erasure_key
from app.operations.doctor.report import Check, CheckResult, age, fail, ok, warn
from app.settings.secret_files import files_named, read_secret, read_secret_if_named, receiver_files
from app.settings.settings import Settings
from app.wiring.console import first_password_file
from app.wiring.ingest import broker_tls
from app.wiring.private_stores import open_paths, private_paths
from app.wiring.receivers import receivers_of
from app.wiring.results import open_results
from app.wiring.store_files import is_missing_file, sqlite_files
from app.wiring.stores import incidents_url, inventory_url, look_into_inventory, open_incidents_database
from contracts.durations import HOUR_MS
from contracts.errors import Permanent
from contracts.incidents import DeliveryState
from contracts.secret_urls import shown_url
from incidents.monitor.inventory_monitor import known_state, what_is_behind
from incidents.store.database import Database
from incidents.store.migrate import migrations
from incidents.store.operator_alarms import standing_alarms
from incidents.store.schema import deliveries, schema_version
from ingest.session.broker_check import MESSAGES, kept_while_away
from ingest.settings import broker_address
from inventory.inventory import Inventory
from inventory.last_seen import LastSeen
from inventory.notices import DeviceNotice, NoticeCode
from streams.results.query import Results, TimeRange
from system.clock import wall_ms
from system.next_secret import next_of
from system.sqlite_check import wrong_before_opening

REMEDIES = {
    NoticeCode.UNREADABLE: "`linli dead-letters list --source SITE/DEVICE` says what came; mend the device's format",
    NoticeCode.FAULTY: "mend the device's format: the fields are as events.schema.json says, or left out",
    NoticeCode.OTHER_PLACE: "correct place_id in the device or in the inventory; the inventory's counts meanwhile",
    NoticeCode.UNKNOWN_PLACE: "correct place_id in the device, or add the [[place]]; the inventory's counts meanwhile",
    NoticeCode.NEGATIVE_POWER: "turn the clamp round, unless the circuit feeds in; charging is not seen meanwhile",
}
LOW_SPACE, LOWEST_SPACE = 0.15, 0.05
LATE_MS = 600_000
SKEW_WARN_MS, SKEW_FAIL_MS = 500, 2_000
"""A rule's straggler bound is 2 s at most: clocks that disagree by more make latencies and lateness meaningless."""


def checks_of(settings: Settings) -> list[Check]:
    """Return the checks of every deployment."""
    start = "look at its log; `linli check-config` says which setting names it and where that came from"
    return [
        Check("secrets", lambda: secrets(settings), "create the file, readable by Linli's account only"),
        Check("private", lambda: private(settings), "give the folders and files to Linli's account"),
        Check("receivers", lambda: receivers(settings), "fix what it names: without it no process delivers"),
        Check("mqtt", lambda: mqtt(settings), f"start the broker, or fix mqtt.url, password_file, ca_file; {start}"),
        Check("incidents", lambda: incidents(settings), f"start the database, or fix incidents.url; {start}"),
        Check(
            "inventory",
            lambda: inventory(settings),
            f"start the database, or fix inventory.url; {start}",
            () if settings.inventory.url else ("incidents",),
        ),
        Check("stores", lambda: stores(settings), "`linli docs runbook`: a data file is damaged"),
        Check("evidence", lambda: evidence(settings), "make the folder writable by Linli's account"),
        Check("erasure", lambda: erasure_key(settings), REMEDY),
        Check("results", lambda: results(settings), f"start it, or fix results.url and its credentials; {start}"),
    ]


def secrets(settings: Settings) -> Iterator[CheckResult]:
    """Yield every file that a setting names can be read, and by nobody else."""
    named = files_named(settings) | receiver_files(settings)
    if not settings.erasure.key_file.exists():
        named.pop("erasure.key_file", None)  # it has a line of its own
    for key, path in named.items():
        read_secret(path, key)
        if next_of(path).exists():
            remedy = "give its `linli secrets rotate …` again; a receiver's with --finish, once the receiver knows it"
            yield warn("secrets", f"{key} is being exchanged: {next_of(path)} waits", remedy)
        mode = path.stat().st_mode & 0o077
        if mode & 0o006 and not key.endswith(("ca_file", "cert_file")):
            yield warn("secrets", f"{key} may be read by everybody", f"chmod o-rwx {path}")
    yield ok("secrets", f"{len(named)} files named and readable")


def private(settings: Settings) -> Iterator[CheckResult]:
    """Yield every folder and database that others than Linli's account may read or enter."""
    for path in open_paths(settings):
        mode = "700" if path.is_dir() else "600"
        yield fail("private", f"{path} may be read by others", f"chmod {mode} {path}; the next start does it as well")
    first = first_password_file(settings)
    if first.exists():
        yield warn(
            "private", f"{first} still holds the first password of admin", "log in with it, then delete the file"
        )
    yield ok("private", f"{sum(1 for _ in private_paths(settings))} folders and files looked at")


def receivers(settings: Settings) -> Iterator[CheckResult]:
    """Yield whether every receiver can be told: its address and its secret may be used. Sends nothing."""
    names = [profile.name for profile, _ in receivers_of(settings)]
    yield ok("receivers", f"{len(names)} can be told{': ' if names else ''}{', '.join(names)}")


def mqtt(settings: Settings) -> Iterator[CheckResult]:
    """Check that the broker takes us, and keeps what comes while ingest is away."""
    shown = str(settings.mqtt.url)
    password = read_secret_if_named(settings.mqtt.password_file, "mqtt.password_file")
    kept = kept_while_away(broker_address(settings.mqtt.url, password, broker_tls(settings)))
    if kept < MESSAGES:
        yield fail(
            "mqtt",
            f"{shown} kept {kept} of {MESSAGES} messages for a client that was away: it loses events "
            "whenever ingest is restarted",
            "set max_queued_messages 0 in the broker's configuration, and restart it",
        )
    else:
        yield ok("mqtt", f"{shown} takes us and keeps what comes while we are away")


def incidents(settings: Settings) -> Iterator[CheckResult]:
    """Check the schema, alarms, deliveries, and the server's clock."""
    url = incidents_url(settings)
    if is_missing_file(url):
        yield fail("incidents", f"{url} is not there", "linli run makes it")
        return
    database = open_incidents_database(settings)
    try:
        yield from _schema(database)
        yield from _open_matters(database)
        if settings.incidents.on_postgresql:
            yield _clock(database)
    except SQLAlchemyError as error:
        detail = str(error).splitlines()[0]
        yield fail("incidents", f"{database.where}: {detail}", "start the deployment once: it makes the tables")
    finally:
        database.close()


def _schema(database: Database) -> Iterator[CheckResult]:
    with database.read() as connection:
        known = migrations(connection.dialect.name)[-1].version
        version = connection.execute(select(func.max(schema_version.c.version))).scalar() or 0
    if version > known:
        yield fail("incidents", f"schema {version}, this program knows {known}", "run the newer program")
    elif version < known:
        yield warn("incidents", f"schema {version} of {known}", "start the deployment: it brings the tables up to date")
    else:
        yield ok("incidents", f"{database.where} answers, schema {version}")


def _open_matters(database: Database) -> Iterator[CheckResult]:
    now_ms = wall_ms()
    with database.read() as connection:
        alarms = standing_alarms(connection)
        oldest = connection.execute(
            select(deliveries.c.receiver, func.min(deliveries.c.created_ms), func.count())
            .where(deliveries.c.state == DeliveryState.PENDING.value)
            .group_by(deliveries.c.receiver)
        ).all()
    for alarm in alarms[:20]:
        yield warn("alarms", f"{alarm.code} {alarm.subject}: {alarm.detail}", "look it up in `linli docs operations`")
    for receiver, created_ms, count in oldest:
        if now_ms - created_ms > LATE_MS:
            late = f"{count} deliveries to {receiver} wait, the oldest for {age(now_ms - created_ms)}"
            yield warn("deliveries", late, "see that an incidents process runs and the receiver answers")


def _clock(database: Database) -> CheckResult:
    with database.read() as connection:
        before_ms = wall_ms()
        theirs_ms = int(connection.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp()) * 1000").scalar() or 0)
        ours_ms = (before_ms + wall_ms()) // 2
    return clock_line("PostgreSQL's host", theirs_ms - ours_ms)


def clock_line(whose: str, off_ms: int) -> CheckResult:
    """Return how far another clock is from ours."""
    detail, remedy = f"the clock of {whose} is {off_ms:+d} ms from ours", "synchronise both (chrony, systemd-timesyncd)"
    if abs(off_ms) > SKEW_FAIL_MS:
        return fail("clock", detail, remedy)
    return warn("clock", detail, remedy) if abs(off_ms) > SKEW_WARN_MS else ok("clock", detail)


def inventory(settings: Settings) -> Iterator[CheckResult]:
    """Check that sites and devices are known: without them nothing is accepted."""
    with look_into_inventory(settings) as tables:
        if tables is None:
            yield fail("inventory", f"{shown_url(inventory_url(settings))} is not there", "linli inventory load FILE")
            return
        yield from _went_back(settings, tables)
        sites, count = len(tables.sites()), len(tables.devices())
        waiting = len(tables.waiting.current()[0])
        noticed = tables.notices.current()
        known = {(one.site_id, one.device_id) for one in tables.devices()}
        heard = {key: seen for key, seen in tables.last_seen().devices.items() if key in known}
        yield from inventory_faults.faults(tables)
    if not count:
        yield fail("inventory", f"{sites} sites, no devices: whatever arrives is refused", "linli inventory load FILE")
    else:
        yield ok("inventory", f"{sites} sites, {count} devices, {waiting} unknown devices knocking")
    yield from devices(noticed)
    yield from unhealthy(heard)


def devices(noticed: Sequence[DeviceNotice]) -> Iterator[CheckResult]:
    """Yield what is wrong with the words of devices, the worst first: a line each, twenty at most."""
    for one in sorted(noticed, key=lambda one: (not one.life_safety, one.site_id, one.device_id))[:20]:
        detail = f"{one.site_id}/{one.device_id} {one.code}: {one.detail} ({one.count} times)"
        yield warn("devices", detail, REMEDIES[one.code])
    if len(noticed) > 20:
        yield warn("devices", f"{len(noticed) - 20} more", "linli inventory notices")


def unhealthy(heard: Mapping[tuple[str, str], LastSeen]) -> Iterator[CheckResult]:
    """Yield the devices that say of themselves that they are not well: a line each, twenty at most."""
    unwell = sorted(key for key, seen in heard.items() if seen.healthy is False)
    for site_id, device_id in unwell[:20]:
        yield warn(
            "devices",
            f"{site_id}/{device_id} says that it is not well: it may see or measure nothing",
            "a camera's box says why in its log, and `linli edge run --config FILE --check` on the box tries it out",
        )
    if len(unwell) > 20:
        yield warn("devices", f"{len(unwell) - 20} more are not well", "the page lists them")


def stores(settings: Settings) -> Iterator[CheckResult]:
    """Yield each file of this machine that is damaged: in a page, or of large ones in head, length or journal."""
    wrong = {path: wrong_before_opening(path, whole=True) for path in sqlite_files(settings)}
    for path, what in wrong.items():
        if what:
            yield fail("stores", f"{path} is damaged: {what}", "`linli docs runbook`: a data file is damaged")
    url = incidents_url(settings)
    if wrong.get(Path(url.removeprefix("sqlite:///"))) == "":
        yield from _rows(settings)


def _rows(settings: Settings) -> Iterator[CheckResult]:
    """Yield that a row of the incidents is not what was written; of a large file that is looked for daily."""
    try:
        with closing(open_incidents_database(settings)) as database:
            database.check_rows(quick=True)
    except Permanent as error:
        detail, _, remedy = str(error).partition("; ")
        yield fail("stores", detail, remedy or "`linli docs runbook`: a data file is damaged")


def _went_back(settings: Settings, tables: Inventory) -> Iterator[CheckResult]:
    """Compare the inventory with what the incidents saw of it last."""
    url = incidents_url(settings)
    if is_missing_file(url):
        return
    database = open_incidents_database(settings)
    try:
        with database.read() as connection:
            known = known_state(connection)
    except SQLAlchemyError:  # no tables yet; the check of the incidents says so
        return
    finally:
        database.close()
    state = tables.state()
    if known is not None and tables.is_behind(known, state):
        remedy = "`linli docs runbook`: the inventory went back"
        yield fail("inventory", what_is_behind(known, state), remedy)


def evidence(settings: Settings) -> Iterator[CheckResult]:
    """Check that uploads have somewhere to go."""
    yield from folder("evidence", settings.evidence.folder)


def folder(what: str, path: Path) -> Iterator[CheckResult]:
    """Yield a folder that must be writable, and have room."""
    there = path
    while not there.exists() and there != there.parent:
        there = there.parent
    if not os.access(there, os.W_OK | os.X_OK):
        yield fail(what, f"{path} cannot be written", "make it writable by Linli's account")
        return
    usage = shutil.disk_usage(there)
    left = usage.free / usage.total
    detail = f"{path} is writable, {usage.free / 1e9:.1f} GB ({left:.0%}) free"
    if left < LOWEST_SPACE:
        yield fail(what, detail, "free space: a full disk stops ingest; see `linli docs runbook`, a disk is full")
    elif left < LOW_SPACE:
        yield warn(what, detail, "free space, or shorten the retention settings")
    else:
        yield ok(what, detail)


def results(settings: Settings) -> Iterator[CheckResult]:
    """Yield the store of results answers a question. Losing it loses no incident."""
    url = settings.results.url
    if is_missing_file(url):
        yield warn("results", f"{url} is not there yet", "it is made when the deployment first runs")
        return
    store = open_results(settings)
    try:
        now_ms = wall_ms()
        counts = Results(store).incidents_per_hour(TimeRange(now_ms - HOUR_MS, now_ms))
    finally:
        store.close()
    yield ok("results", f"{url} answers, {len(counts)} figures in the last hour")
