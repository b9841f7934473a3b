"""The numbers of a spool: which were given, and the rows that have them. Each is checked before the next is given."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec
import structlog

from contracts.events import DeviceEvent, Lane, is_life_safety
from edge.spool.box_db import damage
from edge.spool.entry_sums import LANE_SUM, ROW_MARK, SPOOL_SUM, TOLD_SUM
from edge.spool.lanes import STORED_AFTER_MS
from edge.spool.loss_note import Loss

_DECODER = msgspec.json.Decoder(DeviceEvent)
_log = structlog.get_logger("edge.spool.numbers")


def spool_id(connection: sqlite3.Connection) -> str | None:
    """Return whose spool it is; None: a new file."""
    found = connection.execute("SELECT id FROM spool").fetchone()
    return str(found[0]) if found else None


def begin(connection: sqlite3.Connection, name: str, now_ms: int) -> None:
    """Give a new file its name and its lanes."""
    connection.execute(
        f"INSERT INTO spool SELECT id, created_ms, last_n, {SPOOL_SUM}"
        " FROM (SELECT ? AS id, ? AS created_ms, 0 AS last_n)",
        (name, now_ms),
    )
    connection.executemany(
        f"INSERT INTO lane SELECT lane, next_seq, {LANE_SUM} FROM (SELECT ? AS lane, 1 AS next_seq)",
        [(lane.value,) for lane in Lane],
    )


def any_numbered(connection: sqlite3.Connection) -> bool:
    """Return whether a row has a number: it may be known by it. One that the disk put there has none."""
    find = f"SELECT EXISTS (SELECT 1 FROM row WHERE lane IS NOT NULL AND mark IS {ROW_MARK})"
    return bool(connection.execute(find).fetchone()[0])


def rename(connection: sqlite3.Connection, name: str) -> None:
    """Give the spool another name, under which numbers begin at 1, and take from the rows those they had."""
    connection.execute("UPDATE spool SET id = ?", (name,))
    connection.execute(f"UPDATE spool SET sum = {SPOOL_SUM}")
    connection.execute("UPDATE lane SET next_seq = 1")
    connection.execute(f"UPDATE lane SET sum = {LANE_SUM}")
    held = connection.execute("SELECT n FROM row WHERE lane IS NOT NULL").fetchall()
    connection.executemany("UPDATE row SET lane = NULL, seq = NULL WHERE n = ?", held)
    connection.executemany(f"UPDATE row SET mark = {ROW_MARK} WHERE n = ?", held)


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


def told_through(connection: sqlite3.Connection) -> int:
    """Return the highest number of a note that was told; 0 before the first."""
    find = f"SELECT max(loss) FROM told WHERE sum IS {TOLD_SUM}"
    return int(connection.execute(find).fetchone()[0] or 0)


def is_told(connection: sqlite3.Connection, loss: Loss) -> bool:
    """Return whether a loss is declared. An entry that the disk made of another counts for none."""
    right = connection.execute(f"SELECT sum IS {TOLD_SUM} FROM told WHERE loss = ?", (loss.number,)).fetchone()
    return right is not None and bool(right[0])


def tell(connection: sqlite3.Connection, loss: Loss) -> bool:
    """Note that a loss is declared; whether it was not yet."""
    if is_told(connection, loss):
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


def put_right(connection: sqlite3.Connection, where: str = "1", *given: object) -> None:
    """Let rows that the disk put elsewhere come again under new numbers, and say so."""
    moved = renumber_changed(connection, where, *given)
    if moved:
        way_out = "they are sent under new numbers; check the disk, and move the file away when it goes on"
        _log.error("places of rows are damaged", path="box.db", rows=moved, way_out=way_out)


def contiguous(rows: Sequence[tuple[str, int, int]]) -> list[list[tuple[str, int, int]]]:
    """Return (lane, seq, at_ms) sorted by lane and seq, cut wherever a number is missing.

    >>> [len(run) for run in contiguous([("live", 1, 0), ("live", 2, 0), ("live", 4, 0)])]
    [2, 1]
    """
    runs: list[list[tuple[str, int, int]]] = []
    for row in rows:
        if runs and runs[-1][-1][0] == row[0] and runs[-1][-1][1] + 1 == row[1]:
            runs[-1].append(row)
        else:
            runs.append([row])
    return runs


def has_backlog(connection: sqlite3.Connection, now_ms: int) -> bool:
    """Return whether anything waits in the backlog, or is bound for it."""
    return bool(
        connection.execute(
            "SELECT EXISTS (SELECT 1 FROM row WHERE lane = 'backlog')"
            " OR EXISTS (SELECT 1 FROM row WHERE lane IS NULL AND life_safety = 0 AND at_ms < ?)",
            (now_ms - STORED_AFTER_MS,),
        ).fetchone()[0]
    )


def count(connection: sqlite3.Connection) -> int:
    """Return how many rows wait."""
    return int(connection.execute("SELECT count(*) FROM row").fetchone()[0])
