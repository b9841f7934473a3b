"""Hops: the stretches of the way from a device to a receiver whose latency is measured, and how it is counted.

One list for results, metrics and dashboards. A hop's latency lies between two times that rows already carry.
"""

from __future__ import annotations

import enum


class Hop(enum.StrEnum):
    """One stretch of the way; the times it lies between."""

    DEVICE_TO_ACCEPTED = "device_to_accepted"  # at_ms → received_ms; stored events are left out
    ACCEPTED_TO_DURABLE = "accepted_to_durable"  # received_ms → the log's own time of the record, where it has one
    DUE_TO_INCIDENT = "due_to_incident"  # due_ms of a finding → taken_ms of the incidents' intake
    INCIDENT_TO_DELIVERED = "incident_to_delivered"  # created_ms of a delivery → its receipt


HOP_BOUNDS_MS = (5, 10, 20, 50, 100, 200, 300, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000)
"""Upper bounds of the classes that latencies are counted in, ms; the goals (300 ms, 1 s, 10 s) are among them."""
