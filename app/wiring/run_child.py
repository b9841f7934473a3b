"""``linli run`` as a child process over one folder: what the demo, tests of the whole path and benches start."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path

from app.wiring.children import Child, linli_arguments
from contracts.errors import Permanent
from system.private_files import make_file

READY_S = 40.0
SECRET_FILE = "webhook.secret"
READY = re.compile(r"ready ")
_PAGE = re.compile(r"ready +page=(http://\S+)")


def start_run(folder: Path, *, mqtt_url: str, port: int, webhook_url: str = "", broker: str = "off") -> Child:
    """Start ``linli run``; it logs to ``logs/linli.log`` in ``folder``.

    Args:
        folder: for everything it keeps; ``config.db``, ``boxes.jsonl`` and users may have been put there before.
        mqtt_url: a broker that runs already, or where ``broker`` shall listen.
        port: of the page.
        webhook_url: a receiver that is told of everything, signed with ``webhook.secret`` in ``folder``.
        broker: ``mosquitto`` or ``amqtt`` starts one with it, ``off`` none.
    """
    settings = run_settings(folder, mqtt_url, port, webhook_url) | {"LINLI_MQTT_EMBEDDED": broker}
    return start_child("linli", folder, "run", settings=settings)


def start_child(name: str, folder: Path, *arguments: str, settings: Mapping[str, str]) -> Child:
    """Start ``linli`` with ``arguments`` in ``folder``; it logs to ``logs/{name}.log`` there."""
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    command = linli_arguments(*arguments)
    return Child(name, command, folder=folder, environment=environment(settings), log=logs / f"{name}.log")


def run_settings(folder: Path, mqtt_url: str, port: int, webhook_url: str) -> dict[str, str]:
    """Return the environment of ``linli run`` over ``folder``, where every store lies beside the log."""
    settings = {
        "LINLI_MQTT_URL": mqtt_url,
        "LINLI_MQTT_EMBEDDED": "off",
        "LINLI_LOG_URL": f"sqlite:///{folder}",
        "LINLI_CONSOLE_PORT": str(port),
    }
    told = {
        "LINLI_WEBHOOK_URL": webhook_url,
        "LINLI_WEBHOOK_SECRET_FILE": str(folder / SECRET_FILE),
        "LINLI_WEBHOOK_ORIGINS": "live,simulated",
        "LINLI_WEBHOOK_UNVERIFIED": "true",
        "LINLI_WEBHOOK_MIN_SEVERITY": "info",
    }
    return settings | (told if webhook_url else {})


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without its own settings, plus ``settings``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LINLI_")}
    return {**kept, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1", **settings}


def write_secret(folder: Path, secret: str) -> None:
    """Put the webhook's secret where :func:`start_run` looks for it."""
    file = folder / SECRET_FILE
    make_file(file)
    file.write_text(secret, encoding="utf-8")


def wait_until_ready(child: Child) -> str:
    """Wait until ``linli run`` listens to the broker; where its page is: the port it was given, or the next free one.

    Raises:
        Permanent: it ended, or was not ready within 40 s; carries what it said.
    """
    return wait_until_said(child, _PAGE)[1]


def wait_until_said(child: Child, words: re.Pattern[str], patience_s: float = READY_S) -> re.Match[str]:
    """Wait until a process has said something, and return it.

    Raises:
        Permanent: it ended, or did not say so in time; carries what it said instead.
    """
    deadline_s = time.monotonic() + patience_s
    while (found := words.search(child.tail())) is None:
        child.check()
        if time.monotonic() > deadline_s:
            raise Permanent(f"{child.name} was not ready within {patience_s:.0f} s:\n{child.tail()}")
        time.sleep(0.1)  # what a child wrote to its log can only be looked for
    return found
