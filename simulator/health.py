"""What devices say of themselves: heartbeats, last wills, reconnects; and the silence that follows from faults."""

from __future__ import annotations

import random

from contracts.durations import MINUTE_MS
from contracts.events import DeviceReported, DeviceStateChanged, event_header
from contracts.names import DeviceClass
from simulator.community import Device
from simulator.faults import Fault, FaultKind
from simulator.script import Script
from simulator.sensors import say_air

SILENT = "device_silent"
DECISION_MS = 60_000

GAUGES: dict[DeviceClass, tuple[tuple[str, float, float], ...]] = {
    DeviceClass.GATE: (("uptime_h", 1, 900),),
    DeviceClass.EDGE: (("disk_free_pct", 40, 90), ("cpu_pct", 20, 70)),
    DeviceClass.CAM: (("frames_per_s", 24.5, 25.5),),
}


def play_health(script: Script) -> None:
    """Play every device's heartbeats to the very end of the file, and what its faults make others say."""
    for device in script.community.devices:
        if device.heartbeat_ms:
            _heartbeats(script, device)
    for fault in script.faults:
        _tell(script, fault)


def _heartbeats(script: Script, device: Device) -> None:
    rng = script.stream(f"{device.device_id}/health")
    alarming = script.alarming.get(device.device_id, [])
    at_ms = script.from_ms + rng.randrange(min(device.heartbeat_ms, MINUTE_MS))
    while at_ms < script.quiet_to_ms:
        if not any(from_ms <= at_ms <= to_ms for from_ms, to_ms in alarming):
            heartbeat(script, device, at_ms, rng)
        at_ms += device.heartbeat_ms + rng.randint(-2_000, 2_000)
    heartbeat(script, device, script.quiet_to_ms, rng)


def heartbeat(script: Script, device: Device, at_ms: int, rng: random.Random) -> None:
    """Say one sign of life: a sensor reports the air, everything else reports itself."""
    if device.device_class is DeviceClass.SENSOR:
        air = round(rng.uniform(0.0, 0.4), 2), round(rng.uniform(19, 26), 1)
        say_air(script, device, at_ms, smoke=air[0], temperature=air[1])
        return
    gauges = {name: round(rng.uniform(low, high), 1) for name, low, high in GAUGES[device.device_class]}
    script.say(
        DeviceReported(
            **script.header(device.device_id, device.place_id, at_ms),
            gauges=gauges,
        )
    )


def _tell(script: Script, fault: Fault) -> None:
    device = script.community.device(fault.device_id)
    silent_ms = device.silent_after_ms or 0
    # Its last word may be a whole heartbeat old when the fault begins.
    since_ms = max(script.from_ms - MINUTE_MS, fault.from_ms - max(device.heartbeat_ms, 5 * MINUTE_MS))
    due_ms = fault.from_ms + silent_ms + DECISION_MS
    match fault.kind:
        case FaultKind.SILENT | FaultKind.NEVER_HEARD:
            script.expect(SILENT, device.device_id, since_ms, due_ms, fault.kind.value, place_id=device.place_id)
        case FaultKind.LAST_WILL:
            _state(script, device, fault.from_ms, online=False)
            _state(script, device, fault.to_ms + 1_000, online=True)
            script.expect(SILENT, device.device_id, since_ms, due_ms, fault.kind.value, place_id=device.place_id)
        case FaultKind.FLAPPING:
            _flap(script, device, fault)
            script.near_miss(
                SILENT, device.device_id, fault.from_ms, fault.to_ms, fault.kind.value, place_id=device.place_id
            )
        case FaultKind.OFFLINE:
            told = script.expect if fault.to_ms - fault.from_ms > silent_ms else script.near_miss
            told(SILENT, device.device_id, since_ms, due_ms, fault.kind.value, place_id=device.place_id)


def _flap(script: Script, device: Device, fault: Fault) -> None:
    for at_ms in range(fault.from_ms, fault.to_ms - MINUTE_MS, MINUTE_MS):
        _state(script, device, at_ms, online=False)
        _state(script, device, at_ms + 25_000, online=True)


def _state(script: Script, device: Device, at_ms: int, *, online: bool) -> None:
    script.say(device_state(script.site_id, device, at_ms, online=online))


def device_state(site_id: str, device: Device, at_ms: int, *, online: bool) -> DeviceStateChanged:
    """Return a device's retained state: its own word, or the broker's when its connection has ended."""
    return DeviceStateChanged(
        **event_header(site_id, device.device_id, device.place_id, at_ms),
        online=online,
        reason=None if online else "last_will",
    )
