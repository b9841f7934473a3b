"""The dashboards ask only for what results have, and a real InfluxDB answers every panel with data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

import streams
from streams.results.catalogue import CATALOGUE
from streams.results.influx import Influx, InfluxCredentials
from streams.results.influx_url import parse_influx
from streams.results.points import incident_point, loss_point
from tests.streams.results.factories import DAY, T, a_day, change
from tests.streams.results.test_stores import through_spool
from tests.support.influx import influxd

GRAFANA = Path(streams.__file__).parents[1] / "deploy" / "grafana"
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
_NAMES = re.compile(r'"([^"]+)"')
_OWN = re.compile(r'AS "([^"]+)"')


def _dashboard(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _questions() -> Iterator[tuple[str, str]]:
    """(where, InfluxQL) of every panel and variable."""
    for path in DASHBOARDS:
        board = _dashboard(path)
        for variable in board["templating"]["list"]:
            yield f"{path.stem}: {variable['name']}", variable["query"]
        for panel in board["panels"]:
            for target in panel["targets"]:
                yield f"{path.stem}: {panel['title']} {target['refId']}", target["query"]


QUESTIONS = dict(_questions())


def test_there_are_three_dashboards_with_ids_and_places_of_their_own() -> None:
    boards = [_dashboard(path) for path in DASHBOARDS]
    assert [board["title"] for board in boards] == ["Delivery and hops", "Devices and power", "District overview"]
    assert len({board["uid"] for board in boards}) == 3
    for board in boards:
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
        assert len(set(places)) == len(places) == len({panel["id"] for panel in board["panels"]})


def test_everything_asks_the_provisioned_source_in_influxql() -> None:
    text = (GRAFANA / "provisioning" / "datasources" / "linli.yml").read_text(encoding="utf-8")
    (source,) = yaml.safe_load(text)["datasources"]
    assert (source["type"], source["jsonData"]["version"]) == ("influxdb", "InfluxQL")
    for path in DASHBOARDS:
        uids = re.findall(r'"uid": "(linli-results|[^"]*influx[^"]*)"', path.read_text(encoding="utf-8"))
        assert set(uids) == {source["uid"]}
    (provider,) = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "linli.yml").read_text())["providers"]
    assert provider["options"]["path"] == "/etc/grafana/dashboards"


@pytest.mark.parametrize("where", QUESTIONS)
def test_a_panel_names_only_measurements_tags_and_fields_that_exist(where: str) -> None:
    text = QUESTIONS[where]
    names = set(_NAMES.findall(text))
    measurements = names & set(CATALOGUE)
    assert measurements, text
    known = {name for m in measurements for name in (*CATALOGUE[m].tags, *CATALOGUE[m].fields)}
    assert names - measurements - known - set(_OWN.findall(text)) == set(), text


@pytest.mark.service
@pytest.mark.patient
def test_a_real_influxdb_answers_every_panel_with_data(tmp_path: Path) -> None:
    points = [*a_day(), loss_point("quota", 3, T, "one")]
    kinds = [("acted", "seen"), ("withdrawn", "withdrawn")]
    for n, (kind, state) in enumerate(kinds):
        told = msgspec.structs.replace(change(1_000 + n, kind=kind), state=state)
        points.append(incident_point(told))
    points.append(incident_point(msgspec.structs.replace(change(2_000), severity="critical")))
    with influxd(tmp_path) as server:
        store = Influx(parse_influx(f"influx://127.0.0.1:{server.port}/linli?version=1"), InfluxCredentials())
        store.write(through_spool(points))
        empty = [where for where, text in QUESTIONS.items() if not _rows(store, text)]
        store.close()
    assert empty == []


def _rows(store: Influx, text: str) -> list[object]:
    """Return what a panel shows of the day, as Grafana would ask for it."""
    within = f"time >= {DAY.from_ms}ms AND time < {DAY.to_ms}ms"
    text = text.replace("$timeFilter", within).replace("$__interval", "10m").replace("/^$site$/", "/.*/")
    assert "$" not in text, text
    series = [series for result in store.ask(text).results for series in result.series]
    return [row for one in series for row in one.values if all(value is not None for value in row)]
