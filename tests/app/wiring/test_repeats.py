"""A log says what is away once a minute, and how often it was tried; nothing else is lost from it."""

from __future__ import annotations

import logging
import re
import subprocess
import sys

from app.wiring.repeats import ALIKE, WINDOW_S, Repeated, Repeats

LIBRARIES = """
import logging
from app.wiring.logs import configure_logs
configure_logs()
import structlog
for name in ("faust", "aiokafka.cluster", "kafka.net", "mode.services"):
    for n in range(500):
        logging.getLogger(name).error("Unable to connect to node %s", n % 3)
try:
    raise OSError("no route")
except OSError:
    logging.getLogger("aiokafka").exception("Heartbeat failed")
for n in range(500):
    structlog.get_logger("linli").warning("waiting", reason="Kafka does not answer")
structlog.get_logger("linli").info("ready")
logging.getLogger("aiokafka").info("all is well")
"""


def test_one_line_is_shown_once_a_minute_and_counted_meanwhile() -> None:
    repeats = Repeats()
    assert [repeats.take("away", s) for s in (0.0, 0.1, 0.2)] == [0, None, None]
    assert repeats.take("other", 0.3) == 0
    assert repeats.over(WINDOW_S - 0.1) == []
    assert repeats.over(WINDOW_S) == [Repeated("away", 2)]
    assert repeats.take("away", WINDOW_S) == 0
    assert repeats.over(3 * WINDOW_S) == []


def test_lines_that_differ_in_numbers_alone_are_shown_ten_times() -> None:
    repeats = Repeats()
    shown = [n for n in range(100) if repeats.take(f"partition {n} waits", n / 10) is not None]
    assert shown == list(range(ALIKE))
    assert repeats.over(200.0) == [Repeated("partition 0 waits", 100 - ALIKE)]


def test_what_is_remembered_has_a_bound() -> None:
    repeats = Repeats()
    for n in range(5_000):
        repeats.take("line " + "x" * n, 0.0)
    assert repeats.take("line ", 1.0) == 0  # forgotten, and so shown


def test_libraries_that_cannot_reach_a_broker_do_not_fill_a_log() -> None:
    said = subprocess.run([sys.executable, "-c", LIBRARIES], capture_output=True, text=True, check=True)
    lines = said.stderr.splitlines()
    for name in ("faust", "aiokafka.cluster", "kafka.net", "mode.services"):
        assert sum(name in line for line in lines) == 3, said.stderr
    assert [line for line in lines if "Heartbeat" in line and "OSError('no route')" in line]
    assert sum("waiting" in line for line in lines) == 1
    assert sum("ready" in line for line in lines) == 1
    assert not re.search("Traceback|all is well", said.stderr)
    assert said.stdout == ""
    assert len(lines) == 15
    assert logging.getLogger().level == logging.WARNING  # of this process, which was left alone
