"""What an InfluxDB may answer, and what becomes of the points: nothing lost, nothing kept twice, nobody in the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from contracts.errors import Transient
from contracts.secrets import Secret
from ingest.session.broker import free_port
from streams.results.answers import failure_of, retry_after_s
from streams.results.influx import Influx, InfluxCredentials
from streams.results.influx_url import parse_influx
from streams.results.lines import line_of
from streams.results.points import Point, point
from streams.results.sender import Backoff, ResultsAlarm, ResultsSender
from streams.results.spool import PointSpool, SourceBatch
from streams.results.target import PointsRefused, PointStore, StoreMisconfigured, TooLarge
from tests.streams.results.factories import Keeping, T
from tests.support.folders import fast_folder
from tests.support.strict_influx import StrictInflux, Verdict

VERSIONS = ["version=1", "version=2&org=linli", "version=3"]


class Way:
    """A spool, a store and what the operators were told."""

    def __init__(self, folder: Path, target: PointStore) -> None:
        self.spool = PointSpool(folder / "spool.db")
        self.told: list[tuple[ResultsAlarm, str]] = []
        self.sender = ResultsSender(
            self.spool, target, lambda: T, lambda alarm, detail: self.told.append((alarm, detail))
        )

    def put(self, points: list[Point], cursor: int = 1) -> None:
        self.spool.append([SourceBatch("test", "one", cursor, points)], T)

    def run_until(self, done: Callable[[], bool]) -> None:
        """Run the sender's thread until ``done``."""
        stop = threading.Event()
        thread = threading.Thread(target=self.sender.run, args=(stop,))
        thread.start()
        end_s = time.monotonic() + 60
        while not done() and time.monotonic() < end_s:
            time.sleep(0.01)
        stop.set()
        thread.join()
        assert done()

    def empty(self) -> bool:
        return self.spool.depth().points == 0


@contextmanager
def way_to(port: int, version: str, timeout_s: float = 10.0) -> Iterator[Way]:
    target = Influx(
        parse_influx(f"influx://127.0.0.1:{port}/linli?{version}"),
        InfluxCredentials(Secret("secret")),
        timeout_s=timeout_s,
    )
    with fast_folder() as folder:
        way = Way(folder, target)
        try:
            yield way
        finally:
            way.spool.close()
            target.close()


def losses(count: int) -> list[Point]:
    """Points of different times."""
    return [point("losses", {"cause": "log"}, {"n": n}, T + n) for n in range(count)]


@pytest.mark.parametrize("version", VERSIONS)
def test_points_arrive_compressed_on_the_path_of_their_version(version: str) -> None:
    with StrictInflux() as server, way_to(server.port, version) as way:
        way.put(losses(3))
        assert way.sender.step() == 3
        assert way.sender.step() == 0
        assert server.wrong == []
        assert server.requests == [[line_of(p) for p in losses(3)]]
        assert way.empty()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_when_it_wishes(version: str, status: int) -> None:
    answers = [Verdict(status, "busy", {"Retry-After": "7"}), Verdict()]
    with StrictInflux(lambda _lines: answers.pop(0)) as server, way_to(server.port, version) as way:
        way.put(losses(2))
        with pytest.raises(Transient) as caught:
            way.sender.step()
        assert caught.value.retry_after_s == 7.0
        assert Backoff(5).wait_s(caught.value) == 7.0
        assert way.spool.depth().points == 2
        assert way.sender.step() == 2
        assert len(server.kept) == 2


@pytest.mark.parametrize("version", VERSIONS)
def test_a_bad_point_is_kept_aside_and_its_neighbours_are_written(version: str) -> None:
    def judge(lines: list[str]) -> Verdict:
        good = tuple(line for line in lines if " n=500i " not in line)
        return Verdict() if len(good) == len(lines) else Verdict(400, "partial write: field type conflict", keeps=good)

    with StrictInflux(judge) as server, way_to(server.port, version) as way:
        way.put(losses(1_200))
        while way.sender.step():
            pass
        assert len(server.kept) == 1_199
        assert [bad.point for _, bad in way.spool.rejected(10)] == [losses(501)[500]]
        assert "field type conflict" in way.spool.rejected(10)[0][1].reason
        assert (way.spool.depth().rejected, way.empty()) == (1, True)
        assert [alarm for alarm, detail in way.told if detail] == [ResultsAlarm.REJECTED]


def test_points_older_than_the_server_keeps_are_no_fault_of_their_neighbours() -> None:
    body = '{"error":"partial write: points beyond retention policy dropped=2"}'
    with StrictInflux(lambda _lines: Verdict(400, body)) as server, way_to(server.port, "version=1") as way:
        way.put(losses(5))
        assert way.sender.step() == 5
        assert (len(server.requests), way.spool.depth().rejected) == (1, 0)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_that_takes_less_at_a_time_gets_less(version: str) -> None:
    def judge(lines: list[str]) -> Verdict:
        return Verdict(413, "too large") if len(lines) > 100 else Verdict()

    with StrictInflux(judge) as server, way_to(server.port, version) as way:
        way.put(losses(900))
        assert way.sender.step() == 900
        assert len(server.kept) == 900
        assert way.spool.depth().rejected == 0


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("status", [401, 403, 404])
def test_wrong_credentials_alarm_and_keep_everything(version: str, status: int) -> None:
    answers = [Verdict(status, "unauthorized access"), Verdict()]
    with StrictInflux(lambda _lines: answers.pop(0)) as server, way_to(server.port, version) as way:
        way.put(losses(2))
        with pytest.raises(StoreMisconfigured, match=r"results\.token_file"):
            way.sender.step()
        way.put(losses(4)[2:], cursor=2)
        assert way.spool.depth().points == 4
        assert way.sender.step() == 4
        assert len(server.kept) == 4


@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_that_is_not_there_keeps_points_in_the_spool(version: str) -> None:
    with way_to(free_port(), version) as way:
        way.put(losses(2))
        with pytest.raises(Transient, match="does not answer"):
            way.sender.step()
        assert way.spool.depth().points == 2


@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_that_hangs_is_left_and_asked_again(version: str) -> None:
    with StrictInflux() as server, way_to(server.port, version, timeout_s=2.0) as way:
        way.put(losses(2))
        server.hang.set()
        with pytest.raises(Transient, match="does not answer"):
            way.sender.step()
        server.hang.clear()
        server.let_go.set()
        assert way.sender.step() == 2
        assert len(server.kept) == 2


def test_the_thread_goes_on_by_itself_and_the_alarm_ends() -> None:
    with fast_folder() as folder:
        target = Keeping()
        way = Way(folder, target)
        way.put(losses(3))
        target.away = Transient("busy", retry_after_s=0.0)
        way.run_until(lambda: target.writes > 2)
        target.away = None
        way.run_until(way.empty)
        way.spool.close()
    assert len(target.points) == 3
    assert way.told[0] == (ResultsAlarm.AWAY, "busy")
    assert way.told[-1] == (ResultsAlarm.AWAY, "")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (204, "", type(None)),
        (200, "{}", type(None)),
        (400, "unable to parse", PointsRefused),
        (422, "failure writing points", PointsRefused),
        (422, "partial write: points beyond retention policy dropped=1", type(None)),
        (413, "", TooLarge),
        (401, "", StoreMisconfigured),
        (403, "", StoreMisconfigured),
        (404, "database not found", StoreMisconfigured),
        (429, "", Transient),
        (500, "timeout", Transient),
        (503, "", Transient),
        (302, "", Transient),
        (0, "certificate", Transient),
    ],
)
def test_every_answer_means_one_thing(status: int, body: str, kind: type) -> None:
    assert type(failure_of(status, body, None, T)) is kind


def test_retry_after_is_read_as_seconds_and_as_a_date() -> None:
    assert retry_after_s("120", T) == 120.0
    assert retry_after_s("Mon, 23 Nov 2026 03:34:20 GMT", 1_795_404_850_000) == 10.0
    assert retry_after_s("Mon, 23 Nov 2020 03:34:20 GMT", T) == 0.0
    assert retry_after_s("soon", T) is None
    assert retry_after_s(None, T) is None


def test_waits_grow_to_a_minute_and_a_person_is_waited_for() -> None:
    assert [Backoff(n).wait_s(Transient("x")) for n in (0, 1, 2, 6, 50)] == [1.0, 2.0, 4.0, 60.0, 60.0]
    assert Backoff(0).wait_s(StoreMisconfigured("x")) == 30.0
