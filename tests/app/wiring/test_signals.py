"""A process that is asked to end does, whatever its main thread holds at that moment."""

import subprocess
import sys

import pytest

# The main thread holds the lock of the event, as it does for a moment in every wait, when the signal comes.
HELD = """
import os, signal, threading
from app.wiring.process import on_signal

lock, ended = threading.Lock(), threading.Event()

def end():
    with lock:
        ended.set()

on_signal(end)
with lock:
    os.kill(os.getpid(), signal.{name})
print(ended.wait(20))
"""
INTERRUPTED = """
import os, signal, threading
from app.wiring.process import on_signal

ended = threading.Event()
on_signal(ended.set, interrupts=lambda: True)
try:
    os.kill(os.getpid(), signal.{name})
    threading.Event().wait(20)
except KeyboardInterrupt:
    print(ended.wait(20))
"""


def _said(code: str, name: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", code.format(name=name)], capture_output=True, text=True, timeout=40, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_a_process_whose_main_thread_holds_a_lock(name: str) -> None:
    assert _said(HELD, name) == (0, "True\n")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_interrupts_the_main_thread_where_that_is_wanted(name: str) -> None:
    assert _said(INTERRUPTED, name) == (0, "True\n")
