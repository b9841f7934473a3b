"""The ids and numbers that devices of a live script give their events, going on where its history ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from contracts.events import AnyEvent, DeviceStateChanged, Lane, PowerSampled, SpoolMark

replace = msgspec.structs.replace
Source = tuple[str, str]


class Naming:
    """Counts per (site, device). A box begins a new spool, as after a restart of its software."""

    def __init__(self, run: str = "r0") -> None:
        self._run = run
        self._next: dict[Source, int] = defaultdict(int)
        self._unnumbered: dict[Source, int] = defaultdict(int)

    def continue_from(self, events: Iterable[AnyEvent]) -> None:
        """Go on behind the sequence numbers of ``events``."""
        for event in events:
            if event.seq is not None:
                source = (event.site_id, event.source_id)
                self._next[source] = max(self._next[source], event.seq + 1)

    def restarted(self, run: str) -> Naming:
        """Return a naming for a new run: sequence numbers go on, unnumbered ids and spools begin anew under ``run``."""
        naming = Naming(run)
        naming._next.update(self._next)
        return naming

    def name(self, event: AnyEvent, box_id: str | None) -> AnyEvent:
        """Return ``event`` with its id, and its sequence number or its mark in the spool of ``box_id``."""
        if box_id is not None:
            return self._spooled(event, box_id)
        source = (event.site_id, event.source_id)
        if isinstance(event, PowerSampled | DeviceStateChanged):
            self._unnumbered[source] += 1
            return replace(event, event_id=f"{event.source_id}-{self._run}-{self._unnumbered[source]}")
        seq = self._next[source]
        self._next[source] += 1
        return replace(event, event_id=f"{event.source_id}-{seq}", seq=seq)

    def _spooled(self, event: AnyEvent, box_id: str) -> AnyEvent:
        self._unnumbered[event.site_id, box_id] += 1
        seq = self._unnumbered[event.site_id, box_id]
        spool_id = f"sp-{self._run}"
        mark = SpoolMark(box_id=box_id, spool_id=spool_id, lane=Lane.LIVE, seq=seq)
        return replace(event, event_id=f"{box_id}-{self._run}-{seq}", spool=mark)
