"""A delivery that tells of no incident: its receiver can be tried, and knows by its origin that it is a drill."""

from __future__ import annotations

import datetime

import msgspec

from contracts.events import Origin
from contracts.findings import Severity
from contracts.incidents import AlertState, DeliveryState, IncidentSummary
from delivery.deliveries import Delivery, DeliveryMessage, delivery_id
from incidents.store.records import DeliveryKind

SCENARIO = "test_alarm"
"""No rule has this name, and no incident."""


def drill_delivery(receiver: str, site_id: str, severity: Severity, at_ms: int, nonce: str) -> Delivery:
    """Return a delivery of kind ``opened`` whose incident is a drill that is stored nowhere.

    Args:
        receiver: its name.
        site_id: the site that it names.
        severity: as urgent as this.
        at_ms: now, epoch ms.
        nonce: another one for each drill, so that a receiver counts each.
    """
    incident = f"drill-{nonce}"
    key = delivery_id(receiver, incident, DeliveryKind.OPENED, nonce)
    day = datetime.datetime.fromtimestamp(at_ms / 1000, tz=datetime.UTC)
    summary = IncidentSummary(
        incident_id=incident, number=f"{day:%Y%m%d}-0000", site_id=site_id, scenario=SCENARIO, severity=severity,
        life_safety=False, verified=True, state=AlertState.NEW, building=None, onset_ms=at_ms, last_ms=at_ms,
        origin=Origin.DRILL.value,
    )  # fmt: skip
    message = DeliveryMessage(delivery_id=key, kind=DeliveryKind.OPENED, incident=summary)
    return Delivery(
        delivery_id=key, receiver=receiver, incident_id=incident, site_id=site_id, kind=DeliveryKind.OPENED,
        payload=msgspec.json.encode(message), life_safety=False, state=DeliveryState.PENDING, reason="", attempts=0,
        created_ms=at_ms, due_ms=at_ms, settled_ms=None,
    )  # fmt: skip
