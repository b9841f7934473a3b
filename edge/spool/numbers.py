"""The numbers of a spool: which were given, and the rows that have them. Each is checked before the next is given."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Sequence

import msgspec

from contracts.events import DeviceEvent, Lane, is_life_safety
from edge.spool.box_db import damage
from edge.spool.entry_sums import LANE_SUM, ROW_MARK, SPOOL_SUM, TOLD_SUM
from edge.spool.loss_note import Loss

_DECODER = msgspec.json.Decoder(DeviceEvent)


def spool_id(connection: sqlite3.Connection, now_ms: int) -> str:
    """Return whose spool it is; a new one is given its name and its lanes."""
    found = connection.execute("SELECT id FROM spool").fetchone()
    if found:
        return str(found[0])
    name = secrets.token_hex(8)
    connection.execute(
        f"INSERT INTO spool SELECT id, created_ms, last_n, {SPOOL_SUM}"
        " FROM (SELECT ? AS id, ? AS created_ms, 0 AS last_n)",
        (name, now_ms),
    )
    connection.executemany(
        f"INSERT INTO lane SELECT lane, next_seq, {LANE_SUM} FROM (SELECT ? AS lane, 1 AS next_seq)",
        [(lane.value,) for lane in Lane],
    )
    return name


def next_seq(connection: sqlite3.Connection, lane: Lane) -> int:
    """Return the next number of a lane.

    Raises:
        sqlite3.DatabaseError: the disk changed it: the file is damaged. A number that comes again is lost in silence.
    """
    found = connection.execute(f"SELECT next_seq, sum IS {LANE_SUM} FROM lane WHERE lane = ?", (lane.value,)).fetchone()
    if found is None or not found[1]:
        raise damage(f"the next number of lane {lane.value} is not as it was written")
    return int(found[0])


def take(connection: sqlite3.Connection, lane: Lane, count: int) -> int:
    """Give ``count`` numbers of a lane; return the first."""
    first = next_seq(connection, lane)
    connection.execute("UPDATE lane SET next_seq = ? WHERE lane = ?", (first + count, lane.value))
    connection.execute(f"UPDATE lane SET sum = {LANE_SUM} WHERE lane = ?", (lane.value,))
    return first


def take_n(connection: sqlite3.Connection) -> int:
    """Give a row its number in the file, which names its event: never one that was given before.

    Raises:
        sqlite3.DatabaseError: the disk changed it.
    """
    found = connection.execute(f"SELECT last_n, sum IS {SPOOL_SUM} FROM spool").fetchone()
    if found is None or not found[1]:
        raise damage("the identity of the spool is not as it was written")
    connection.execute("UPDATE spool SET last_n = last_n + 1")
    connection.execute(f"UPDATE spool SET sum = {SPOOL_SUM}")
    return int(found[0]) + 1


def number(connection: sqlite3.Connection, lane: Lane, rows: Sequence[int]) -> None:
    """Give rows their numbers of a lane, in this order."""
    first = take(connection, lane, len(rows))
    numbered = [(lane.value, first + i, n) for i, n in enumerate(rows)]
    connection.executemany("UPDATE row SET lane = ?, seq = ? WHERE n = ?", numbered)
    connection.executemany(f"UPDATE row SET mark = {ROW_MARK} WHERE n = ?", [(n,) for n in rows])


def unheld(connection: sqlite3.Connection, loss: Loss) -> list[tuple[str, int, int]]:
    """Give events that were never held numbers of the backlog, and return them as rows: first and last."""
    first = take(connection, Lane.BACKLOG, loss.events)
    lane, last = Lane.BACKLOG.value, first + loss.events - 1
    return [(lane, first, loss.from_ms), (lane, last, loss.to_ms)]


def tell(connection: sqlite3.Connection, loss: Loss) -> bool:
    """Note that a loss is declared; whether it was not yet. An entry that the disk made of another counts for none."""
    right = connection.execute(f"SELECT sum IS {TOLD_SUM} FROM told WHERE loss = ?", (loss.number,)).fetchone()
    if right is not None and right[0]:
        return False
    connection.execute(f"INSERT OR REPLACE INTO told SELECT loss, {TOLD_SUM} FROM (SELECT ? AS loss)", (loss.number,))
    return True


def renumber_changed(connection: sqlite3.Connection, where: str = "1", *given: object) -> int:
    """Take their place from rows that do not stand where they were put, so that they get a new one; return how many.

    Which number such a row had is not known any more: it goes out under a new one, and its own event id.
    """
    found = connection.execute(f"SELECT n, body FROM row WHERE mark IS NOT {ROW_MARK} AND {where}", given).fetchall()
    for n, body in found:
        connection.execute(
            "UPDATE row SET lane = NULL, seq = NULL, life_safety = ? WHERE n = ?", (int(_is_life_safety(body)), n)
        )
        connection.execute(f"UPDATE row SET mark = {ROW_MARK} WHERE n = ?", (n,))
    return len(found)


def _is_life_safety(body: bytes) -> bool:
    """Return what the body says; one that cannot be read goes first, and is found out there."""
    try:
        return is_life_safety(_DECODER.decode(body))
    except msgspec.MsgspecError:
        return True
