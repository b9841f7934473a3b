"""A process that is asked to end does, whatever its main thread holds at that moment."""

import subprocess
import sys

import pytest

# The main thread holds the lock of the event, as it does for a moment in every wait, when the signal comes.
HELD = """
import os, signal, threading, time
from app.wiring.process import on_signal

lock, ended = threading.Lock(), threading.Event()

def end():
    with lock:
        ended.set()

on_signal(end)
with lock:
    os.kill(os.getpid(), signal.{name})
    time.sleep(0.1)
print(ended.wait(20))
"""
INTERRUPTED = """
import os, signal, threading, time
from app.wiring.process import on_signal

ended = threading.Event()
on_signal(ended.set, interrupts=lambda: True)
try:
    os.kill(os.getpid(), signal.{name})
    time.sleep(20)
except KeyboardInterrupt:
    print(ended.wait(20))
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("code", [HELD, INTERRUPTED], ids=["lock held", "interrupted"])
def test_a_signal_ends_a_process_whose_main_thread_holds_a_lock(name: str, code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code.format(name=name)], capture_output=True, text=True, timeout=40, check=False
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
