"""A real PostgreSQL server for tests: Debian's, in a folder of its own, on a free loopback port and a unix socket.

Without it a test is skipped; with CI=true that is a failure. It runs as ``postgres`` where the tests run as root, since
it refuses root. What it writes is not forced to disk: no test here pulls the plug of the machine.
"""

from __future__ import annotations

import atexit
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any

import psycopg
import pytest

from app.wiring.children import die_with_parent
from ingest.session.broker import free_port

PATIENCE_S = 60.0
USER = "postgres"
PASSWORD = "secret-of-the-tests"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "300",
    "shared_buffers": "32MB",
    "autovacuum": "off",
}
_AS_SHIPPED = {"listen_addresses": "127.0.0.1"}
_NAMES = itertools.count(1)


class Postgres:
    """One server; :meth:`start` it, :meth:`stop` it, :meth:`kill` it, start it again on the same data."""

    def __init__(self, folder: Path, programs: Path, settings: Mapping[str, str] = _SETTINGS) -> None:
        self.port = free_port()
        self._settings = dict(settings)
        self._folder, self._programs = folder, programs
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if self._owner:
            os.chown(folder, self._owner.pw_uid, self._owner.pw_gid)
        secret = folder / "secret"
        secret.write_text(PASSWORD, encoding="utf-8")
        secret.chmod(0o644)
        self._run("initdb", "-D", str(folder / "data"), "-U", USER, "-E", "UTF8", "--locale", "C.UTF-8", "-A",
                  "scram-sha-256", f"--pwfile={secret}", "--no-sync")  # fmt: skip

    def url(self, database: str, password: str = PASSWORD) -> str:
        """Where ``database`` is."""
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        assert self._process is None
        deadline_s = time.monotonic() + PATIENCE_S
        while self._process is None:  # after a kill the old one's children may still hold the data for a moment
            assert time.monotonic() < deadline_s, self._log.read_text("utf-8", "replace")[-2000:]
            self._launch(deadline_s)

    def stop(self) -> None:
        """Stop it in order, whoever is connected."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """kill -9: what was committed is on its disk, what was not is gone."""
        self._end(signal.SIGKILL)

    @property
    def pid(self) -> int:
        """Of the server; each connection is a child of it."""
        assert self._process is not None
        return self._process.pid

    def running(self) -> bool:
        """Whether it was started and has not been ended."""
        return self._process is not None

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement as the administrator; its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def show(self, certificate: Path, key: Path) -> None:
        """Speak TLS from now on, with this certificate; returns once it does."""
        for file, name in ((certificate, "server.crt"), (key, "server.key")):
            there = self._folder / "data" / name
            there.write_bytes(file.read_bytes())
            there.chmod(0o600)
            if self._owner:
                os.chown(there, self._owner.pw_uid, self._owner.pw_gid)
        self.switch_tls("on")

    def switch_tls(self, to: str) -> None:
        """Turn TLS on or off, and have its files read anew."""
        self.execute(f"ALTER SYSTEM SET ssl = {to}")
        before = self.execute("SELECT pg_conf_load_time()")
        self.execute("SELECT pg_reload_conf()")
        deadline_s = time.monotonic() + PATIENCE_S
        while self.execute("SELECT pg_conf_load_time()") == before:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)

    def create(self, template: str = "template1") -> str:
        """A new database; its name."""
        name = f"t{next(_NAMES)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, name: str) -> None:
        """Drop a database, whoever is connected."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _launch(self, deadline_s: float) -> None:
        settings = self._settings | {"port": str(self.port), "unix_socket_directories": str(self._folder)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            self._process = self._popen("postgres", "-D", str(self._folder / "data"), *options, output=log)
        while self._process.poll() is None:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < deadline_s, self._log.read_text("utf-8", "replace")[-2000:]
                time.sleep(0.05)
        self._process = None

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE_S)
            self._process = None

    def _run(self, program: str, *arguments: str) -> None:
        with tempfile.TemporaryFile() as output:
            process = self._popen(program, *arguments, output=output)
            code = process.wait(PATIENCE_S)
            output.seek(0)
            assert code == 0, output.read().decode("utf-8", "replace")

    def _popen(self, program: str, *arguments: str, output: IO[bytes]) -> subprocess.Popen[bytes]:
        owner: dict[str, Any] = {}
        if self._owner:
            owner = {"user": self._owner.pw_uid, "group": self._owner.pw_gid, "extra_groups": []}
        return subprocess.Popen(
            [str(self._programs / program), *arguments],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - it starts no threads
            **owner,
        )


@contextmanager
def running_postgres(*, as_shipped: bool = False) -> Iterator[Postgres]:
    """A server of the test's own: to stop, to kill, to start again. ``as_shipped``: on disk and durable."""
    memory = Path("/dev/shm")
    in_memory = memory.is_dir() and not as_shipped
    folder = Path(tempfile.mkdtemp(prefix="linli-pg-", dir=memory if in_memory else None))
    server = Postgres(folder, need_postgres(), _AS_SHIPPED if as_shipped else _SETTINGS)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@cache
def shared_postgres() -> Postgres:
    """The one server that all tests of this process share, stopped when it ends. Each test has its own database."""
    running = running_postgres()
    server = running.__enter__()
    atexit.register(running.__exit__, None, None, None)
    return server


def need_postgres() -> Path:
    """Where PostgreSQL's programs are; skips the test without them."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    found = shutil.which("postgres")
    if found:
        folders.append(Path(found).parent)
    if not folders:
        message = "PostgreSQL is not installed (deploy/test-packages.txt)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folders[-1]
