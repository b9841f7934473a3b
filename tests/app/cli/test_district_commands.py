"""Commands of one machine and of a district refuse each other's log, and say which command serves it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app import main
from app.settings.loading import load_settings
from app.wiring.ingest import client_id_of
from app.wiring.run_child import environment


def _linli(monkeypatch: pytest.MonkeyPatch, folder: Path, log_url: str, *arguments: str) -> int:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LINLI_LOG_URL", log_url)
    monkeypatch.setattr(sys, "argv", ["linli", *arguments])
    with pytest.raises(SystemExit) as stop:
        main.main()
    assert isinstance(stop.value.code, int)
    assert list(folder.iterdir()) == []
    return stop.value.code


def test_one_machines_command_on_a_districts_log_names_the_districts_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _linli(monkeypatch, tmp_path, "kafka://127.0.0.1:1", "run") == 2
    said = capsys.readouterr().err
    for command in ("topics create", "ingest run", "streams run", "incidents run", "console run", "results run"):
        assert f"`linli {command}`" in said


def test_a_districts_command_on_one_machines_log_names_linli_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _linli(monkeypatch, tmp_path, "sqlite:///data", "ingest", "run", "--shard", "0/2") == 2
    assert "which `linli run` serves" in capsys.readouterr().err


@pytest.mark.parametrize("shard", ["2/2", "1", "-1/2", "0/0", "a/b"])
def test_a_shard_that_is_none_is_a_usage_error(
    shard: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _linli(monkeypatch, tmp_path, "kafka://127.0.0.1:1", "ingest", "run", f"--shard={shard}") == 2
    assert "expected i/n with i from 0 to n - 1" in capsys.readouterr().err


def test_a_shards_session_name_holds_its_division_so_none_resumes_anothers() -> None:
    plain = load_settings(environ={})
    named = load_settings(environ={"LINLI_MQTT_CLIENT_ID": "north"})
    assert client_id_of(plain, 0, 1) == "linli-ingest-0"
    assert client_id_of(named, 0, 1) == "north"
    assert [client_id_of(plain, n, 2) for n in (0, 1)] == ["linli-ingest-0-of-2", "linli-ingest-1-of-2"]
    assert client_id_of(named, 1, 3) == "north-1-of-3"


@pytest.mark.parametrize(
    ("command", "missing", "extra"),
    [
        ("incidents run", "kafka", "cluster"),
        ("incidents run", "psycopg", "cluster"),
        ("console run", "kafka", "cluster"),
        ("streams run", "faust", "cluster"),
        ("console run", "fastapi", "console"),
        ("models check linli.toml", "onnxruntime", "edge"),
        ("edge analyze linli.toml --camera linli.toml", "cv2", "edge"),
    ],
)
def test_without_the_packages_of_an_extra_its_commands_say_what_to_install(
    command: str, missing: str, extra: str, tmp_path: Path
) -> None:
    script = f"import sys; sys.modules[{missing!r}] = None; from app.main import main; main()"
    told = {"LINLI_LOG_URL": "kafka://127.0.0.1:1", "LINLI_INCIDENTS_URL": "postgresql://u@127.0.0.1:1/d"}
    (tmp_path / "linli.toml").touch()
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, *command.split()],
        cwd=tmp_path,
        env=environment(told),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert f"`pip install 'linli[{extra}]'`" in done.stderr.splitlines()[-1]
