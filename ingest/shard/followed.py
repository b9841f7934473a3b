"""How far a log has followed the inventory, whoever wrote it: shards of other layouts did so before this one. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ingest.settings import ShardSettings, owned_partitions


def follower_name(settings: ShardSettings) -> str:
    """Return the name under which a shard keeps its place: the log, and which part of it the shard writes."""
    return f"{settings.log_id}/{settings.index}-{settings.shards}-{settings.partitions}"


def followed_before(followers: Mapping[str, int], settings: ShardSettings) -> int:
    """Return the change up to which everything of the shard's partitions is in the log already; 0: nothing is.

    Of each partition the farthest counts that anybody came who wrote it, and of the shard's partitions the one that is
    least far: from there on nothing is skipped.

    Args:
        followers: name → the last change appended, of every log and layout.
    """
    reached = dict.fromkeys(owned_partitions(settings), 0)
    for name, change in followers.items():
        layout = _layout(name, settings)
        if layout is None:
            continue
        index, shards = layout
        for partition in reached:
            if partition % shards == index:
                reached[partition] = max(reached[partition], change)
    return min(reached.values(), default=0)


def _layout(name: str, settings: ShardSettings) -> tuple[int, int] | None:
    """Return (index, shards) of a follower of this log; None when it follows another, or is cut otherwise."""
    log_id, _, layout = name.rpartition("/")
    parts = layout.split("-")
    if log_id != settings.log_id or len(parts) != 3 or not all(part.isdecimal() for part in parts):
        return None
    index, shards, partitions = map(int, parts)
    return (index, shards) if shards and partitions == settings.partitions else None
