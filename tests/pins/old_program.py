# mypy: ignore-errors
"""The program of commit d579f9d as ``make_fixtures.py`` speaks to it: its commands, its page, its files.

It runs from the worktree that the script is started in. Nothing here may be renamed after that program's successors.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

BEFORE = Path.cwd()
HOUR_MS = 3_600_000


def simulate(folder: Path, *, seed: int, start: str | None = None) -> list[dict]:
    """A day of two sites."""
    more = ["--start", start] if start else []
    linli(folder, "simulate", "--seed", str(seed), "--sites", "2", "--out", "simulated.jsonl", *more)
    return [json.loads(line) for line in (folder / "simulated.jsonl").read_text(encoding="utf-8").splitlines()]


def cut(events: list[dict], from_ms: int, hours: int) -> list[dict]:
    """Those received in these hours."""
    return [event for event in events if from_ms <= event["received_ms"] < from_ms + hours * HOUR_MS]


def following(events: list[dict], from_ms: int, hours: int) -> list[dict]:
    """Those of these hours, after the records that say whose they are."""
    known = [event for event in cut(events, events[0]["received_ms"], 1) if event["kind"].endswith("_configured")]
    return [{**event, "at_ms": from_ms, "received_ms": from_ms} for event in known] + cut(events, from_ms, hours)


def shifted(event: dict, by_ms: int) -> dict:
    """The same event at another time."""
    return {**event, "at_ms": event["at_ms"] + by_ms, "received_ms": event["received_ms"] + by_ms}


def write_lines(file: Path, events: list[dict]) -> None:
    """One JSON line an event."""
    file.write_text("".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events), encoding="utf-8")


def exported(folder: Path, **settings: str) -> list[str]:
    """The ids that ``linli findings export`` gives."""
    printed = linli(folder, "findings", "export", "--json", **settings)
    return [json.loads(line)["finding_id"] for line in printed.splitlines()]


def linli(folder: Path, *arguments: str, **settings: str) -> str:
    """What a command prints."""
    command = [sys.executable, "-m", "app.main", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment(**settings), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment(**settings: str) -> dict[str, str]:
    """In which the program of this worktree runs from another folder."""
    return {**os.environ, "PYTHONPATH": str(BEFORE), "PYTHONDONTWRITEBYTECODE": "1", **settings}


@contextlib.contextmanager
def process(folder: Path, *arguments: str, **settings: str):
    """A command that goes on, and what it has said."""
    log = folder / "logs" / "said"
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as output:
        command = [sys.executable, "-m", "app.main", *arguments]
        run = subprocess.Popen(command, cwd=folder, env=environment(**settings), stdout=output, stderr=output)
    try:
        yield run, lambda: log.read_text(encoding="utf-8")
    except BaseException:
        sys.stderr.write(log.read_text(encoding="utf-8")[-3000:])
        raise
    finally:
        if run.poll() is None:
            run.kill()
        run.wait()


def end(run: subprocess.Popen) -> None:
    """As people do."""
    run.send_signal(signal.SIGTERM)
    assert run.wait(60) == 0


@contextlib.contextmanager
def receiver():
    """Somebody who is told: the address, and the bodies that came."""
    told: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/alerts", told
    server.shutdown()


def call(page: str, path: str, body: dict | None = None, cookie: str = "") -> tuple:
    """The answer of the console, and the cookie it sets."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "X-Linli-Request": "1", "Cookie": cookie}
    request = urllib.request.Request(f"{page.rstrip('/')}/api/v1/{path}", data, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read()), (answer.headers["Set-Cookie"] or "").partition(";")[0]


def ask(file: Path, query: str) -> list[tuple]:
    """Rows of a database."""
    with contextlib.closing(sqlite3.connect(file, timeout=30)) as db:
        return db.execute(query).fetchall()


def wait_for(done, patience_s: float = 180.0):
    """What ``done`` gives once it gives something."""
    deadline_s = time.monotonic() + patience_s
    while not (found := done()):
        assert time.monotonic() < deadline_s, "waited too long"
        time.sleep(0.2)
    return found


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port: int) -> bool:
    """Whether somebody listens."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
        return True
    return False
