"""Runs the doctor's checks: each in a thread of its own, none longer than a bound, each trouble said once."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Sequence

from app.operations.doctor.report import Check, CheckResult, Level, fail
from app.operations.error_lines import told_in_a_line

BOUND_S = 8.0
"""How long all of it may take, from the start of the process: what answers at all does so within a second or two, and
people wait for the whole.
"""
LEAST_S = 2.0
"""What the checks are given on a machine so busy that it took long to load them."""


def left_s(process_age_s: float) -> float:
    """Return how long the checks may take in a process of this age, both in seconds.

    >>> left_s(1.5), left_s(60.0)
    (6.5, 2.0)
    """
    return max(BOUND_S - process_age_s, LEAST_S)


class _Running:
    """One check under way. Its thread is abandoned when it takes too long: it only looks."""

    def __init__(self, check: Check) -> None:
        self.check = check
        self._said: queue.SimpleQueue[CheckResult | Exception | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=f"doctor-{check.what}", daemon=True).start()

    def lines(self, until_s: float) -> tuple[list[CheckResult], bool]:
        """Return what it found, and whether it could look: False when what it needs is away."""
        lines: list[CheckResult] = []
        while True:
            try:
                said = self._said.get(timeout=max(0.0, until_s - time.monotonic()))
            except queue.Empty:
                return [*lines, self._failed("no answer in time")], False
            match said:
                case None:
                    return lines, True
                case CheckResult():
                    lines.append(said)
                case _:
                    told = told_in_a_line(said)
                    if told is None:
                        raise said
                    return [*lines, self._failed(told)], False

    def _failed(self, detail: str) -> CheckResult:
        return fail(self.check.what, detail, self.check.remedy)

    def _run(self) -> None:
        try:
            for line in self.check.look():
                self._said.put(line)
            self._said.put(None)
        except Exception as error:  # noqa: BLE001 - raised where the lines are taken
            self._said.put(error)


def lines_of(checks: Sequence[Check], bound_s: float = BOUND_S) -> Iterator[CheckResult]:
    """Return every check's lines, in order; one that cannot be made is a line itself.

    What a check needs is another check, by its name, before it: where that one could not look, this one says nothing
    of its own failure to look, which has the same cause.

    Args:
        bound_s: seconds from now in which all of them end.
    """
    until_s = time.monotonic() + bound_s
    running = [_Running(check) for check in checks]
    away: set[str] = set()
    for one in running:
        lines, looked = one.lines(until_s)
        known = bool(away.intersection(one.check.needs))
        if not looked:
            away.add(one.check.what)
            lines = lines[:-1] if known else lines
        yield from (line for line in lines if not known or line.level is not Level.OK)
