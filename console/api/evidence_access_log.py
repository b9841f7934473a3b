"""Who looked at which picture and why: one audit entry per look, not one per range that a player asks for.

Why is what a person writes, so it stands beside the entry, where an erasure reaches it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from governance.audit_notes import record_with_note
from incidents.store.store import Store
from system.clock import Clock

ONE_VIEW_MS = 60_000
_MAX_LOOKS = 10_000


class EvidenceAccessLog:
    """Writes views to the audit log. Requests of one person for one file within a minute are one look."""

    def __init__(self, store: Store, clock_ms: Clock) -> None:
        self._store = store
        self._clock_ms = clock_ms
        self._lock = threading.Lock()
        self._looks: OrderedDict[tuple[str, str, str], int] = OrderedDict()

    def record_view(self, actor: str, sha256: str, incident_id: str, why: str) -> None:
        """Note a view, durably, before the first byte is given."""
        now_ms, key = self._clock_ms(), (actor, sha256, incident_id)
        with self._lock:
            last_ms = self._looks.pop(key, None)
            fresh = last_ms is None or now_ms - last_ms > ONE_VIEW_MS
            self._looks[key] = now_ms
            while len(self._looks) > _MAX_LOOKS:
                self._looks.popitem(last=False)
        if fresh:
            with self._store.write() as connection:
                record_with_note(connection, actor, "evidence.view", sha256, incident_id, why, now_ms)
