"""Whether a snapshot row still names what was erased: its views, its buffers, and every word of its rules' states."""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from contracts.erasure import Eraser, texts_in
from contracts.errors import LogBroken
from streams.engine.snapshot import SnapshotRow, decode_row


def names_in_snapshot(row: SnapshotRow, eraser: Eraser, site_id: str) -> bool:
    """Return whether the site's row names it; look through a row that this version cannot read word by word."""
    if row.site_id != site_id:
        return False
    try:
        content = decode_row(row)
    except LogBroken:
        return _any_word(_raw(row.data), eraser, site_id)
    for view in content.views:
        for table in (view.visitors, view.vehicles, view.consents):
            if any(eraser.event(each) is not each for each in table.values()):
                return True
    if any(eraser.event(event) is not event for waiting in content.groups for event in waiting.events):
        return True
    states = [(state.key, msgspec.msgpack.decode(state.state)) for rows in content.states.values() for state in rows]
    return _any_word(states, eraser, site_id)


def _any_word(value: Any, eraser: Eraser, site_id: str) -> bool:
    return any(eraser.text(site_id, text, 0) != text for text in texts_in(value))


def _raw(data: bytes) -> Any:
    try:
        return msgspec.msgpack.decode(zlib.decompress(data))
    except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError):
        return None
