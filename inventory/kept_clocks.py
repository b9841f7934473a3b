"""What is known of clocks, as the inventory's database keeps it: measured again soon, so without checksums."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from contracts.events import DeviceConfigured
from inventory.clocks import ClockRecord, HostClock
from inventory.tables import Tables, upsert

_DECODER = msgspec.json.Decoder(ClockRecord)


class KeptClocks:
    """The clocks of devices, and of ingest's machines. Any thread and process may use it.

    Args:
        tables: of the inventory.
        devices: asks for the devices that are in it.
    """

    def __init__(self, tables: Tables, devices: Callable[[], Sequence[DeviceConfigured]]) -> None:
        self._tables, self._devices = tables, devices

    def put(self, clocks: Sequence[ClockRecord]) -> None:
        """Replace what is known of these clocks, each named once."""
        if not clocks:
            return
        values = [(clock.site_id, clock.speaker, msgspec.json.encode(clock)) for clock in clocks]
        with self._tables.write() as rows:
            upsert(rows, "clocks", values, "(site_id, speaker) DO UPDATE SET body = excluded.body")

    def of_devices(self) -> list[ClockRecord]:
        """Return what is known of the clocks of devices that are in the inventory, by site and speaker."""
        return self._known(self._kept())

    def wrong_ones(self) -> list[ClockRecord]:
        """Return those of :meth:`of_devices` whose times cannot be used. It costs little while there are none."""
        return self._known([clock for clock in self._kept() if clock.fault])

    def _kept(self) -> list[ClockRecord]:
        with self._tables.read() as rows:
            bodies = rows.execute("SELECT body FROM clocks ORDER BY site_id, speaker")
        return [_DECODER.decode(body) for (body,) in bodies]

    def _known(self, clocks: list[ClockRecord]) -> list[ClockRecord]:
        known = {(d.site_id, d.device_id) for d in self._devices()} if clocks else ()
        return [clock for clock in clocks if (clock.site_id, clock.speaker) in known]

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
