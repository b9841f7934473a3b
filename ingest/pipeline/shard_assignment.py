"""What a shard is responsible for: its partitions, their sites, and what it listens to. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.names import PROBE_ROOT, ROOT, partition_of
from ingest.pipeline.channel_rules import INBOUND
from ingest.settings import ShardSettings, owned_partitions


class ShardAssignment:
    """The part of all sites that one shard writes.

    Raises:
        ConfigurationError: when the shard's numbers contradict each other.
    """

    def __init__(self, settings: ShardSettings) -> None:
        self.partitions = owned_partitions(settings)
        self._count, self._wanted, self._listen_all = settings.partitions, settings.sites, settings.listen_all
        self.probe_topic = f"{PROBE_ROOT}/{settings.client_id}"

    def partition(self, site_id: str) -> int:
        """Return the partition of a site, be it this shard's or not."""
        return partition_of(site_id, self._count)

    def owns(self, site_id: str) -> bool:
        """Return whether this shard writes the site's partition."""
        return self.partition(site_id) in self.partitions

    def sites(self, known: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return those of the (site, place) pairs whose devices this shard hears."""
        return [(s, place) for s, place in known if self.owns(s) and (not self._wanted or s in self._wanted)]

    def filters(self, known: Iterable[tuple[str, str]]) -> list[str]:
        """Return what to subscribe to, so that every site it writes is heard, and with ``listen_all`` strangers too."""
        if self._listen_all:
            return ["#"]
        return [f"{ROOT}/{site_id}/+/+/{channel}" for site_id, _ in self.sites(known) for channel in sorted(INBOUND)]
