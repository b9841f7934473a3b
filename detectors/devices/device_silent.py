"""`device_silent` 设备失联: a device that ought to speak has not been heard.

Situation: an inventory device with ``silent_after_ms`` says nothing for that long, or its last will says that it is
gone. A device never heard from is silent too, counted from its configuration record. What counts is when ingest
received it, whatever the device's clock says.

Events: any event of the device; a camera's event that came through a box's spool proves camera and box. The device's
``DeviceStateChanged(online=False)`` (last will) shortens the wait to ``offline_grace_ms``.

Thresholds: ``silent_after_ms`` is the device's own (its reporting period is known to whoever configures it);
``offline_grace_ms`` 30 s, because a device on bad WLAN is back within seconds of its last will.

What it will not catch: a device that reports and measures rubbish, and cameras without a picture
(``camera_impaired``). Devices without ``silent_after_ms`` are never judged.

Late data: a rule about receipt, so it is never re-judged. Time in which ingest was not listening counts for nobody: the
wait starts again at the end of the interruption. Stored events prove only that the device lived then. Events that come
behind others of their device are heard all the same.

It runs for every event there is, so hearing a device only replaces a small state: the deadline stays where it was and
is moved on when it comes (``wake_ms``). The OPEN is still exact to the millisecond.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from contracts.durations import HOUR_MS
from contracts.events import (
    AccessAttempted,
    BacklogDrained,
    DeviceConfigured,
    DeviceReported,
    DeviceStateChanged,
    DoorChanged,
    EnvironmentSampled,
    Event,
    ObjectFell,
    ObjectObserved,
    PassageObserved,
    PowerSampled,
    RowsDropped,
    TagSeen,
)
from contracts.findings import Fact, Phase, Severity, Subject, SubjectKind
from contracts.rules import RuleFacts, Threshold
from detectors.core.facts import fact
from detectors.core.rule import Draft, Episode, Outcome
from detectors.core.site_view import LOOK_MS, SiteView, next_look_ms

RULE = "device_silent"
OFFLINE_GRACE = Threshold(
    RULE,
    "offline_grace_ms",
    30_000,
    0,
    HOUR_MS,
    "ms",
    "how long a device may be gone after its last will: one on bad WLAN is back within seconds",
)


class SilenceState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """When one device was last heard. ``offline_ms`` 0: no last will since it was heard.

    ``wake_ms`` 0: no deadline; of a silent device, when to look whether its site is still there.
    """

    v: int
    device_id: str
    last_ms: int
    after_ms: int
    wake_ms: int
    offline_ms: int
    episode: Episode | None


class DeviceSilent:
    """OPEN when a device falls silent, CLOSE when it is heard again. Key: the device."""

    name: ClassVar[str] = RULE
    version: ClassVar[int] = 2
    accepts: ClassVar[tuple[type[Event], ...]] = (
        AccessAttempted,
        DoorChanged,
        PassageObserved,
        ObjectObserved,
        ObjectFell,
        PowerSampled,
        EnvironmentSampled,
        TagSeen,
        DeviceStateChanged,
        DeviceReported,
        BacklogDrained,
        RowsDropped,
        DeviceConfigured,
    )
    max_out_of_orderness_ms: ClassVar[int] = 200
    horizon_ms: ClassVar[int | None] = None
    instant: ClassVar[bool] = False
    receipt: ClassVar[bool] = True
    facts: ClassVar[RuleFacts] = RuleFacts(
        severity=Severity.MINOR,
        regroup_ms=HOUR_MS,
        thresholds=(OFFLINE_GRACE,),
        fact_codes=("silence_reason", "silent_s", "ended"),
    )
    state_type: type[SilenceState] = SilenceState

    def keys_of(self, event: Event, site: SiteView) -> tuple[str, ...]:
        """Return the device, and the box that spoke for it, as far as they are judged at all."""
        if type(event) is DeviceConfigured:
            return (event.device_id,)
        device = site.devices.get(event.source_id)
        own = (event.source_id,) if device is not None and device.silent_after_ms else ()
        if event.spool is None or event.spool.box_id == event.source_id:
            return own
        box = site.devices.get(event.spool.box_id)
        if box is None or not box.silent_after_ms:
            return own
        return tuple(sorted((*own, event.spool.box_id)))

    def initial(self, key: str) -> SilenceState:
        """Return a device of which nothing is known."""
        return SilenceState(1, key, 0, 0, 0, 0, None)

    def on_event(self, state: SilenceState, event: Event, site: SiteView) -> Outcome[SilenceState]:
        """Take that the device is heard, says that it goes, or is configured."""
        if type(event) is DeviceConfigured:
            return _configured(state, event)
        if type(event) is DeviceStateChanged and not event.online and event.source_id == state.device_id:
            return _went(state, event, site)
        heard_ms = event.received_ms if event.received_ms > event.at_ms else event.at_ms  # as _received_ms, each event
        if heard_ms <= state.last_ms:
            return Outcome(state)
        if state.wake_ms and state.episode is None:  # the common case: judged, not silent
            return Outcome(SilenceState(1, state.device_id, heard_ms, state.after_ms, state.wake_ms, 0, None))
        return _heard(state, event, site)

    def deadline_ms(self, state: SilenceState) -> int | None:
        """Return a time not after the moment the device would be silent; it is moved on when it comes."""
        return state.wake_ms or None

    def on_deadline(self, state: SilenceState, due_ms: int, site: SiteView) -> Outcome[SilenceState]:
        """State that the device is silent, unless it was heard since, or nobody was listening, or its site is gone."""
        if site.gone or state.episode is not None:
            return _looked(state, due_ms, site)
        silent_ms = _silent_at_ms(state, site)
        if site.interrupted_to_ms > state.last_ms and site.interrupted_from_ms <= due_ms:
            wait_ms = _grace_ms(state, site) if state.offline_ms else state.after_ms
            silent_ms = max(silent_ms, site.interrupted_to_ms + wait_ms)
        if silent_ms > due_ms:
            return Outcome(msgspec.structs.replace(state, wake_ms=silent_ms))
        episode = Episode(due_ms, None)
        return Outcome(
            msgspec.structs.replace(state, wake_ms=due_ms + LOOK_MS, episode=episode), (_opened(state, episode, site),)
        )


def _looked(state: SilenceState, due_ms: int, site: SiteView) -> Outcome[SilenceState]:
    """Look whether the site of a silent device is still there: nobody waits for the devices of one that is gone."""
    if state.episode is None:  # so its site is gone
        return Outcome(None)
    if not site.gone:
        return Outcome(msgspec.structs.replace(state, wake_ms=next_look_ms(due_ms, state.episode.onset_ms)))
    facts = (fact("ended", "removed"), fact("silent_s", (due_ms - state.last_ms) / 1000))
    return Outcome(None, (_over(state, state.episode, _place_of(state, site, site.site_id), facts),))


def _received_ms(event: Event) -> int:
    """Return when it was heard, at least its own time: a good clock may be a moment ahead, and deadlines lie behind."""
    return max(event.at_ms, event.received_ms)


def _silent_at_ms(state: SilenceState, site: SiteView) -> int:
    silent_ms = state.last_ms + state.after_ms
    return min(silent_ms, state.offline_ms + _grace_ms(state, site)) if state.offline_ms else silent_ms


def _grace_ms(state: SilenceState, site: SiteView) -> int:
    return min(int(site.threshold(OFFLINE_GRACE)), state.after_ms)


def _configured(state: SilenceState, event: DeviceConfigured) -> Outcome[SilenceState]:
    if event.removed or not event.silent_after_ms:
        closing = () if state.episode is None else (_closed(state, state.episode, event, event.place_id, "removed"),)
        return Outcome(None, closing)
    last_ms = state.last_ms or event.at_ms  # never heard from: silent from here on
    if state.episode is not None:
        return Outcome(msgspec.structs.replace(state, after_ms=event.silent_after_ms))
    wake_ms = max(last_ms + event.silent_after_ms, event.at_ms)
    return Outcome(SilenceState(1, event.device_id, last_ms, event.silent_after_ms, wake_ms, state.offline_ms, None))


def _went(state: SilenceState, event: Event, site: SiteView) -> Outcome[SilenceState]:
    """Take a last will: the device is silent soon, unless it is heard. Repeated wills change nothing."""
    if state.episode is not None or state.offline_ms or _received_ms(event) < state.last_ms:
        return Outcome(state)
    after_ms, went_ms = state.after_ms or _after_ms(state, site), _received_ms(event)
    gone = SilenceState(1, state.device_id, state.last_ms or went_ms, after_ms, 0, went_ms, None)
    return Outcome(msgspec.structs.replace(gone, wake_ms=max(_silent_at_ms(gone, site), went_ms)))


def _heard(state: SilenceState, event: Event, site: SiteView) -> Outcome[SilenceState]:
    """Take the first sign of a device, or its first after a silence.

    A clock may be set back to before that silence was stated. The sign came after it all the same: another silence
    begins later, never at the same moment again, which would be the same finding with another content.
    """
    after_ms = state.after_ms or _after_ms(state, site)
    heard_ms = _received_ms(event)
    if state.episode is not None:
        heard_ms = max(heard_ms, state.episode.onset_ms + 1)
    fresh = SilenceState(1, state.device_id, heard_ms, after_ms, heard_ms + after_ms, 0, None)
    if state.episode is None:
        return Outcome(fresh)
    return Outcome(fresh, (_closed(state, state.episode, event, _place_of(state, site, event.place_id), "heard"),))


def _after_ms(state: SilenceState, site: SiteView) -> int:
    device = site.devices[state.device_id]  # keys_of gave this key because the device is configured
    return device.silent_after_ms or 0


def _place_of(state: SilenceState, site: SiteView, default: str) -> str:
    device = site.devices.get(state.device_id)
    return default if device is None else device.place_id


def _opened(state: SilenceState, episode: Episode, site: SiteView) -> Draft:
    reason = "offline" if state.offline_ms else "no_message"
    silent_s = (episode.onset_ms - state.last_ms) / 1000
    return Draft(
        episode=episode,
        phase=Phase.OPEN,
        subject=Subject(SubjectKind.DEVICE, state.device_id),
        place_id=_place_of(state, site, site.site_id),
        source_id=state.device_id,
        facts=(fact("silence_reason", reason), fact("silent_s", silent_s, limit=state.after_ms / 1000)),
    )


def _closed(state: SilenceState, episode: Episode, event: Event, place_id: str, ended: str) -> Draft:
    silent_s = (_received_ms(event) - state.last_ms) / 1000
    facts = (fact("ended", ended, event_ids=(event.event_id,)), fact("silent_s", silent_s))
    return _over(state, episode, place_id, facts)


def _over(state: SilenceState, episode: Episode, place_id: str, facts: tuple[Fact, ...]) -> Draft:
    return Draft(
        episode=episode.next(),
        phase=Phase.CLOSE,
        subject=Subject(SubjectKind.DEVICE, state.device_id),
        place_id=place_id,
        source_id=state.device_id,
        facts=facts,
    )
