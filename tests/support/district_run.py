"""A district's processes over a real PostgreSQL: ``linli incidents run``, ``linli console run``, a receiver."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from app.wiring.children import Child
from app.wiring.run_child import SECRET_FILE, start_child, write_secret
from delivery.receivers.webhook.stand_in import StandIn
from system.private_files import make_whole
from tests.support.postgres import PASSWORD

HOST = "127.0.0.1"


def district_settings(folder: Path, database_url: str, log_url: str, receiver: StandIn | None = None) -> dict[str, str]:
    """The environment of each process: the database's password in a file, everything else in ``folder``."""
    file = folder / "database.secret"
    file.write_text(PASSWORD, encoding="utf-8")
    make_whole(folder / "erasure.key", b"5c" * 32)
    parts = urlsplit(database_url)
    told = {
        "LINLI_WEBHOOK_URL": receiver.url,
        "LINLI_WEBHOOK_SECRET_FILE": str(folder / SECRET_FILE),
        "LINLI_WEBHOOK_MIN_SEVERITY": "info",
        "LINLI_WEBHOOK_UNVERIFIED": "true",
    } if receiver else {}  # fmt: skip
    return (
        told
        | folders_in(folder)
        | {
            "LINLI_LOG_URL": log_url,
            "LINLI_INCIDENTS_URL": f"postgresql://{parts.username}@{parts.hostname}:{parts.port}{parts.path}",
            "LINLI_INCIDENTS_PASSWORD_FILE": str(file),
            "LINLI_CONSOLE_PORT": "0",
        }
    )


def folders_in(folder: Path) -> dict[str, str]:
    """Where what is kept in files lies: a log on Kafka has no folder that it could follow."""
    return {
        "LINLI_RESULTS_SPOOL": str(folder / "results-spool.db"),
        "LINLI_EVIDENCE_FOLDER": str(folder / "evidence"),
        "LINLI_DEAD_LETTERS_FOLDER": str(folder / "dead-letters"),
        "LINLI_ARCHIVE_FOLDER": str(folder / "archive"),
        "LINLI_ERASURE_KEY_FILE": str(folder / "erasure.key"),
    }


@contextmanager
def receiver_of(folder: Path) -> Iterator[StandIn]:
    """A strict receiver whose secret lies in ``folder``."""
    secret = secrets.token_hex(16)
    write_secret(folder, secret)
    with StandIn(secret.encode()) as receiver:
        yield receiver


@contextmanager
def process(name: str, folder: Path, *arguments: str, settings: Mapping[str, str]) -> Iterator[Child]:
    """One ``linli`` process, ended whatever happens."""
    child = start_child(name, folder, *arguments, settings=settings)
    try:
        yield child
    finally:
        child.stop()


def logged_in(page: str, password: str) -> httpx.Client:
    """A browser's session as admin."""
    client = httpx.Client(base_url=page, headers={"X-Linli-Request": "1"}, timeout=20)
    answer = client.post("/api/v1/session", json={"name": "admin", "password": password})
    assert answer.status_code == 200, answer.text
    return client
