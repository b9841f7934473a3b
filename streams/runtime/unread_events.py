"""What a partition's driver passes over since this version does not know its kind, and what people hear of it. Pure."""

from __future__ import annotations

from contracts.batch import Batch, unread_in

MOST_KINDS_TOLD = 16


class UnreadEvents:
    """Counts them since this driver was made; each kind and version is told once."""

    def __init__(self) -> None:
        self.count = 0
        self._told: set[tuple[str, int]] = set()

    def take(self, batch: Batch, position: int) -> list[str]:
        """Count a batch's; return a sentence for each kind that was not told yet."""
        sentences = []
        for event in unread_in(batch):
            self.count += 1
            kind = (event.said_kind, event.v)
            if kind not in self._told and len(self._told) < MOST_KINDS_TOLD:
                self._told.add(kind)
                sentences.append(
                    f"kind {event.said_kind!r}, version {event.v}, of {event.source_id!r} in {event.site_id!r}, from "
                    f"position {position} on: not judged. Update the rules before ingest"
                )
        return sentences
