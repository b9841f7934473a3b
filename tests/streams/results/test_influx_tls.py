"""InfluxDB over https: written and read with its authority named, and one sentence where it cannot be believed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from app.settings.loading import load_settings
from app.wiring.results import open_results
from contracts.errors import ConfigurationError, Transient
from contracts.secrets import Secret
from streams.results.influx import Influx, InfluxCredentials
from streams.results.influx_url import parse_influx
from streams.results.query import Results
from streams.results.target import StoreMisconfigured
from system.tls import TlsFiles
from tests.streams.results.factories import DAY, a_day
from tests.support.authority import EXPIRED, FUTURE, GOOD, Authority
from tests.support.influx import Server, influxd, victoria_metrics

SERVERS: dict[int, Callable[..., AbstractContextManager[Server]]] = {1: influxd, 2: victoria_metrics}

pytestmark = [pytest.mark.service, pytest.mark.patient]


def _url(server: Server, version: int, host: str = "127.0.0.1") -> str:
    return f"influx://{host}:{server.port}/linli?version={version}&org=linli&tls=true"


def test_what_is_written_over_tls_is_read_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with influxd(tmp_path, chain=authority.chain("influx")) as server:
        given = {"LINLI_RESULTS_URL": _url(server, 1), "LINLI_RESULTS_CA_FILE": str(authority.ca_file)}
        store = open_results(load_settings(None, given))
        store.write(list(a_day()))
        assert Results(store).incidents_per_hour(DAY)
        store.close()


@pytest.mark.parametrize("version", SERVERS)
@pytest.mark.parametrize(
    ("days", "trusted", "said"),
    [
        (GOOD, "another", "of no authority that we trust: name its authority in results.ca_file"),
        (EXPIRED, "its", "has expired, or this machine's clock (2"),
        (FUTURE, "its", "is not valid yet, or this machine's clock (2"),
    ],
)
def test_a_certificate_that_must_not_be_believed_is_one_sentence(
    tmp_path: Path, version: int, days: tuple[int, int], trusted: str, said: str
) -> None:
    authority, other = Authority(tmp_path / "ours"), Authority(tmp_path / "other", "another authority")
    ca_file = authority.ca_file if trusted == "its" else other.ca_file
    with SERVERS[version](tmp_path, chain=authority.chain("influx", days)) as server:
        store = Influx(
            parse_influx(_url(server, version)), InfluxCredentials(), TlsFiles(table="results", ca_file=ca_file)
        )
        for ask in (lambda: store.write(list(a_day())), lambda: store.ask("SHOW DATABASES")):
            with pytest.raises(Transient, match="does not answer: the certificate of the other side") as caught:
                ask()
            assert said in str(caught.value)
        store.close()


def test_https_at_a_port_without_it_is_said(tmp_path: Path) -> None:
    with influxd(tmp_path) as server:
        store = Influx(parse_influx(_url(server, 1)), InfluxCredentials())
        with pytest.raises(Transient, match="the other side does not speak TLS at this port"):
            store.ask("SHOW DATABASES")
        store.close()


def test_a_wrong_password_says_which_settings(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with influxd(tmp_path, auth=True, chain=authority.chain("influx")) as server:
        files = TlsFiles(table="results", ca_file=authority.ca_file)
        store = Influx(parse_influx(_url(server, 1)), InfluxCredentials(user="linli", password=Secret("wr0ng")), files)
        with pytest.raises(StoreMisconfigured, match=r"check results\.url, results\.token_file and"):
            store.write(list(a_day()))
        store.close()


def test_a_file_without_certificates_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"results\.ca_file = .* cannot be used"):
        Influx(
            parse_influx("influx://h/linli?version=1&tls=true"),
            InfluxCredentials(),
            TlsFiles(table="results", ca_file=tmp_path / "missing"),
        )
