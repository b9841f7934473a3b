"""A broker on this machine: mosquitto as a child process when it is installed, else amqtt in this process.

Both listen on 127.0.0.1 only, without accounts: whoever can reach them can be any device. A broker for other machines
is set up from ``deploy/mosquitto`` with accounts and TLS.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

from contracts.errors import ConfigurationError, Permanent
from system.private_files import make_folder

LOOPBACK = "127.0.0.1"
START_S = 10.0
STOP_S = 5.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_SETTINGS = Path(__file__).parent / "mosquitto.conf"


class Broker(Protocol):
    """A running broker."""

    name: str
    port: int
    protocol: str
    """What clients of ours should speak: ``5`` or ``3.1.1``."""

    @property
    def url(self) -> str:
        """``mqtt://127.0.0.1:PORT``."""
        ...

    def running(self) -> bool:
        """Return whether it still runs."""
        ...

    def stop(self) -> None:
        """End it."""
        ...


def start_broker(folder: Path, port: int = 0, kind: str = "auto") -> Broker:
    """Start a broker that keeps its files in ``folder``.

    Args:
        folder: made when it is missing.
        port: to listen on; 0 takes a free one.
        kind: ``auto``, ``mosquitto`` or ``amqtt``.

    Raises:
        ConfigurationError: when ``mosquitto`` is wanted but not installed, or the port is taken.
        Permanent: when it does not start; carries what it said.
    """
    program = find_mosquitto()
    if kind == "mosquitto" and program is None:
        raise ConfigurationError("mosquitto is not installed; install it, or set mqtt.embedded = 'auto' or 'amqtt'")
    chosen = port or free_port()
    if port and _listens(port):
        raise ConfigurationError(f"port {port} of 127.0.0.1 is taken; set another port in mqtt.url")
    if kind != "amqtt" and program is not None:
        return MosquittoChild(program, folder, chosen)
    from ingest.session.amqtt_broker import AmqttBroker

    return AmqttBroker(chosen)


def find_mosquitto() -> str | None:
    """Return where mosquitto is; Debian puts it where ordinary users' PATH does not look."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")


def free_port() -> int:
    """Return a port of 127.0.0.1 that was free just now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def settings_text(folder: Path, port: int) -> str:
    """Return the settings file of a child: ours, a listener on loopback, and where it keeps its sessions."""
    return (
        _SETTINGS.read_text(encoding="utf-8")
        + f"\nlistener {port} {LOOPBACK}\nallow_anonymous true\n"
        + f"persistence_location {folder.resolve()}/\nlog_dest stderr\n"
        + ("user root\n" if os.geteuid() == 0 else "")  # else it drops to an account that cannot write in our folder
    )


class MosquittoChild:
    """mosquitto as a child process; the kernel ends it with the thread that started it.

    Args:
        program: the executable.
        folder: for its settings, sessions and log.
        port: of 127.0.0.1.
        settings: the whole text of its settings, in place of ours.
    """

    name = "mosquitto"
    protocol = "5"

    def __init__(self, program: str, folder: Path, port: int, settings: str | None = None) -> None:
        make_folder(folder)
        self.port, self._log = port, folder / "mosquitto.log"
        file = folder / "mosquitto.conf"
        file.write_text(settings or settings_text(folder, port), encoding="utf-8")
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [program, "-c", str(file)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C reaches us alone; we stop it last
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - one call, no locks
            )
        self._wait_until_it_listens()

    @property
    def url(self) -> str:
        """``mqtt://127.0.0.1:PORT``."""
        return f"mqtt://{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def running(self) -> bool:
        """Return whether it still runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Ask it to end (it saves its sessions), then make it."""
        if self.running():
            self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._process.kill()
        self._process.wait()

    def _wait_until_it_listens(self) -> None:
        end_s = time.monotonic() + START_S
        while time.monotonic() < end_s:
            if not self.running():
                said = self._log.read_text(encoding="utf-8", errors="replace")[-1000:]
                raise Permanent(f"mosquitto ended with code {self._process.returncode}:\n{said}")
            if _listens(self.port):
                return
            time.sleep(0.02)  # mosquitto does not say when it listens
        self.kill()
        raise Permanent(f"mosquitto did not listen on port {self.port} within {START_S} s")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOOPBACK, port)) == 0


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
