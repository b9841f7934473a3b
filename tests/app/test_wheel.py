"""What a user installs: the wheel, in an empty venv, in an empty folder, without a network."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
BRING_UP_LOOPBACK = (
    "import fcntl,os,socket,struct,sys\n"
    "s=socket.socket();fcntl.ioctl(s,0x8914,struct.pack('16sh14s',b'lo',0x41,b''))\n"  # SIOCSIFFLAGS: up, running
    "os.execvp(sys.argv[1],sys.argv[1:])"
)

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def linli(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``linli`` command of the wheel, installed with the versions of the lock."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(REPOSITORY)], check=True
    )
    (wheel,) = folder.glob("linli-*.whl")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    lock = (REPOSITORY / "deploy" / "requirements.lock").read_text(encoding="utf-8")
    versions = folder / "versions.txt"
    versions.write_text("\n".join(re.findall(r"^[a-z0-9_.-]+==[^ ]+", lock, re.MULTILINE)), encoding="utf-8")
    subprocess.run(
        [*pip, "--python", str(python), "install", "--constraint", str(versions), f"{wheel}[edge,console]"], check=True
    )
    return folder / "venv" / "bin" / "linli"


def _run(linli: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it without a network where we may make one without, and always without this repository."""
    command = [str(linli), *arguments]
    unshare = shutil.which("unshare")
    if unshare and os.geteuid() == 0:
        command = [unshare, "--net", sys.executable, "-c", BRING_UP_LOOPBACK, *command]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def test_simulate_and_replay_run_in_an_empty_folder(linli: Path, tmp_path: Path) -> None:
    made = _run(
        linli,
        tmp_path,
        "simulate",
        "--seed",
        "3",
        "--days",
        "1",
        "--sites",
        "1",
        "--out",
        "e.jsonl",
        "--truth",
        "t.jsonl",
    )
    assert made.returncode == 0, made.stderr
    judged = _run(linli, tmp_path, "replay", "e.jsonl", "--json")
    assert judged.returncode == 0, judged.stderr
    lines = [json.loads(line) for line in judged.stdout.splitlines()]
    assert len({line["finding_id"] for line in lines}) == len(lines) > 10


def test_the_pages_are_in_the_wheel_and_its_example_loads(linli: Path, tmp_path: Path) -> None:
    page = _run(linli, tmp_path, "docs", "runbook")
    assert page.returncode == 0, page.stderr
    assert page.stdout == (REPOSITORY / "docs" / "runbook.md").read_text(encoding="utf-8")
    (tmp_path / "mine.toml").write_text(_run(linli, tmp_path, "docs", "inventory").stdout, encoding="utf-8")
    loaded = _run(linli, tmp_path, "inventory", "load", "mine.toml")
    assert loaded.returncode == 0, loaded.stderr


def test_analyze_runs_in_an_empty_folder(linli: Path, tmp_path: Path) -> None:
    python = linli.parent / "python"
    rendered = subprocess.run(
        [str(python), "-m", "simulator.scenes", "facade", "--seed", "5", "--seconds", "20", "--out", "f.mp4"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert rendered.returncode == 0, rendered.stderr
    (tmp_path / "c.toml").write_text('[camera]\nid = "c1"\nanalysers = ["high_altitude_throw"]\n', encoding="utf-8")
    result = _run(linli, tmp_path, "edge", "analyze", "f.mp4", "--camera", "c.toml", "--json")
    assert result.returncode == 0, result.stderr
    assert all(json.loads(line)["kind"] == "object_fell" for line in result.stdout.splitlines())


def test_the_demo_runs_in_an_empty_folder(linli: Path, tmp_path: Path) -> None:
    result = _run(linli, tmp_path, "demo", "--seconds", "5", "--headless", "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["lost"] == report["duplicates"] == 0
    assert report["events"] > 1000
