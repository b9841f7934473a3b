"""The box's spool: what it has to say, on disk until the platform has it in its log.

A row is durable when ``add`` returns and leaves only on the application acknowledgement (``got``). It gets its lane and
number once, before its first send, and keeps both. Over quota the oldest rows go, life safety last, and the loss is
itself a row: ``RowsDropped``. When the box's clock is set, what was seen since its start is dated anew (``dates``).

Numbers are given under a name that is new at every start: a file that was put back does not know which it gave already,
and the platform drops those as known (docs/adr/0022-stores-that-are-lost-or-put-back.md).
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import threading
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
from edge.spool import numbers
from edge.spool.box_clock import BoxClock
from edge.spool.box_db import BoxDb
from edge.spool.dates import RowDates, row_sum
from edge.spool.entry_sums import ROW_MARK, UPLOAD_SUM
from edge.spool.lanes import STORED_AFTER_MS, is_doubtful, is_stored
from edge.spool.loss_note import LossNote

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
    spool_id: str = ""


class SpoolCounts(msgspec.Struct, frozen=True):
    """Counts of the rows that wait."""

    rows: int
    backlog: int
    dropped: int


class Spool:
    """The two lanes of one box.

    Args:
        db: the box's database. While it cannot be used, everything here raises ``sqlite3.DatabaseError``.
        box_id, site_id, place_id: of the box, for what the spool itself has to say.
        now_ms: when it is opened.
        max_rows: the quota.
        note: what could not be spooled; it is declared with the next row that can.
        clock: the box's; without it nothing is dated anew.
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
        clock: BoxClock | None = None,
    ) -> None:
        self._db, self._box_id, self._site_id, self._place_id = db, box_id, site_id, place_id
        self._max_rows, self._dropped, self._begun_ms, self._note = max_rows, 0, now_ms, note
        self._opened, self._spool_id, self._name, self._count = 0, "", "", 0
        self._noting, self._dates = threading.Lock(), RowDates(clock) if clock is not None else None
        with contextlib.suppress(sqlite3.DatabaseError):  # at its next use it is tried again, or a new file begins
            self._begin()
            self._begin_note()
        self.changes = 1  # grows with every row; a sender looks again when it moved

    @property
    def spool_id(self) -> str:
        """The name under which rows have their numbers: another one in another file, and after each start."""
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

    def _begin_note(self) -> None:
        """Begin a new note if the one that was read was told before: what is lost from now on is another loss."""
        if self._note is not None:
            with self._db.reading() as connection:
                told, highest = numbers.is_told(connection, self._note.loss), numbers.told_through(connection)
            if told:
                self._note.told(highest)
            self._note.number(beyond=highest)

    def declare_loss(self) -> bool:
        """Declare what was lost, if anything was; whether it is in the spool now."""
        if self._note is None or not self.lost:
            return False
        with self._noting:
            with self._changing() as connection:
                loss = self._note.number(beyond=numbers.told_through(connection))
                if numbers.tell(connection, loss):
                    self._number_by_name(connection)
                    self._insert(connection, self._loss(numbers.unheld(connection, loss)))
            self._note.told()
        self.changes += 1
        return True

    def follow_clock(self) -> None:
        """Date anew what this start of the box wrote, if its clock was set since; whoever writes does so too."""
        if self._dates is not None and not self._dates.are_right():
            with self._changing():
                self.changes += 1

    def _begin(self) -> None:
        """Learn whose file this is, once it can be opened; it may be another one since."""
        if self._opened == self._db.opened and self._opened:
            return
        with self._changing():
            pass

    def _learn(self, connection: sqlite3.Connection) -> None:
        stored = numbers.spool_id(connection)
        if stored is None or stored != self._name:  # a new file, or of an earlier start
            self._name = secrets.token_hex(8)
        if stored is None:
            numbers.begin(connection, self._name, self._begun_ms)
        self._spool_id = stored or self._name
        numbers.put_right(connection)
        if not numbers.any_numbered(connection):
            self._number_by_name(connection)
        self._count = numbers.count(connection)
        self._opened = self._db.opened

    def take_name(self) -> bool:
        """Begin to number under this start's own name once no row waits under an earlier one; whether it has begun.

        Rows that have numbers keep them until they are acknowledged: by those the platform knows them again.
        """
        self._begin()
        if self._spool_id == self._name:
            return True
        with self._db.reading() as connection:
            if numbers.any_numbered(connection):
                return False
        with self._changing() as connection:
            self._number_by_name(connection)
        return True

    def went_back(self) -> None:
        """Take that the platform has numbers that were never given here: the file is older than what it said.

        Which rows the platform dropped as known cannot be told, so all that are held go out under a new name.
        """
        with self._changing() as connection:
            self._name = secrets.token_hex(8)
            self._number_by_name(connection)
        self.changes += 1
        way_out = "nothing is to be done; what it holds is sent under new numbers, some of it perhaps a second time"
        _log.error("the spool was put back to an earlier state", path="box.db", way_out=way_out)

    def _number_by_name(self, connection: sqlite3.Connection) -> None:
        if self._spool_id != self._name:
            numbers.put_right(connection)
            numbers.rename(connection, self._name)
            self._spool_id = self._name

    def add(self, event: Event, uploads: Sequence[EvidenceRef] = ()) -> str:
        """Keep an event, durable on return, and the evidence to be uploaded for it.

        Returns:
            its event id: the name of this start and a number, the same at every send.
        """
        with self._changing() as connection:
            event_id = self._insert(connection, event if self._dates is None else self._dates.dated(event))
            connection.executemany(
                f"INSERT OR IGNORE INTO upload SELECT sha256, mime, created_ms, 0, 0, {UPLOAD_SUM}"
                " FROM (SELECT ? AS sha256, ? AS mime, ? AS created_ms)",
                [(ref.sha256, ref.mime, event.at_ms) for ref in uploads],
            )
            if self._count > self._max_rows:
                self._drop_oldest(connection)
        self.changes += 1
        return event_id

    def number(self, lane: Lane, now_ms: int, limit: int) -> int:
        """Give up to ``limit`` rows that belong in ``lane`` now their numbers, oldest first. Returns how many."""
        if not self.take_name():
            return 0
        fresh = "life_safety = 1 OR at_ms >= ?" if lane is Lane.LIVE else "life_safety = 0 AND at_ms < ?"
        find = f"SELECT n, mark IS {ROW_MARK} FROM row WHERE lane IS NULL AND ({fresh}) ORDER BY n LIMIT ?"
        with self._db.reading() as connection:  # an idle box must not write
            found = connection.execute(find, (now_ms - STORED_AFTER_MS, limit)).fetchall()
        if not found:
            return 0
        changed = not all(right for _, right in found)
        with self._db.transaction() as connection:
            if changed:
                numbers.put_right(connection)
            else:
                numbers.number(connection, lane, [n for n, _ in found])
        return self.number(lane, now_ms, limit) if changed else len(found)

    def drop_older(self, than_ms: int) -> int:
        """Drop rows of what happened before ``than_ms``, and declare the loss; how many went.

        Life safety stays: no clock, however it is set, takes a fall before it is told.
        """
        find = "SELECT n FROM row WHERE at_ms < ? AND life_safety = 0 AND instr(body, CAST(? AS BLOB)) = 0"
        with self._changing() as connection:
            old = connection.execute(f"{find} ORDER BY n LIMIT ?", (than_ms, _LOSS, _DROP_ROWS)).fetchall()
            if old:
                self._drop(connection, [n for (n,) in old])
        self.changes += bool(old)
        return len(old)

    def numbered(self, lane: Lane) -> int:
        """Return the highest number ever given in ``lane``; 0 before the first."""
        with self._db.reading() as connection:
            return numbers.next_seq(connection, lane) - 1

    def rows(self, lane: Lane, after_seq: int, limit: int) -> list[NumberedRow]:
        """Return numbered rows of ``lane`` not yet acknowledged, beyond ``after_seq``, in order."""
        with self._db.reading() as connection:
            found = connection.execute(
                f"SELECT (SELECT id FROM spool), seq, at_ms, body, sum, n, mark IS {ROW_MARK} FROM row"
                " WHERE lane = ? AND seq > ? ORDER BY seq LIMIT ?",
                (lane.value, after_seq, limit),
            ).fetchall()
        if not all(right for *_, right in found):
            with self._db.transaction() as connection:
                numbers.put_right(connection)
            self.changes += 1
            return self.rows(lane, after_seq, limit)
        changed = [n for _, _, at_ms, body, kept, n, _ in found if kept is not None and kept != row_sum(n, at_ms, body)]
        if changed:
            self._drop_changed(changed)
            return self.rows(lane, after_seq, limit)
        return [NumberedRow(seq, at_ms, body, spool_id) for spool_id, seq, at_ms, body, *_ in found]

    def _drop_changed(self, rows: Sequence[int]) -> None:
        """Drop rows that are not as they were written, and declare the loss: the disk changed them."""
        with self._changing() as connection:
            self._drop(connection, rows)
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
        Life safety with a date that cannot be is not marked: the platform takes it as of now, and does not trust it.
        """
        mark = SpoolMark(self._box_id, row.spool_id, lane, row.seq, first_seq)
        event = _DECODER.decode(row.body)
        stored = is_stored(row.at_ms, now_ms) and not (is_life_safety(event) and is_doubtful(row.at_ms, now_ms))
        return _ENCODER.encode(msgspec.structs.replace(event, spool=mark, stored=stored))

    def got(self, lane: Lane, through_seq: int, now_ms: int) -> int:
        """Delete what the platform has. The backlog's last row leaves a ``BacklogDrained`` behind. Returns how many."""
        with self._changing() as connection:
            numbers.put_right(connection, "lane = ? AND seq <= ?", lane.value, through_seq)
            deleted = connection.execute(
                "DELETE FROM row WHERE lane = ? AND seq <= ?", (lane.value, through_seq)
            ).rowcount
            self._count -= deleted
            if deleted and lane is Lane.BACKLOG and not numbers.has_backlog(connection, now_ms):
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
        """Yield a transaction's connection; undone, it undoes what is remembered of the file too."""
        before = self._opened, self._spool_id, self._name
        try:
            with self._db.transaction() as connection:
                if self._opened != self._db.opened:  # opened anew for this
                    self._learn(connection)
                if self._dates is not None and not self._dates.are_right():
                    self._dates.follow(connection)
                yield connection
        except BaseException:
            self._opened, self._spool_id, self._name = before
            if self._dates is not None:
                self._dates.undone()
            with contextlib.suppress(sqlite3.DatabaseError), self._db.reading() as connection:
                self._count = numbers.count(connection)
            raise

    def _insert(self, connection: sqlite3.Connection, event: Event) -> str:
        life = int(is_life_safety(event))
        n = numbers.take_n(connection)
        event_id = f"{self._name}-{n}"
        body = _ENCODER.encode(msgspec.structs.replace(event, event_id=event_id))
        connection.execute(
            "INSERT INTO row (n, at_ms, life_safety, body, sum) VALUES (?, ?, ?, ?, ?)",
            (n, event.at_ms, life, body, row_sum(n, event.at_ms, body)),
        )
        connection.execute(f"UPDATE row SET mark = {ROW_MARK} WHERE n = ?", (n,))
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
            "SELECT n FROM row ORDER BY life_safety, n LIMIT ?", (share + self._count - self._max_rows,)
        ).fetchall()
        self._drop(connection, [n for (n,) in victims])

    def _drop(self, connection: sqlite3.Connection, victims: Sequence[int]) -> None:
        marks = ",".join(str(int(n)) for n in victims)
        numbers.put_right(connection, f"n IN ({marks})")
        find = f"SELECT n FROM row WHERE lane IS NULL AND n IN ({marks}) ORDER BY n"
        if connection.execute(find).fetchone():
            self._number_by_name(connection)
            numbers.number(connection, Lane.BACKLOG, [n for (n,) in connection.execute(find).fetchall()])
        gone = connection.execute(
            f"SELECT lane, seq, at_ms FROM row WHERE n IN ({marks}) ORDER BY lane, seq"
        ).fetchall()
        connection.execute(f"DELETE FROM row WHERE n IN ({marks})")
        self._count -= len(gone)
        self._dropped += len(gone)
        for run in numbers.contiguous(gone):
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
