"""Gapless numbers in order of commit, and the cursors of readers, kept in the writer's own transaction."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, insert, select, update

from incidents.store.schema import counters, day_numbers

_ADD = (
    update(counters)
    .where(counters.c.name == bindparam("of"))
    .values(value=counters.c.value + bindparam("more"))
    .returning(counters.c.value)
)
_NEXT_OF_DAY = (
    update(day_numbers)
    .where(day_numbers.c.site_id == bindparam("site"), day_numbers.c.day == bindparam("of"))
    .values(last=day_numbers.c.last + 1)
    .returning(day_numbers.c.last)
)
_READ = select(counters.c.value).where(counters.c.name == bindparam("of"))
_READ_ALL = select(counters).where(counters.c.name.in_(bindparam("names", expanding=True)))
_SET = update(counters).where(counters.c.name == bindparam("of")).values(value=bindparam("to"))


class Sequences:
    """Sequences and cursors within one transaction that writes: read once, written once, since it is the only one.

    Args:
        names: of the counters; nobody may use :func:`allot` on them until they are written.
    """

    def __init__(self, connection: Connection, names: Iterable[str]) -> None:
        self._connection = connection
        rows = connection.execute(_READ_ALL, {"names": list(names)})
        self._stored: dict[str, int] = {row.name: int(row.value) for row in rows}
        self._now = dict(self._stored)

    def next(self, name: str) -> int:
        """Return the next number of a sequence; the first ever is 1."""
        self._now[name] = number = self._now.get(name, 0) + 1
        return number

    def reach(self, name: str, value: int) -> None:
        """Move a cursor on to ``value``; never back."""
        if value > self._now.get(name, 0):
            self._now[name] = value

    def write(self) -> None:
        """Write those that moved."""
        moved = {name: value for name, value in self._now.items() if value != self._stored.get(name)}
        known = [{"of": name, "to": value} for name, value in moved.items() if name in self._stored]
        new = [{"name": name, "value": value} for name, value in moved.items() if name not in self._stored]
        if known:
            self._connection.execute(_SET, known)
        if new:
            self._connection.execute(insert(counters), new)
        self._stored |= moved


def allot(connection: Connection, name: str, count: int = 1) -> int:
    """Return the first of ``count`` new numbers of the sequence ``name``; the first ever is 1.

    The row is locked until the transaction ends, so numbers become visible in their order.
    """
    value = connection.execute(_ADD, {"of": name, "more": count}).scalar()
    if value is None:
        connection.execute(insert(counters).values(name=name, value=count))
        value = count
    return int(value) - count + 1


def current(connection: Connection, name: str) -> int:
    """Return the last number allotted, or where the cursor ``name`` stands; 0 before the first."""
    return int(connection.execute(_READ, {"of": name}).scalar() or 0)


def advance(connection: Connection, name: str, value: int) -> None:
    """Set the cursor ``name``."""
    changed = connection.execute(update(counters).where(counters.c.name == name).values(value=value)).rowcount
    if not changed:
        connection.execute(insert(counters).values(name=name, value=value))


def allot_day_number(connection: Connection, site_id: str, day: str) -> int:
    """Return the next number of a site's day, from 1. ``day`` is ``YYYYMMDD`` in site time."""
    number = connection.execute(_NEXT_OF_DAY, {"site": site_id, "of": day}).scalar()
    if number is None:
        connection.execute(insert(day_numbers).values(site_id=site_id, day=day, last=1))
        return 1
    return int(number)
