"""What the doctor says: a line a check, with what to do where something is wrong."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable

import msgspec

from contracts.durations import DAY_MS, HOUR_MS


class Level(enum.StrEnum):
    """How it stands. Only ``fail`` makes the exit code 1."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class CheckResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One finding of the doctor. ``remedy`` is what to do, empty where nothing needs doing."""

    level: Level
    what: str
    detail: str
    remedy: str = ""


class Check(msgspec.Struct, frozen=True):
    """One thing to look at; ``remedy`` is for when looking itself fails. ``needs``: the checks that fail with it when
    what all of them ask is away.
    """

    what: str
    look: Callable[[], Iterable[CheckResult]]
    remedy: str
    needs: tuple[str, ...] = ()


def ok(what: str, detail: str) -> CheckResult:
    """Return the result that all is well."""
    return CheckResult(Level.OK, what, detail)


def warn(what: str, detail: str, remedy: str) -> CheckResult:
    """Return the result that it works, and should be looked at."""
    return CheckResult(Level.WARN, what, detail, remedy)


def fail(what: str, detail: str, remedy: str) -> CheckResult:
    """Return the result that it does not work, or soon will not."""
    return CheckResult(Level.FAIL, what, detail, remedy)


def text_of(line: CheckResult) -> str:
    """Return the line for people."""
    remedy = f"\n      → {line.remedy}" if line.remedy else ""
    return f"{line.level:5} {line.what}: {line.detail}{remedy}"


def age(ms: int) -> str:
    """Return a duration for people.

    >>> age(90_000), age(7_200_000), age(172_800_000)
    ('90 s', '2.0 h', '2.0 days')
    """
    if ms < HOUR_MS:
        return f"{ms / 1000:.0f} s"
    return f"{ms / HOUR_MS:.1f} h" if ms < DAY_MS else f"{ms / DAY_MS:.1f} days"
