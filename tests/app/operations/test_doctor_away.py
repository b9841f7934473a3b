"""``linli doctor`` where servers are away, dead or paused: it ends in time, and says each trouble once."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import msgspec
import psutil
import pytest

from app.cli.doctor import _age_s
from app.operations.doctor.report import Check, CheckResult, Level, fail, ok
from app.operations.doctor.side_by_side import BOUND_S, LEAST_S, left_s, lines_of
from app.wiring.children import linli_arguments
from app.wiring.run_child import environment
from contracts.errors import Transient
from tests.support.whole_district import District, Plan, running_district

TRIES = 6
MOST_S = 30.0
"""Ten on a machine with nothing else to do: what is bound is tested below without a clock."""


def away() -> Iterator[CheckResult]:
    yield ok("a", "first")
    raise Transient("nobody answers")


def test_a_check_that_hangs_is_given_up_and_the_others_are_said() -> None:
    never = threading.Event()

    def hangs() -> Iterator[CheckResult]:
        yield ok("a", "first")
        never.wait()

    checks = [Check("a", hangs, "look at it"), Check("b", lambda: [ok("b", "fine")], "")]
    told = list(lines_of(checks, bound_s=0.2))
    assert told == [ok("a", "first"), fail("a", "no answer in time", "look at it"), ok("b", "fine")]
    never.set()


def test_a_slow_start_is_taken_from_the_time_of_the_checks() -> None:
    assert (left_s(0.0), left_s(5.0), left_s(1_000.0)) == (BOUND_S, BOUND_S - 5.0, LEAST_S)
    assert BOUND_S + 2.0 <= 10.0  # what is promised, with an end that takes its time too


def test_the_age_of_a_process_counts_from_its_start() -> None:
    age_s = time.time() - psutil.Process().create_time()
    assert abs(_age_s() - age_s) < 2.0


def test_checks_run_side_by_side() -> None:
    both = threading.Barrier(2, timeout=30)

    def meets(name: str) -> Sequence[CheckResult]:
        both.wait()
        return [ok(name, "met")]

    assert list(lines_of([Check(n, lambda n=n: meets(n), "") for n in "ab"])) == [ok("a", "met"), ok("b", "met")]  # type: ignore[misc]


def test_what_is_away_is_said_once_and_other_trouble_of_the_same_parts_too() -> None:
    def late() -> list[CheckResult]:
        return [ok("c", "fine"), fail("c", "its own trouble", "mend it")]

    checks = [
        Check("kafka", away, "start it"),
        Check("b", away, "start it", ("kafka",)),
        Check("c", late, "", ("kafka",)),
        Check("d", lambda: [ok("d", "fine")], "", ("x",)),
    ]
    assert [line for line in lines_of(checks) if line.what != "a"] == [
        fail("kafka", "nobody answers", "start it"),
        fail("c", "its own trouble", "mend it"),
        ok("d", "fine"),
    ]


@pytest.fixture(scope="module")
def district(tmp_path_factory: pytest.TempPathFactory) -> Iterator[District]:
    plan = Plan(partitions=8, incidents=1, results=True)
    with running_district(plan, tmp_path_factory.mktemp("district")) as opened:
        opened.start("incidents-0", "worker-0")
        yield opened


def doctor(district: District) -> tuple[float, list[CheckResult]]:
    """How long it took, and what it says is wrong."""
    begun_s = time.monotonic()
    done = subprocess.run(
        linli_arguments("doctor", "--json"),
        cwd=district.folder,
        env=environment(district.environment()),
        capture_output=True,
        timeout=120,
        check=False,
    )
    took_s = time.monotonic() - begun_s
    lines = [msgspec.json.decode(line, type=CheckResult) for line in done.stdout.splitlines()]
    assert done.returncode == 1, done.stderr
    assert b"Traceback" not in done.stderr
    return took_s, [line for line in lines if line.level is Level.FAIL]


@pytest.mark.service
@pytest.mark.patient
@pytest.mark.slow
@pytest.mark.parametrize("part", ["kafka", "mosquitto", "postgres", "influx"])
@pytest.mark.parametrize("how", ["killed", "paused"])
def test_it_ends_soon_and_says_once_whatever_server_is_away(district: District, part: str, how: str) -> None:
    server = district.parts[part]
    family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    if how == "killed":
        server.kill()
    else:
        _each(family, psutil.Process.suspend)
    what = {"mosquitto": "mqtt", "postgres": "incidents", "influx": "results"}.get(part, part)
    try:
        for _ in range(TRIES):  # on a busy machine others do not answer in time either
            took_s, wrong = doctor(district)
            if not any(line.detail == "no answer in time" for line in wrong if line.what != what):
                break
    finally:
        server.start() if how == "killed" else _each(family, psutil.Process.resume)
    assert [line.what for line in wrong if line.what != "inventory"] == [what], wrong  # which is empty here
    assert took_s < MOST_S, wrong


def _each(processes: Sequence[psutil.Process], do: Callable[[psutil.Process], object]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            do(process)
