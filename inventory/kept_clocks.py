"""What is known of clocks, as the inventory's database keeps it: measured again soon, so without checksums."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from contracts.events import DeviceConfigured
from inventory.clocks import ClockRecord, HostClock
from inventory.tables import Tables


class KeptClocks:
    """The clocks of devices, and of ingest's machines. Any thread and process may use it.

    Args:
        tables: of the inventory.
        devices: asks for the devices that are in it.
    """

    def __init__(self, tables: Tables, devices: Callable[[], Sequence[DeviceConfigured]]) -> None:
        self._tables, self._devices = tables, devices

    def put(self, clocks: Sequence[ClockRecord]) -> None:
        """Replace what is known of these clocks."""
        with self._tables.write() as rows:
            for clock in clocks:
                values = (clock.site_id, clock.speaker, msgspec.json.encode(clock))
                rows.execute(
                    "INSERT INTO clocks VALUES (?, ?, ?)"
                    " ON CONFLICT (site_id, speaker) DO UPDATE SET body = excluded.body",
                    values,
                )

    def of_devices(self) -> list[ClockRecord]:
        """Return what is known of the clocks of devices that are in the inventory, by site and speaker."""
        with self._tables.read() as rows:
            bodies = rows.execute("SELECT body FROM clocks ORDER BY site_id, speaker")
        found = [msgspec.json.decode(body, type=ClockRecord) for (body,) in bodies]
        known = {(d.site_id, d.device_id) for d in self._devices()}
        return [clock for clock in found if (clock.site_id, clock.speaker) in known]

    def put_host(self, follower: str, clock: HostClock) -> None:
        """Replace what ``follower`` tells of its machine's clock."""
        with self._tables.write() as rows:
            rows.execute(
                "INSERT INTO host_clocks VALUES (?, ?) ON CONFLICT (follower) DO UPDATE SET body = excluded.body",
                (follower, msgspec.json.encode(clock)),
            )

    def of_hosts(self) -> dict[str, HostClock]:
        """Return follower → the clock of its machine."""
        with self._tables.read() as rows:
            found = rows.execute("SELECT follower, body FROM host_clocks ORDER BY follower")
        return {follower: msgspec.json.decode(body, type=HostClock) for follower, body in found}
