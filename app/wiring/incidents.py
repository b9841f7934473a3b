"""What makes incidents of findings: intakes, the stuck-work monitor, and an outbox a receiver. Over a store that is
open.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from app.wiring.incident_figures import IncidentFigures
from app.wiring.metrics_server import Metrics
from app.wiring.rule_facts import finding_facts
from app.wiring.threads import Threads
from contracts.durations import DAY_MS
from contracts.hops import Hop
from delivery.outbox import Outbox
from delivery.profiles import ReceiverProfile
from delivery.receiver import Receiver
from incidents.intake.intake import Intake, IntakeTimes
from incidents.monitor.stuck_work_monitor import StuckWorkMonitor, Told
from incidents.store.leases import Leases
from incidents.store.operator_alarms import AlarmCode
from incidents.store.store import Store
from inventory.directory import MemoryDirectory
from inventory.inventory import Inventory
from inventory.notices import NoticeCode
from system.clock import wall_ms

STEP_TOLD_MS = DAY_MS
"""How long a jump of a machine's clock is told."""


def told_by_ingest(inventory: Inventory) -> dict[AlarmCode, Told]:
    """Return what ingest tells operators by way of the inventory's tables."""
    return {
        AlarmCode.DEVICE_CLOCK_WRONG: lambda: [
            (f"{clock.site_id}/{clock.speaker}", clock.fault) for clock in inventory.clocks.wrong_ones()
        ],
        AlarmCode.HOST_CLOCK_WRONG: lambda: [
            (shard, clock.doubt) for shard, clock in inventory.clocks.of_hosts().items() if clock.doubt
        ],
        AlarmCode.HOST_CLOCK_STEPPED: lambda: [
            (shard, f"by {clock.step_ms / 1000:+.0f} s at {clock.stepped_ms}")
            for shard, clock in inventory.clocks.of_hosts().items()
            if abs(wall_ms() - clock.stepped_ms) < STEP_TOLD_MS
        ],
        AlarmCode.DEVICE_UNREADABLE: lambda: [
            (f"{one.site_id}/{one.device_id}", one.detail)
            for one in inventory.notices.current()
            if one.code is NoticeCode.UNREADABLE and one.life_safety
        ],
    }


class IncidentsService:
    """The work on incidents of one process.

    Args:
        store: the incidents.
        directory: where incidents look up names.
        receivers: who is told, and of what.
        metrics: shows what is counted here.
        inventory: where ingest keeps what operators should know.
    """

    def __init__(
        self,
        store: Store,
        directory: MemoryDirectory,
        receivers: Sequence[tuple[ReceiverProfile, Receiver]],
        metrics: Metrics,
        inventory: Inventory,
    ) -> None:
        self._inventory = inventory
        self._store, self._directory, self._receivers, self._metrics = store, directory, receivers, metrics
        self.names = [profile.name for profile, _ in receivers]
        self._times = IntakeTimes()
        metrics.add_hops([self._times.decided, self._times.due])
        metrics.add(IncidentFigures(store))

    def intake(self, source: str) -> Intake:
        """Return what takes the findings of a source, by the source's identity."""
        facts = finding_facts()
        return Intake(self._store, self._directory, facts, self.names, source=source, times=self._times)

    def start(self, threads: Threads, leases: Leases) -> None:
        """Start the stuck-work monitor and the outboxes; each works while this process has the claim on it."""
        monitor = StuckWorkMonitor(self._store, self.names, told=told_by_ingest(self._inventory))
        threads.keep("auditor", partial(monitor.run, mine=partial(leases.holds, "auditor")))
        for profile, receiver in self._receivers:
            outbox = Outbox(self._store, receiver, profile, times=self._metrics.hop(Hop.INCIDENT_TO_DELIVERED))
            mine = partial(leases.holds, f"receiver/{profile.name}")
            threads.keep(f"outbox-{profile.name}", partial(outbox.run, mine=mine))
