"""``linli replay``: findings of a file as JSON lines, the same every time, from the file alone."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from app.main import linli
from contracts.errors import ConfigurationError
from contracts.events import DeviceReported, ObjectFell
from contracts.findings import Finding
from contracts.names import DeviceClass
from tests.streams.support import access, device, of

FELL = of(
    ObjectFell, "f1", 1_000, "cam1", track_id=1, started_ms=0, duration_ms=900, calibrated=True, drop_m=20.0, seq=1
)


def _replay(*arguments: str | Path) -> Result:
    return CliRunner().invoke(linli, ["replay", *map(str, arguments)])


@pytest.fixture
def events_file(tmp_path: Path) -> Path:
    camera = device(1, 0, "cam1", device_class=DeviceClass.CAM)
    later = of(DeviceReported, "r1", 30_000, "cam1", seq=2)
    lines = [msgspec.json.encode(event) for event in (camera, FELL, access("x", 2_000, "d9"), later)]
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join([*lines, b"rubbish"]))
    return path


def test_findings_are_json_lines_on_stdout_and_the_rest_is_on_stderr(events_file: Path) -> None:
    result = _replay(events_file, "--json")
    (found,) = [msgspec.json.decode(line, type=Finding) for line in result.stdout.splitlines()]
    assert (result.exit_code, found.rule, found.site_id, found.onset_event_id) == (
        0,
        "high_altitude_throw",
        "s1",
        "f1",
    )
    assert "3 events" in result.stderr
    assert "skipped, not_configured: 1, first in line 3" in result.stderr
    assert "skipped, not_json: 1, first in line 5" in result.stderr
    assert "pending devices: 1" in result.stderr


def test_without_json_a_finding_is_one_readable_line(events_file: Path) -> None:
    (line,) = _replay(events_file).stdout.splitlines()
    assert " s1 high_altitude_throw open critical " in line


def test_settings_and_environment_play_no_part_and_nothing_is_written(
    events_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = _replay(events_file, "--json").stdout
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LINLI_LOG_URL", "nonsense")
    (tmp_path / "linli.toml").write_text("[nonsense]\n", encoding="utf-8")
    before = sorted(path.name for path in tmp_path.iterdir())
    assert _replay(events_file, "--json").stdout == plain
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_file_that_cannot_be_read_is_a_configuration_error(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        result = _replay(path)
        assert isinstance(result.exception, ConfigurationError)
        assert f"cannot read {path}" in str(result.exception)


def test_a_file_without_a_single_event_fails(tmp_path: Path) -> None:
    path = tmp_path / "rubbish"
    path.write_bytes(b"rubbish\n")
    result = _replay(path)
    assert (result.exit_code, result.stdout) == (1, "")
