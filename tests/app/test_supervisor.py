"""The supervisor of a worker, as a process of its own over a stand-in worker."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.service
_SUPERVISOR = """
import sys
from app.workers.supervisor import Supervisor
worker = [sys.executable, "-c", "import time; print('worker', flush=True); time.sleep(600)"]
sys.exit(Supervisor(worker, print).run())
"""


def test_asked_to_end_while_its_worker_is_still_starting_it_ends_in_order() -> None:
    with subprocess.Popen([sys.executable, "-c", _SUPERVISOR], stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == b"worker\n"
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(60) == 0
