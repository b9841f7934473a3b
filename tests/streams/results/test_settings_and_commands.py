"""Where results go is said by settings; what waits and what was refused is said by ``linli results``."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import streams
from app.cli.results import command
from app.settings.loading import load_settings
from app.wiring.results import open_results
from contracts.errors import ConfigurationError
from streams.results.catalogue import CATALOGUE
from streams.results.influx_url import InfluxAddress, parse_influx
from streams.results.points import point
from streams.results.spool import PointSpool, SourceBatch
from streams.results.sqlite import SqliteResults
from streams.results.target import RejectedPoint
from tests.streams.results.factories import T


def test_each_version_is_addressed_by_its_own_words() -> None:
    assert parse_influx("influx://h/linli?version=1&rp=year") == InfluxAddress(
        host="h", port=8086, database="linli", version=1, retention_policy="year"
    )
    assert parse_influx("influx://h:9/a%20b?org=o&tls=true").base == "https://h:9"
    assert parse_influx("influx://[::1]/b?version=3").base == "http://[::1]:8181"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("influx://h", "names no database"),
        ("influx://h/a/b?version=1", "names no database"),
        ("influx:///b?version=1", "names no host"),
        ("influx://h:port/b", "port"),
        ("influx://h/b", "needs org"),
        ("influx://h/b?version=4", "'4' is not 1, 2 or 3"),
        ("influx://h/b?version=1&tls=yes", "tls='yes'"),
        ("influx://h/b?version=1&bucket=x", "'bucket' is not known"),
        ("influx://me:secret@h/b?version=1", "results.password_file"),
    ],
)
def test_a_url_that_is_wrong_says_what_and_shows_no_secret(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(None, {"LINLI_RESULTS_URL": url})
    assert said in str(caught.value)
    with pytest.raises(ConfigurationError) as alone:
        parse_influx(url)
    assert "secret" not in str(alone.value)


def test_credentials_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\n", encoding="utf-8")
    environ = {"LINLI_RESULTS_URL": "influx://h/b?org=o", "LINLI_RESULTS_TOKEN_FILE": str(tmp_path / "token")}
    open_results(load_settings(None, environ)).close()
    missing = environ | {"LINLI_RESULTS_TOKEN_FILE": str(tmp_path / "none")}
    with pytest.raises(ConfigurationError, match=r"results\.token_file"):
        open_results(load_settings(None, missing))


def test_without_an_influxdb_results_lie_beside_the_log(tmp_path: Path) -> None:
    store = open_results(load_settings(None, {"LINLI_RESULTS_URL": f"sqlite:///{tmp_path}/results.db"}))
    assert isinstance(store, SqliteResults)
    store.close()


def test_the_command_shows_what_waits_and_what_was_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "spool.db"
    monkeypatch.setenv("LINLI_RESULTS_SPOOL", str(path))
    assert "nothing has run here yet" in str(CliRunner().invoke(command, ["status"]).exception)
    spool = PointSpool(path)
    points = [point("losses", {"cause": "log"}, {"n": n}, T + n) for n in range(2)]
    spool.append([SourceBatch("f", "one", 1, points)], T)
    spool.done([], [RejectedPoint(points[0], "field type conflict")], T)
    spool.close()
    status = CliRunner().invoke(command, ["status"])
    assert dict(line.split("\t") for line in status.stdout.splitlines())["waiting"] == "2"
    assert "rejected\t1" in status.stdout
    refused = CliRunner().invoke(command, ["rejected"])
    assert "field type conflict\tlosses,cause=log n=0i" in refused.stdout


def test_the_page_on_results_names_every_measurement_tag_and_field() -> None:
    page = (Path(streams.__file__).parents[1] / "docs" / "results.md").read_text(encoding="utf-8")
    for name, measurement in CATALOGUE.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        named = {field for field in measurement.fields if not field.startswith("within_")}
        missing = [word for word in (*measurement.tags, *named) if f"`{word}`" not in row]
        assert missing == [], name
