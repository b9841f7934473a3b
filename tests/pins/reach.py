"""How the tests of this folder reach the program: its modules are named here alone, so that a move is one change.

Everything comes as plain values (dicts, lists, texts, bytes), never as the program's own classes: those may be renamed.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import click
import msgspec
from click.testing import CliRunner
from prometheus_client.core import CollectorRegistry
from sqlalchemy.engine import make_url
from sqlalchemy.schema import CreateIndex, CreateTable

from app.main import linli
from app.operations.schemas import SpoolAcknowledgement, asyncapi
from app.settings.loading import load
from app.settings.settings import keys
from app.wiring.incident_figures import IncidentFigures
from app.wiring.log_loading import load_events
from app.wiring.rule_facts import finding_facts
from contracts.batch import Batch
from contracts.events import EVENT_TYPES, AnyEvent
from contracts.findings import Finding, Rejudge, finding_id, retract_id
from contracts.names import partition_of
from contracts.secrets import Secret
from delivery.deliveries import DeliveryMessage
from delivery.outbox import Outbox
from delivery.profiles import ReceiverProfile
from delivery.receivers.webhook.client import Webhook
from delivery.receivers.webhook.settings import WebhookSettings
from detectors.registry import all_rules
from edge.spool.box_db import BoxDb
from governance.audit import first_broken
from incidents.intake.intake import Intake
from incidents.store.schema import metadata
from incidents.store.store import Store
from ingest.counters import Counters
from ingest.pipeline.event_file import EventFile
from ingest.pipeline.shard_assignment import ShardAssignment
from ingest.settings import ShardSettings
from ingest.shard.dead_letters import DeadLetters
from inventory.directory import MemoryDirectory
from inventory.inventory import Inventory
from simulator.files import write_events
from simulator.generate import SimulationRequest, generate
from streams.archive.archive import Archive
from streams.checkpoints.sqlite import SqliteCheckpointStore
from streams.engine.engine import Engine
from streams.engine.in_memory_run import run_file
from streams.engine.manifest import PartitionManifest, decode_manifest
from streams.engine.rulebook import Rulebook
from streams.log.sqlite.day_log import DayLog
from streams.results.spool import PointSpool as ResultsSpool
from streams.results.sqlite import SqliteResults
from streams.runtime.metrics import WorkerMetrics
from streams.runtime.partition_driver import PartitionDriver
from streams.topics import TopicNames, topic_specs

PROGRAM = [sys.executable, "-m", "app.main"]

# --- rules and findings -----------------------------------------------------------------------------------------------


def rules() -> dict[str, dict[str, Any]]:
    """Of each rule what goes into the digest, and its own digest."""
    return {
        rule.name: {
            "version": rule.version,
            "max_out_of_orderness_ms": rule.max_out_of_orderness_ms,
            "horizon_ms": rule.horizon_ms,
            "instant": rule.instant,
            "receipt": rule.receipt,
            "kinds": sorted(kind for kind, event in EVENT_TYPES.items() if issubclass(event, rule.accepts)),
            "digest": Rulebook([rule]).digest,
        }
        for rule in all_rules()
    }


def digest(names: Iterable[str]) -> str:
    """Of these rules together."""
    wanted = set(names)
    return Rulebook([rule for rule in all_rules() if rule.name in wanted]).digest


def id_of_finding(*parts: Any) -> str:
    """Site, rule, key, onset, the event of the onset, number."""
    return finding_id(*parts)


def id_of_retraction(open_id: str) -> str:
    """Of the episode that this finding opened."""
    return retract_id(open_id)


def partition(site_id: str, partitions: int) -> int:
    """Where a site's events lie."""
    return partition_of(site_id, partitions)


def simulated(seed: int, days: int, sites: int) -> tuple[bytes, bytes]:
    """Events and findings as ``linli simulate`` and ``linli replay --json`` write them."""
    file = io.BytesIO()
    write_events(generate(SimulationRequest(seed=seed, days=days, sites=sites)).events, file)
    outputs = run_file(EventFile().events(io.BytesIO(file.getvalue())), all_rules())
    found = [msgspec.json.encode(output) + b"\n" for output in outputs if isinstance(output, Finding)]
    return file.getvalue(), b"".join(found)


# --- what is stored ---------------------------------------------------------------------------------------------------


def make_every_file(folder: Path) -> dict[str, Path]:
    """Every database that the program makes in files, empty, by name."""
    with ExitStack() as opened:
        log = DayLog(folder)
        log.append([Batch(partition=0, watermark_ms=1)])
        archive, letters = Archive(folder / "archive"), DeadLetters(folder / "dead-letters")
        stores: list[Any] = [
            log,
            archive,
            letters,
            SqliteCheckpointStore(folder / "engine.db"),
            Inventory(folder / "config.db"),
        ]
        stores += [Store(f"sqlite:///{folder / 'incidents.db'}"), SqliteResults(folder / "results.db")]
        stores += [ResultsSpool(folder / "results-spool.db"), BoxDb(folder / "box.db")]
        for store in stores:
            opened.callback(store.close)
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.db")}


def tables_of_incidents() -> dict[str, str]:
    """The statements that would make the incidents' tables and indexes in PostgreSQL, by name."""
    dialect = make_url("postgresql://").get_dialect()()
    made = {table.name: str(CreateTable(table).compile(dialect=dialect)) for table in metadata.sorted_tables}
    for table in metadata.sorted_tables:
        for index in table.indexes:
            made[str(index.name)] = str(CreateIndex(index).compile(dialect=dialect))
    return {name: " ".join(statement.split()) for name, statement in made.items()}


def topics() -> dict[str, dict[str, Any]]:
    """The topics of a district of 24 partitions on three brokers, and how each is kept."""
    specs = topic_specs(TopicNames(), partitions=24, replication=3, retention_hours=168, retention_bytes=-1)
    return {spec.name: msgspec.to_builtins(spec) for spec in specs}


# --- what goes over the wire ------------------------------------------------------------------------------------------


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schemas of everything that others read, by what it is; of events by kind."""
    types: dict[str, Any] = {
        **EVENT_TYPES,
        "batch": Batch,
        "finding": Finding,
        "rejudge": Rejudge,
        "message to a receiver": DeliveryMessage,
        "manifest": PartitionManifest,
        "acknowledgement to a box": SpoolAcknowledgement,
    }
    return {name: msgspec.json.schema(kind) for name, kind in types.items()}


def mqtt_names() -> dict[str, Any]:
    """Addresses of channels, and what a shard subscribes to."""
    channels = asyncapi()["channels"]
    alone, one_of_two = ShardSettings(mqtt_url=""), ShardSettings(mqtt_url="", listen_all=False)
    return {
        "channels": {name: [one["address"], one["parameters"]] for name, one in channels.items()},
        "probe": ShardAssignment(alone).probe_topic,
        "all": ShardAssignment(alone).filters([("s1", "s1")]),
        "of a site": ShardAssignment(one_of_two).filters([("s1", "s1")]),
    }


def told(folder: Path, records: Sequence[str], findings: Sequence[str], url: str, now_ms: int) -> None:
    """Make incidents of findings, each at a time of its own, and tell a webhook at ``url`` of each change."""
    directory = MemoryDirectory([_event(record) for record in records])
    with closing(Store(f"sqlite:///{folder / 'incidents.db'}", clock_ms=lambda: now_ms)) as store:
        intake = Intake(store, directory, finding_facts(), ["hook"], clock_ms=lambda: now_ms)
        secret = folder / "hook.secret"
        settings = WebhookSettings(url=url, secret_file=secret)
        receiver = Webhook("hook", settings, Secret("a secret of sixteen bytes"), now_s=lambda: now_ms / 1000)
        outbox = Outbox(store, receiver, _told_everything("hook"), clock_ms=lambda: now_ms)
        for number, text in enumerate(findings, start=1):
            intake.take([(number, msgspec.json.decode(text, type=Finding))])
            while outbox.step():
                pass


def _event(text: str) -> Any:
    return msgspec.json.decode(text, type=AnyEvent)


def _told_everything(name: str) -> ReceiverProfile:
    wanted = {"name": name, "origins": ["live", "simulated"], "unverified": True, "min_severity": "info"}
    return msgspec.convert(wanted, ReceiverProfile)


# --- what people type and read ----------------------------------------------------------------------------------------


def settings_in_force(environment: Mapping[str, str], file: Path | None = None) -> dict[str, tuple[str, str]]:
    """Key → value and where it came from."""
    found = load(file, environment)
    texts = {name: key.kind.text(key.value(found.settings)) for name, key in keys().items()}
    return {name: (text, str(found.origins[name])) for name, text in texts.items()}


def variable_of(key: str) -> str:
    """The variable that sets a key."""
    return keys()[key].variable


def commands() -> dict[str, dict[str, Any]]:
    """Every command with its options and arguments, by what is typed."""
    return dict(_commands("linli", linli, click.Context(linli)))


def _commands(typed: str, command: click.Command, context: click.Context) -> Iterator[tuple[str, dict[str, Any]]]:
    yield typed, {"/".join([*one.opts, *one.secondary_opts]): _parameter(one) for one in command.params}
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _commands(f"{typed} {name}", below, click.Context(below, parent=context))


def _parameter(one: click.Parameter) -> list[Any]:
    form = one.type.choices if isinstance(one.type, click.Choice) else one.type.name
    flag = isinstance(one, click.Option) and one.is_flag
    return [one.param_type_name, form, "flag" if flag else one.nargs, one.required, one.multiple]


def invoke(*arguments: str) -> str:
    """What a command prints on stdout, when it succeeds."""
    done = CliRunner().invoke(linli, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def metrics(folder: Path) -> dict[str, str]:
    """Name → type of what ingest, incidents and workers count. What ``linli run`` adds it says itself."""
    registry = CollectorRegistry()
    registry.register(Counters().registry)
    registry.register(WorkerMetrics(list, dict, lambda: 0))
    with closing(Store(f"sqlite:///{folder / 'incidents.db'}")) as store:
        registry.register(IncidentFigures(store))
        return {family.name: family.type for family in registry.collect()}


# --- a data folder ----------------------------------------------------------------------------------------------------


def append_events(folder: Path, lines: Path) -> None:
    """As ``linli log load`` does."""
    with closing(DayLog(folder)) as log, lines.open("rb") as file:
        load_events(log, EventFile().events(file))


def judge_to_the_end(folder: Path) -> list[str]:
    """Open the rules over a folder, judge its log to its end and keep what that gives; the alarms that were raised."""
    alarms: list[str] = []
    with closing(DayLog(folder)) as log, closing(SqliteCheckpointStore(folder / "engine.db")) as store:
        engine = Engine(all_rules(), partition=0, partitions=1, log_id=log.identity())
        driver = PartitionDriver(log, store, engine, on_alarm=lambda alarm, detail: alarms.append(f"{alarm} {detail}"))
        driver.open()
        driver.save()
    return alarms


def newest_manifest(folder: Path) -> tuple[str, bool]:
    """The digest of the newest manifest that is kept, and whether its version drained."""
    with closing(SqliteCheckpointStore(folder / "engine.db")) as store:
        manifests = [decode_manifest(body) for body in store.manifests().values()]
    newest = max(manifests, key=lambda manifest: manifest.generation)
    return newest.digest, newest.drained


def audit_is_whole(file: Path) -> bool:
    """Open (and so migrate) the incidents; whether no row of the audit log was changed."""
    with closing(Store(f"sqlite:///{file}")) as store, store.read() as connection:
        return first_broken(connection) is None


# --- Kafka ------------------------------------------------------------------------------------------------------------


def judge_kafka(url: str, prefix: str, log_id: str) -> list[str]:
    """What a worker does with each partition of a log that counts as ``log_id``; the alarms that were raised."""
    from streams.checkpoints.kafka import KafkaCheckpointStore
    from streams.kafka import KafkaCluster
    from streams.log.kafka.kafka_log import KafkaLogReader
    from streams.runtime.partition_driver import PartitionDriver

    names, alarms = TopicNames(prefix), list[str]()
    with KafkaCluster(url, "tests") as cluster:
        tails, sender = cluster.follower(0.05), cluster.producer()
        count = cluster.partitions(names.log)
        for number in range(count):
            driver = PartitionDriver(
                KafkaLogReader(cluster, names.log, number, tails),
                KafkaCheckpointStore(cluster, names, number, sender=sender, tails=tails),
                Engine(all_rules(), partition=number, partitions=count, log_id=log_id),
                on_alarm=lambda alarm, detail: alarms.append(f"{alarm} {detail}"),
            )
            driver.open()
            driver.drain()
    return alarms


def count_findings(url: str, prefix: str) -> int:
    """How many records of the findings topic hold one, repetitions included."""
    from streams.checkpoints.findings_topic import KafkaFindings
    from streams.kafka import KafkaCluster

    topic = TopicNames(prefix).findings
    with KafkaCluster(url, "tests") as cluster:
        count = cluster.partitions(topic)
        return sum(len(KafkaFindings(cluster, topic, number).findings_after(0, 100_000)) for number in range(count))
