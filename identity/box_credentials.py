"""The boxes' tokens: ``boxes.jsonl``, one ``{"box_id", "site_id", "token_sha256"}`` a line, read again on change."""

from __future__ import annotations

import hashlib
import hmac
import threading
from pathlib import Path

import msgspec

from contracts.errors import ConfigurationError
from contracts.events import Sha256
from contracts.names import Id, is_id
from contracts.written_text import decode_written
from system.file_stamp import stamp_of


class Box(msgspec.Struct, frozen=True):
    """One edge box that may upload."""

    box_id: Id
    site_id: Id
    token_sha256: Sha256


class BoxTokens:
    """Who a token belongs to. A file that does not exist means no boxes; a broken one is an error at the start only.

    Raises:
        ConfigurationError: naming the first bad line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp = stamp_of(path)
        self._boxes = read_boxes(path)

    def box_of(self, token: str) -> Box | None:
        """Return the box that ``token`` belongs to, or None. Every line is compared, each in constant time."""
        digest = hashlib.sha256(token.encode()).hexdigest().encode()
        found = None
        for box in self._current():
            if hmac.compare_digest(box.token_sha256.encode(), digest):
                found = box
        return found

    def site_of(self, box_id: str) -> str | None:
        """Return the site of a box; None when it is unknown, or known at several."""
        sites = {box.site_id for box in self._current() if box.box_id == box_id}
        return sites.pop() if len(sites) == 1 else None

    def _current(self) -> tuple[Box, ...]:
        with self._lock:
            stamp = stamp_of(self._path)
            if stamp != self._stamp:
                try:
                    self._boxes, self._stamp = read_boxes(self._path), stamp
                except ConfigurationError:
                    # Half-written or broken: those who could get in still can, and the next change is read again.
                    return self._boxes
            return self._boxes


def read_boxes(path: Path) -> tuple[Box, ...]:
    """Return every line of the file; a later line of a site's box replaces its earlier one.

    Raises:
        ConfigurationError: naming the file, the line and what is wrong.
    """
    try:
        lines = decode_written(path.read_bytes(), f"{path}").splitlines()
    except FileNotFoundError:
        return ()
    boxes: dict[tuple[str, str], Box] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            box = _box(path, number, line)
            boxes[box.site_id, box.box_id] = box
    return tuple(boxes.values())


def _box(path: Path, number: int, line: str) -> Box:
    try:
        box = msgspec.json.decode(line, type=Box)
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"{path} line {number}: {error}") from None
    if not (is_id(box.box_id) and is_id(box.site_id)):
        raise ConfigurationError(f"{path} line {number}: box_id and site_id must be ids of small letters and digits")
    return box
