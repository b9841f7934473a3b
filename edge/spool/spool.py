"""The box's spool: what it has to say, on disk until the platform has it in its log.

A row is durable when ``add`` returns and leaves only on the application acknowledgement (``got``). It gets its lane and
number once, before its first send, and keeps both. Over quota the oldest rows go, life safety last, and the loss is
itself a row: ``RowsDropped``.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Sequence

import msgspec
import structlog

from contracts.events import (
    BacklogDrained,
    DeviceEvent,
    Event,
    EvidenceRef,
    Lane,
    RowsDropped,
    SpoolMark,
    event_header,
    is_life_safety,
)
from edge.spool.box_db import BoxDb
from edge.spool.lanes import STORED_AFTER_MS, is_stored
from edge.spool.loss_note import Loss, LossNote

DEFAULT_MAX_ROWS = 200_000  # about 80 MB
MAX_AGE_HOURS = 720  # the platform refuses what is older than 30 days
_DROP_SHARE = 0.02  # of the quota at a time, so that losses are few, declared ranges
_DROP_ROWS = 5_000  # of those too old, at a time
_LOSS = f'"kind":"{RowsDropped.__struct_config__.tag}"'  # a declared loss is kept until it is told
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(DeviceEvent)
_log = structlog.get_logger("edge.spool.spool")


class NumberedRow(msgspec.Struct, frozen=True):
    """A numbered row as it goes out."""

    seq: int
    at_ms: int
    body: bytes


class SpoolCounts(msgspec.Struct, frozen=True):
    """Counts of the rows that wait."""

    rows: int
    backlog: int
    dropped: int


class Spool:
    """The two lanes of one box.

    Args:
        db: the box's database. While it cannot be used, everything here raises ``sqlite3.OperationalError``.
        box_id, site_id, place_id: of the box, for what the spool itself has to say.
        now_ms: when it is opened.
        max_rows: the quota.
        note: what could not be spooled; it is declared with the next row that can.
    """

    def __init__(
        self,
        db: BoxDb,
        *,
        box_id: str,
        site_id: str,
        place_id: str,
        now_ms: int,
        max_rows: int = DEFAULT_MAX_ROWS,
        note: LossNote | None = None,
    ) -> None:
        self._db, self._box_id, self._site_id, self._place_id = db, box_id, site_id, place_id
        self._max_rows, self._dropped, self._begun_ms, self._note = max_rows, 0, now_ms, note
        self._opened, self._spool_id, self._count = 0, "", 0
        self._noting = threading.Lock()
        with contextlib.suppress(sqlite3.OperationalError):
            self._begin()
        self.changes = 1  # grows with every row; a sender looks again when it moved

    @property
    def spool_id(self) -> str:
        """The identity of this spool: another one in another file."""
        self._begin()
        return self._spool_id

    @property
    def lost(self) -> int:
        """How many events were lost and are not declared yet."""
        return self._note.loss.events if self._note is not None else 0

    def lose(self, event: Event) -> None:
        """Note that an event could not be kept: it is declared once there is room."""
        self._dropped += 1
        if self._note is not None:
            with self._noting:
                self._note.add(event.at_ms)

    def declare_loss(self) -> bool:
        """Declare what was lost, if anything was; whether it is in the spool now."""
        if self._note is None or not self.lost:
            return False
        with self._noting:
            loss = self._note.loss
            with self._changing() as connection:
                told = connection.execute("INSERT OR IGNORE INTO told VALUES (?)", (loss.number,)).rowcount
                if told:
                    self._insert(connection, self._loss(_unheld(connection, loss)))
            self._note.told()
        self.changes += 1
        return True

    def _begin(self) -> None:
        """Learn whose file this is, once it can be opened; it may be another one since."""
        if self._opened == self._db.opened and self._opened:
            return
        with self._db.transaction() as connection:
            self._spool_id = _spool_id(connection, self._begun_ms)
            self._count = _count(connection)
            self._opened = self._db.opened

    def add(self, event: Event, uploads: Sequence[EvidenceRef] = ()) -> str:
        """Keep an event, durable on return, and the evidence to be uploaded for it.

        Returns:
            its event id: ``{spool_id}-{n}``, the same at every send.
        """
        with self._changing() as connection:
            event_id = self._insert(connection, event)
            connection.executemany(
                "INSERT OR IGNORE INTO upload VALUES (?, ?, ?, 0, 0)",
                [(ref.sha256, ref.mime, event.at_ms) for ref in uploads],
            )
            if self._count > self._max_rows:
                self._drop_oldest(connection)
        self.changes += 1
        return event_id

    def number(self, lane: Lane, now_ms: int, limit: int) -> int:
        """Give up to ``limit`` rows that belong in ``lane`` now their numbers, oldest first. Returns how many."""
        fresh = "life_safety = 1 OR at_ms >= ?" if lane is Lane.LIVE else "life_safety = 0 AND at_ms < ?"
        find = f"SELECT n FROM row WHERE lane IS NULL AND ({fresh}) ORDER BY n LIMIT ?"
        with self._db.reading() as connection:  # an idle box must not write
            found = connection.execute(find, (now_ms - STORED_AFTER_MS, limit)).fetchall()
        if not found:
            return 0
        with self._db.transaction() as connection:
            _number(connection, lane, [n for (n,) in found])
        return len(found)

    def drop_older(self, than_ms: int) -> int:
        """Drop rows of what happened before ``than_ms``, life safety too, and declare the loss; how many went."""
        with self._changing() as connection:
            old = connection.execute(
                "SELECT n, lane FROM row WHERE at_ms < ? AND instr(body, CAST(? AS BLOB)) = 0 ORDER BY n LIMIT ?",
                (than_ms, _LOSS, _DROP_ROWS),
            ).fetchall()
            if old:
                self._drop(connection, old)
        self.changes += bool(old)
        return len(old)

    def numbered(self, lane: Lane) -> int:
        """Return the highest number ever given in ``lane``; 0 before the first."""
        with self._db.reading() as connection:
            found = connection.execute("SELECT next_seq FROM lane WHERE lane = ?", (lane.value,)).fetchone()
        return int(found[0]) - 1

    def rows(self, lane: Lane, after_seq: int, limit: int) -> list[NumberedRow]:
        """Return numbered rows of ``lane`` not yet acknowledged, beyond ``after_seq``, in order."""
        with self._db.reading() as connection:
            found = connection.execute(
                "SELECT seq, at_ms, body, sum, n FROM row WHERE lane = ? AND seq > ? ORDER BY seq LIMIT ?",
                (lane.value, after_seq, limit),
            ).fetchall()
        changed = [n for _, at_ms, body, kept, n in found if kept is not None and kept != row_sum(n, at_ms, body)]
        if changed:
            self._drop_changed(lane, changed)
        return [NumberedRow(seq, at_ms, body) for seq, at_ms, body, _, n in found if n not in changed]

    def _drop_changed(self, lane: Lane, rows: Sequence[int]) -> None:
        """Drop rows that are not as they were written, and declare the loss: the disk changed them."""
        with self._changing() as connection:
            self._drop(connection, [(n, lane.value) for n in rows])
        self.changes += 1
        way_out = "they are declared as lost; check the disk, and restore the file or move it away when it goes on"
        _log.error("rows are damaged", path="box.db", rows=len(rows), way_out=way_out)

    def first(self, lane: Lane) -> int:
        """Return the lowest number of ``lane`` still held; the next to be given when none is."""
        with self._db.reading() as connection:
            found = connection.execute("SELECT min(seq) FROM row WHERE lane = ?", (lane.value,)).fetchone()[0]
        return int(found) if found is not None else self.numbered(lane) + 1

    def message(self, lane: Lane, row: NumberedRow, first_seq: int, now_ms: int) -> bytes:
        """Return the row as it goes on the wire now: marked with its lane and number, and as stored when it is old.

        ``first_seq`` tells the receiver which rows before this one it need not wait for: they are held no longer.
        """
        mark = SpoolMark(self._box_id, self.spool_id, lane, row.seq, first_seq)
        event = _DECODER.decode(row.body)
        return _ENCODER.encode(msgspec.structs.replace(event, spool=mark, stored=is_stored(row.at_ms, now_ms)))

    def got(self, lane: Lane, through_seq: int, now_ms: int) -> int:
        """Delete what the platform has. The backlog's last row leaves a ``BacklogDrained`` behind. Returns how many."""
        with self._changing() as connection:
            deleted = connection.execute(
                "DELETE FROM row WHERE lane = ? AND seq <= ?", (lane.value, through_seq)
            ).rowcount
            self._count -= deleted
            if deleted and lane is Lane.BACKLOG and not _has_backlog(connection, now_ms):
                self._insert(connection, self._drained(now_ms))
                self.changes += 1
        return deleted

    def counts(self, now_ms: int) -> SpoolCounts:
        """Return how much waits, how much of it in (or bound for) the backlog, and what quota dropped so far."""
        with self._db.reading() as connection:
            backlog = connection.execute(
                "SELECT count(*) FROM row WHERE lane = 'backlog' OR (lane IS NULL AND life_safety = 0 AND at_ms < ?)",
                (now_ms - STORED_AFTER_MS,),
            ).fetchone()[0]
        return SpoolCounts(rows=self._count, backlog=int(backlog), dropped=self._dropped)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """Yield a transaction's connection; undone, it undoes the count of rows too."""
        self._begin()
        try:
            with self._db.transaction() as connection:
                yield connection
        except BaseException:
            with contextlib.suppress(sqlite3.DatabaseError), self._db.reading() as connection:
                self._count = _count(connection)
            raise

    def _insert(self, connection: sqlite3.Connection, event: Event) -> str:
        life = int(is_life_safety(event))
        n = connection.execute(
            "INSERT INTO row (at_ms, life_safety, body) VALUES (?, ?, x'')", (event.at_ms, life)
        ).lastrowid
        event_id = f"{self._spool_id}-{n}"
        body = _ENCODER.encode(msgspec.structs.replace(event, event_id=event_id))
        connection.execute("UPDATE row SET body = ?, sum = ? WHERE n = ?", (body, row_sum(n, event.at_ms, body), n))
        self._count += 1
        return event_id

    def _drained(self, now_ms: int) -> BacklogDrained:
        return BacklogDrained(
            **event_header(self._site_id, self._box_id, self._place_id, now_ms),
            spool_id=self._spool_id,
        )

    def _drop_oldest(self, connection: sqlite3.Connection) -> None:
        """Drop a share of the quota. Rows never sent are numbered first: an unnumbered loss could not be declared."""
        share = max(1, int(self._max_rows * _DROP_SHARE))
        victims = connection.execute(
            "SELECT n, lane FROM row ORDER BY life_safety, n LIMIT ?", (share + self._count - self._max_rows,)
        ).fetchall()
        self._drop(connection, victims)

    def _drop(self, connection: sqlite3.Connection, victims: Sequence[tuple[int, str | None]]) -> None:
        _number(connection, Lane.BACKLOG, [n for n, lane in victims if lane is None])
        marks = ",".join(str(int(n)) for n, _ in victims)
        gone = connection.execute(
            f"SELECT lane, seq, at_ms FROM row WHERE n IN ({marks}) ORDER BY lane, seq"
        ).fetchall()
        connection.execute(f"DELETE FROM row WHERE n IN ({marks})")
        self._count -= len(gone)
        self._dropped += len(gone)
        for run in contiguous(gone):
            self._insert(connection, self._loss(run))

    def _loss(self, run: list[tuple[str, int, int]]) -> RowsDropped:
        times = [at_ms for _, _, at_ms in run]
        return RowsDropped(
            **event_header(self._site_id, self._box_id, self._place_id, max(times)),
            spool_id=self._spool_id,
            lane=Lane(run[0][0]),
            from_seq=run[0][1],
            to_seq=run[-1][1],
            from_ms=min(times),
            to_ms=max(times),
        )


def row_sum(n: int | None, at_ms: int, body: bytes) -> int:
    """Return the checksum of a row: a disk that changes a byte of it is found out before the row is sent."""
    return zlib.crc32(body, zlib.crc32(f"{n} {at_ms}".encode()))


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


def _spool_id(connection: sqlite3.Connection, now_ms: int) -> str:
    found = connection.execute("SELECT id FROM spool").fetchone()
    if found:
        return str(found[0])
    spool_id = secrets.token_hex(8)
    connection.execute("INSERT INTO spool VALUES (?, ?)", (spool_id, now_ms))
    connection.executemany("INSERT INTO lane VALUES (?, 1)", [(lane.value,) for lane in Lane])
    return spool_id


def _count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM row").fetchone()[0])


def _number(connection: sqlite3.Connection, lane: Lane, rows: Sequence[int]) -> None:
    first = int(connection.execute("SELECT next_seq FROM lane WHERE lane = ?", (lane.value,)).fetchone()[0])
    numbered = [(lane.value, first + i, n) for i, n in enumerate(rows)]
    connection.executemany("UPDATE row SET lane = ?, seq = ? WHERE n = ?", numbered)
    connection.execute("UPDATE lane SET next_seq = ? WHERE lane = ?", (first + len(rows), lane.value))


def _has_backlog(connection: sqlite3.Connection, now_ms: int) -> bool:
    return bool(
        connection.execute(
            "SELECT EXISTS (SELECT 1 FROM row WHERE lane = 'backlog')"
            " OR EXISTS (SELECT 1 FROM row WHERE lane IS NULL AND life_safety = 0 AND at_ms < ?)",
            (now_ms - STORED_AFTER_MS,),
        ).fetchone()[0]
    )


def _unheld(connection: sqlite3.Connection, loss: Loss) -> list[tuple[str, int, int]]:
    """Give events that were never held numbers of the backlog, and return them as rows: first and last."""
    (first,) = connection.execute("SELECT next_seq FROM lane WHERE lane = ?", (Lane.BACKLOG.value,)).fetchone()
    last = int(first) + loss.events - 1
    connection.execute("UPDATE lane SET next_seq = ? WHERE lane = ?", (last + 1, Lane.BACKLOG.value))
    return [(Lane.BACKLOG.value, int(first), loss.from_ms), (Lane.BACKLOG.value, last, loss.to_ms)]
