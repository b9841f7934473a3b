"""Gapless numbers in order of commit, and the cursors of readers, kept in the writer's own transaction."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, insert, select, update

from incidents.schema import counters, day_numbers

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


def allot(connection: Connection, name: str, count: int = 1) -> int:
    """The first of ``count`` new numbers of the sequence ``name``; the first ever is 1.

    The row is locked until the transaction ends, so numbers become visible in their order.
    """
    value = connection.execute(_ADD, {"of": name, "more": count}).scalar()
    if value is None:
        connection.execute(insert(counters).values(name=name, value=count))
        value = count
    return int(value) - count + 1


def current(connection: Connection, name: str) -> int:
    """The last number allotted, or where the cursor ``name`` stands; 0 before the first."""
    return int(connection.execute(_READ, {"of": name}).scalar() or 0)


def advance(connection: Connection, name: str, value: int) -> None:
    """Set the cursor ``name``."""
    changed = connection.execute(update(counters).where(counters.c.name == name).values(value=value)).rowcount
    if not changed:
        connection.execute(insert(counters).values(name=name, value=value))


def allot_day_number(connection: Connection, site_id: str, day: str) -> int:
    """The next number of a site's day, from 1. ``day`` is ``YYYYMMDD`` in site time."""
    number = connection.execute(_NEXT_OF_DAY, {"site": site_id, "of": day}).scalar()
    if number is None:
        connection.execute(insert(day_numbers).values(site_id=site_id, day=day, last=1))
        return 1
    return int(number)
