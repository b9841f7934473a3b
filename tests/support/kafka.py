"""A real Kafka broker, one for the whole run of tests. Without Java or mvn they are skipped; with CI=true they fail."""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from streams.kafka import KafkaCluster
from streams.topics import TopicNames, topic_specs

RUN = Path(__file__).resolve().parents[2] / "deploy" / "kafka" / "run.sh"
START_S = 180.0
"""The first start of a machine fetches 43 MB; others take some 4 s."""
_PORTS = itertools.count(19_000 + secrets.randbelow(900))  # below the ports that outgoing connections are given


class RunningKafka:
    """``deploy/kafka/run.sh`` as a process. It can be killed, paused and started again on the same data and port."""

    def __init__(self, data: Path, port: int = 0, options: Sequence[str] = ()) -> None:
        self.port, self._data, self._options = port or kafka_port(), data, tuple(options)
        self._log = data.parent / f"{data.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """``kafka://127.0.0.1:PORT``."""
        return f"kafka://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of the broker itself."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.launch()
        deadline_s = time.monotonic() + START_S
        while not self.answers():
            assert self.running(), self._log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline_s, self._log.read_text(encoding="utf-8")
            time.sleep(0.1)

    def launch(self) -> None:
        """Start it, and do not wait."""
        command = [str(RUN), "--port", str(self.port), "--data", str(self._data), *self._options]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """End it in order; its exit code."""
        return self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Stop it in its tracks: connections stand, nobody answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def revive(self) -> None:
        """At the end of a test that hurt it: it runs, whatever happened."""
        if self.running():
            self.resume()
        else:
            self.start()

    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def _end(self, number: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        with suppress(ProcessLookupError):
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)  # a paused one does not hear SIGTERM
        try:
            return process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def answers(self) -> bool:
        """Whether it takes connections."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1.0):
            return True
        return False


def need_kafka() -> None:
    """Skips the test where the broker cannot be started."""
    missing = [program for program in ("java", "mvn") if shutil.which(program) is None]
    if missing:
        message = f"{' and '.join(missing)} not installed (deploy/test-packages.txt)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)


@contextmanager
def running_kafka(port: int = 0, options: Sequence[str] = ()) -> Iterator[RunningKafka]:
    """A broker of its own. The fixture ``kafka`` is the one all tests share; who hurts it revives it."""
    need_kafka()
    with tempfile.TemporaryDirectory(prefix="linli-kafka-", ignore_cleanup_errors=True) as folder:
        broker = RunningKafka(Path(folder) / "data", port, options)
        try:
            broker.start()
            yield broker
        finally:
            broker.stop()


def make_topics(url: str, *, partitions: int = 1) -> TopicNames:
    """The topics of a district nobody else uses; many may share a broker."""
    names = TopicNames(f"t{secrets.token_hex(4)}.")
    with KafkaCluster(url) as cluster:
        for spec in topic_specs(names, partitions=partitions, replication=1, retention_hours=720, retention_bytes=-1):
            cluster.create_topic(spec)
    return names


def kafka_port() -> int:
    """Return a free port for a broker."""
    for port in _PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("never")
