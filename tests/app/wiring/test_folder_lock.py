"""One process a data folder: the second is told who the first is; a killed one holds nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.wiring.folder_lock import FolderLock
from contracts.errors import ConfigurationError

HOLDER = """
import sys, time
from pathlib import Path
from app.wiring.folder_lock import FolderLock
with FolderLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_is_told_who_holds_the_folder_and_which_setting_names_it(tmp_path: Path) -> None:
    with FolderLock(tmp_path), pytest.raises(ConfigurationError) as refused:
        FolderLock(tmp_path, "[box] data").__enter__()
    assert str(refused.value) == (
        f"{tmp_path} is in use by process {os.getpid()}; stop it, or give this one another folder ([box] data)"
    )


def test_after_the_first_has_ended_the_next_may_begin(tmp_path: Path) -> None:
    for _ in range(2):
        with FolderLock(tmp_path / "new"):
            assert (tmp_path / "new" / "linli.lock").read_text() == f"process {os.getpid()}"


def test_a_refusal_leaves_the_owners_name(tmp_path: Path) -> None:
    with FolderLock(tmp_path):
        for _ in range(2):
            with pytest.raises(ConfigurationError, match=f"process {os.getpid()}"):
                FolderLock(tmp_path).__enter__()


@pytest.mark.service
def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(ConfigurationError, match=rf"in use by process {holder.pid};"):
        FolderLock(tmp_path).__enter__()
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with FolderLock(tmp_path):
        pass
