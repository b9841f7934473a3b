"""Gapless numbers in order of commit, and the cursors of readers, kept in the writer's own transaction."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from incidents.schema import counters, day_numbers


def allot(connection: Connection, name: str, count: int = 1) -> int:
    """The first of ``count`` new numbers of the sequence ``name``; the first ever is 1.

    The row is locked until the transaction ends, so numbers become visible in their order.
    """
    value = _value(connection, name, locked=True) + count
    advance(connection, name, value)
    return value - count + 1


def current(connection: Connection, name: str) -> int:
    """The last number allotted, or where the cursor ``name`` stands; 0 before the first."""
    return _value(connection, name, locked=False)


def advance(connection: Connection, name: str, value: int) -> None:
    """Set the cursor ``name``."""
    changed = connection.execute(update(counters).where(counters.c.name == name).values(value=value)).rowcount
    if not changed:
        connection.execute(insert(counters).values(name=name, value=value))


def allot_day_number(connection: Connection, site_id: str, day: str) -> int:
    """The next number of a site's day, from 1. ``day`` is ``YYYYMMDD`` in site time."""
    row = (day_numbers.c.site_id == site_id) & (day_numbers.c.day == day)
    last = connection.execute(select(day_numbers.c.last).where(row).with_for_update()).scalar()
    if last is None:
        connection.execute(insert(day_numbers).values(site_id=site_id, day=day, last=1))
        return 1
    connection.execute(update(day_numbers).where(row).values(last=last + 1))
    return int(last) + 1


def _value(connection: Connection, name: str, *, locked: bool) -> int:
    query = select(counters.c.value).where(counters.c.name == name)
    value = connection.execute(query.with_for_update() if locked else query).scalar()
    return 0 if value is None else int(value)
