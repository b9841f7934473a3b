# mypy: ignore-errors
"""Writes the fixtures of this folder with the program of commit d579f9d: what it left must open forever.

Run it in a worktree of that commit, with the Python that its packages are installed for (Java and mvn for the broker):

    git worktree add ../before d579f9d
    cd ../before
    python ../REPOSITORY/tests/pins/make_fixtures.py ../REPOSITORY/tests/pins/fixtures

It speaks to that program by its commands alone, and by :data:`GO_ON`, which names modules as that commit has them: none
of this may be renamed. Written on 2026-11-29. Made again, ids of findings differ, since the day is another one.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import lzma
import re
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from pathlib import Path

from old_program import (  # beside this script
    BEFORE,
    HOUR_MS,
    answers,
    ask,
    call,
    cut,
    end,
    environment,
    exported,
    following,
    free_port,
    linli,
    process,
    receiver,
    shifted,
    simulate,
    wait_for,
    write_lines,
)

PARTITIONS = 3  # the two sites lie in the first and the last
SECRET = "a secret of this fixture alone"
SETTINGS = """\
[log]
retention_days = 3650
[archive]
retention_days = 36500
[incidents]
retention_days = 36500
[results]
retention_days = 36500
backlog_hours = 87600
[evidence]
retention_hours = 87600
[console]
port = 0
[webhook]
url = "http://127.0.0.1:9/alerts"
secret_file = "webhook.secret"
origins = ["live", "simulated"]
unverified = true
min_severity = "info"
"""
ACTIONS = ({"action": "handle"}, {"action": "mark_false", "reason": "permitted"})
GO_ON = """
from pathlib import Path
from detectors.registry import all_rules
from streams.daylog import DayLog
from streams.drivers.embedded import EmbeddedDriver
from streams.engine import Engine
from streams.engine_store import EngineStore
folder = Path("linli-data")
log, store = DayLog(folder), EngineStore(folder / "engine.db")
EmbeddedDriver(log, store, Engine(all_rules(), partition=0, partitions=1, log_id=log.identity())).open()
store.close()
log.close()
"""


def main() -> None:
    """Write everything into the folder that the command line names."""
    out = Path(sys.argv[1]).resolve()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        make_data_folder(Path(folder), out)
    with tempfile.TemporaryDirectory() as folder:
        make_kafka_records(Path(folder), out)
    for file in sorted(out.iterdir()):
        line = f"{file.name}\t{file.stat().st_size}\t{hashlib.sha256(file.read_bytes()).hexdigest()}\n"
        sys.stdout.write(line)


# --- one machine ------------------------------------------------------------------------------------------------------


def make_data_folder(folder: Path, out: Path) -> None:
    """Three hours of two sites over a midnight, loaded, judged and told by ``linli run``, which ended in order."""
    start_ms = (time.time_ns() // (24 * HOUR_MS * 1_000_000)) * 24 * HOUR_MS - 2 * HOUR_MS
    events = simulate(folder, seed=88, start=str(start_ms))
    part, later = cut(events, start_ms, 3), following(events, start_ms + 3 * HOUR_MS, 2)
    write_lines(folder / "part.jsonl", part)
    (folder / "linli.toml").write_text(SETTINGS, encoding="utf-8")
    (folder / "webhook.secret").write_text(SECRET, encoding="utf-8")
    (folder / "webhook.secret").chmod(0o600)
    linli(folder, "inventory", "load", "part.jsonl")
    linli(folder, "log", "load", "part.jsonl")
    with receiver() as (url, told):
        run_community(folder, url, told)
    linli(folder, "hold", "add", "--site", "site-01", "--reason", "file 7/2026")
    after_ms = time.time_ns() // 1_000_000 + 60_000 - later[0]["received_ms"]
    write_lines(folder / "later.jsonl", [shifted(event, after_ms) for event in later])
    for name in ("part.jsonl", "simulated.jsonl"):
        (folder / name).unlink()
    for name in ("logs", "linli-data/broker"):
        shutil.rmtree(folder / name)
    expected = {"exported": exported(folder), "rows": rows(folder), "ids": ids(folder)}
    pack(folder, out / "data-folder.tar.xz")
    linli(folder, "log", "load", "later.jsonl")
    subprocess.run([sys.executable, "-c", GO_ON], cwd=folder, env=environment(), check=True)
    expected["exported_after"] = exported(folder)
    (out / "data-folder.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")


def run_community(folder: Path, webhook_url: str, told: list[bytes]) -> None:
    """``linli run`` until its receiver has been told everything; an operator handles one incident of two."""
    settings = {"LINLI_WEBHOOK_URL": webhook_url, "LINLI_MQTT_URL": f"mqtt://127.0.0.1:{free_port()}"}
    with process(folder, "run", **settings) as (run, said):
        page = wait_for(lambda: re.search(r"ready +page=(http://\S+)", said()))[1]
        password = re.search(r"password=(\S+)", said())[1]
        wait_for(lambda: told and len(told) == pending_or_told(folder))
        cookie = call(page, "session", {"name": "admin", "password": password})[1]
        listed = call(page, "incidents?limit=50", cookie=cookie)[0]["incidents"]
        for row, action in zip(listed[:2], ACTIONS, strict=True):
            body = {**action, "version": row["version"], "comment": "seen to"}
            call(page, f"incidents/{row['incident_id']}/actions", body, cookie)
        wait_for(lambda: len(told) == pending_or_told(folder))
        time.sleep(5)  # results and archive come by
        end(run)


def pending_or_told(folder: Path) -> int:
    """How many deliveries there are."""
    return ask(folder / "linli-data/incidents.db", "SELECT count(*) FROM deliveries")[0][0]


def rows(folder: Path) -> dict[str, dict[str, int]]:
    """How many rows each table of each file holds."""
    found: dict[str, dict[str, int]] = {}
    for file in sorted((folder / "linli-data").rglob("*.db")):
        tables = [name for (name,) in ask(file, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        counts = {table: ask(file, f"SELECT count(*) FROM {table}")[0][0] for table in tables}
        found[str(file.relative_to(folder / "linli-data"))] = counts
    return found


def ids(folder: Path) -> dict[str, list[str]]:
    """What names things for others."""
    file = folder / "linli-data/incidents.db"
    queries = {
        "incidents": "SELECT incident_id || ' ' || number || ' ' || state FROM incidents ORDER BY ordinal",
        "deliveries": "SELECT delivery_id || ' ' || state FROM deliveries ORDER BY delivery_id",
        "users": "SELECT name FROM users ORDER BY name",
        "actions": "SELECT incident_id || ' ' || action FROM incident_actions ORDER BY incident_id, version",
        "versions": "SELECT version || ' ' || name FROM schema_version ORDER BY version",
    }
    return {what: [text for (text,) in ask(file, query)] for what, query in queries.items()}


def pack(folder: Path, file: Path) -> None:
    """The whole folder, its databases without journals."""
    for database in (folder / "linli-data").rglob("*.db"):
        with contextlib.closing(sqlite3.connect(database)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            db.execute("PRAGMA journal_mode=DELETE")
            db.execute("VACUUM")
    with tarfile.open(file, "w:xz", preset=9) as tar:
        for one in sorted(folder.rglob("*")):
            info = tar.gettarinfo(one, str(one.relative_to(folder)))
            info.uid = info.gid = 0
            info.uname = info.gname = ""
            with one.open("rb") if one.is_file() else contextlib.nullcontext() as content:
                tar.addfile(info, content)


# --- Kafka ------------------------------------------------------------------------------------------------------------


def make_kafka_records(folder: Path, out: Path) -> None:
    """Four hours of two sites in three partitions and a record that nobody can read, judged and drained."""
    port = free_port()
    settings = {
        "LINLI_LOG_URL": f"kafka://127.0.0.1:{port}",
        "LINLI_KAFKA_PARTITIONS": str(PARTITIONS),
        "LINLI_KAFKA_REPLICATION": "1",
        "LINLI_METRICS_PORT": str(free_port()),
    }
    events = simulate(folder, seed=89)
    start_ms = events[0]["received_ms"]
    write_lines(folder / "part.jsonl", cut(events, start_ms, 4))
    write_lines(folder / "later.jsonl", following(events, start_ms + 4 * HOUR_MS, 2))
    run = [str(BEFORE / "deploy/kafka/run.sh"), "--port", str(port), "--data", str(folder / "kafka")]
    broker = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: answers(port))
        linli(folder, "topics", "create", **settings)
        linli(folder, "log", "load", "part.jsonl", **settings)
        add_rubbish(port)
        work(folder, settings, port)
        records, found = dump(port), exported(folder, **settings)
        expected = {"topic_id": topic_id(port), "exported": found}
        linli(folder, "log", "load", "later.jsonl", **settings)
        work(folder, settings, port)
        ends = {(topic, partition): offset for topic, partition, offset, *_ in records}
        later = [one for one in dump(port) if one[0] == "linli.log" and one[2] > ends[one[0], one[1]]]
        expected["exported_after"] = exported(folder, **settings)
    finally:
        broker.terminate()
        broker.wait()
    lines = {"records": records, "later": later}
    text = "".join(json.dumps([what, *one]) + "\n" for what, all_ in lines.items() for one in all_)
    (out / "kafka-records.jsonl.xz").write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    (out / "kafka-records.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")


def work(folder: Path, settings: dict[str, str], port: int) -> None:
    """``linli streams run`` until the log is judged; then it drains."""
    with process(folder, "streams", "run", "--no-supervisor", **settings) as (run, said):
        url = wait_for(lambda: re.search(r"\burl=(http://\S+/metrics)", said()))[1]
        wait_for(lambda: judged(url))
        end(run)


def judged(url: str) -> bool:
    """Whether no partition lags behind."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return (
            len(re.findall(r'linli_streams_lag_records\{partition="\d"\} 0\.0', answer.read().decode())) == PARTITIONS
        )


def dump(port: int) -> list[list[object]]:
    """Topic, partition, offset, timestamp, key, value and headers of every record; bytes as base 64."""
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(bootstrap_servers=[f"127.0.0.1:{port}"], enable_auto_commit=False)
    at = [TopicPartition(f"linli.{name}", n) for name in ("log", "findings", "snapshots") for n in range(PARTITIONS)]
    consumer.assign(at)
    consumer.seek_to_beginning(*at)
    ends, found = consumer.end_offsets(at), []
    while any(consumer.position(one) < ends[one] for one in at):
        for records in consumer.poll(timeout_ms=1_000).values():
            for r in records:
                headers = [[name, text(value)] for name, value in r.headers]
                found.append([r.topic, r.partition, r.offset, r.timestamp, text(r.key), text(r.value), headers])
    consumer.close()
    return sorted(found, key=lambda one: one[:3])


def text(value: bytes | None) -> str | None:
    """Bytes for JSON."""
    return None if value is None else base64.b64encode(value).decode()


def add_rubbish(port: int) -> None:
    """A record of the log that is no batch."""
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=[f"127.0.0.1:{port}"])
    producer.send("linli.log", value=b"rubbish", partition=0).get(30)
    producer.close()


def topic_id(port: int) -> str:
    """What names the log in rows and manifests."""
    from kafka import KafkaAdminClient

    admin = KafkaAdminClient(bootstrap_servers=[f"127.0.0.1:{port}"])
    found = str(admin.describe_topics(["linli.log"])[0]["topic_id"])
    admin.close()
    return found


if __name__ == "__main__":
    main()
