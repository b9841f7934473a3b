"""Real stores of time series for tests: InfluxDB 1.x and VictoriaMetrics. Without them a test is skipped; CI fails."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingest.session.broker import free_port

PATIENCE_S = 60.0


class Server:
    """A server on a port of its own, started and stopped as often as a test wants; its data stay in ``folder``."""

    def __init__(
        self, command: Sequence[str], folder: Path, port: int, ping: str, tls: ssl.SSLContext | None = None
    ) -> None:
        self._command = list(command)
        self._log = folder / "server.log"
        self._ping, self._tls = f"{'http' if tls is None else 'https'}://127.0.0.1:{port}{ping}", tls
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port

    def start(self) -> None:
        """Start it; returns when it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT)
        end_s = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert self._process.poll() is None and time.monotonic() < end_s, self._log.read_text()[-2_000:]
            time.sleep(0.05)

    def running(self) -> bool:
        """Whether it was started and has not been killed."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """Of its present life."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self._ping, timeout=2, context=self._tls) as answer:
                return bool(answer.status < 300)
        except OSError:
            return False


@contextmanager
def influxd(folder: Path, *, auth: bool = False, chain: Path | None = None) -> Iterator[Server]:
    """InfluxDB 1.x from Debian's package; with ``chain``, key and certificate in a file, it speaks TLS alone."""
    program, port = _need("influxd", "influxdb"), free_port()
    config = folder / "influxdb.conf"
    text = _CONFIG.format(folder=folder, rpc=free_port(), port=port, auth=str(auth).lower())
    if chain is not None:
        text = text.replace("[http]", f'[http]\n  https-enabled = true\n  https-certificate = "{chain}"')
    config.write_text(text)
    yield from _running(Server([program, "run", "-config", str(config)], folder, port, "/ping", _unchecked(chain)))


@contextmanager
def victoria_metrics(folder: Path, *, chain: Path | None = None) -> Iterator[Server]:
    """VictoriaMetrics from Debian's package: it takes what InfluxDB 2 takes on ``/api/v2/write``."""
    program, port = _need("victoria-metrics", "victoria-metrics"), free_port()
    options = [f"-httpListenAddr=127.0.0.1:{port}", f"-storageDataPath={folder}/data", "-retentionPeriod=100y"]
    if chain is not None:
        options += ["-tls", f"-tlsCertFile={chain}", f"-tlsKeyFile={chain}"]
    yield from _running(Server([program, *options], folder, port, "/health", _unchecked(chain)))


def _unchecked(chain: Path | None) -> ssl.SSLContext | None:
    """Return TLS that only waits for a server, whatever it shows."""
    return None if chain is None else ssl._create_unverified_context()


def _running(server: Server) -> Iterator[Server]:
    server.start()
    try:
        yield server
    finally:
        server.kill()


def _need(program: str, package: str) -> str:
    found = shutil.which(program)
    if found is None:
        message = f"{package} is not installed (deploy/test-packages.txt)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


_CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  auth-enabled = {auth}
  log-enabled = false
[monitor]
  store-enabled = false
"""
