"""`camera_impaired` 摄像机受损: a camera whose pictures cannot be relied on, or are not looked at.

Situation: the box of a camera says what keeps it from seeing: no pictures come (``no_frames``), nobody judges them
(``not_judged``), they are black, covered, frozen, out of focus (``blurred``) or of another view (``moved``), too old
(``lagging``), or their times are of no use (``wrong_time``). What such a camera does not report is no sign of calm.

Events: ``DeviceReported`` of a device of class ``cam`` with ``impaired_by``. OPEN with the first, UPDATE if the reason
changes, CLOSE with the first report that names none, or when the device, its box, its place or its site leaves the
inventory, or it becomes another box's or another class of device (``removed``).

Thresholds: ``hold_ms`` 0, because the box itself holds each reason for 10 to 35 s before it says it, and for 10 s after
it is over (docs/edge.md). A site where lorries stand before the lens for minutes may wait longer.

What it will not catch: a camera whose box is gone (``device_silent``); cameras that report themselves and name no
reason; a view that is wrong since before the box was started; what looks like a quiet scene: a frozen picture with
something moving in its middle, or frozen for less than 20 s again and again, less than half of a picture smeared, a
screen without a signal that shows a picture or noise on black, fog that rises slowly, a camera turned while its view
changed too. A still scene without noise whose camera sends a key frame less than each 20 s looks frozen.

Late data: a report that comes late or was stored says how it was, not how it is, and is passed over; the next one comes
within a quarter of a minute.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from contracts.durations import HOUR_MS
from contracts.events import CameraImpairment, DeviceConfigured, DeviceReported, Event, PlaceConfigured
from contracts.findings import Phase, Severity, Subject, SubjectKind
from contracts.names import DeviceClass
from contracts.rules import RuleFacts, Threshold
from detectors.core.facts import fact
from detectors.core.rule import MAX_KEYS, Draft, Episode, Outcome
from detectors.core.site_view import LOOK_MS, SiteView, next_look_ms

RULE = "camera_impaired"
HOLD = Threshold(
    RULE,
    "hold_ms",
    0,
    0,
    HOUR_MS,
    "ms",
    "how long a camera must be impaired before it is told: its box has waited already",
)


class ImpairedState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What keeps one camera from seeing, since when. ``place_id`` and ``box_id`` are where it was when that began.

    ``look_ms``: when to look again whether the site is still there (0: never).
    """

    v: int
    device_id: str
    place_id: str
    since_ms: int
    reason: CameraImpairment | None
    episode: Episode | None
    box_id: str | None = None
    look_ms: int = 0


class CameraImpaired:
    """OPEN when a camera cannot be relied on, UPDATE with another reason, CLOSE when it can. Key: the camera."""

    name: ClassVar[str] = RULE
    version: ClassVar[int] = 1
    accepts: ClassVar[tuple[type[Event], ...]] = (DeviceReported, DeviceConfigured, PlaceConfigured)
    max_out_of_orderness_ms: ClassVar[int] = 200
    horizon_ms: ClassVar[int | None] = None
    instant: ClassVar[bool] = False
    receipt: ClassVar[bool] = False
    facts: ClassVar[RuleFacts] = RuleFacts(
        severity=Severity.MINOR,
        regroup_ms=HOUR_MS,
        thresholds=(HOLD,),
        fact_codes=("impaired_by", "impaired_s", "ended"),
    )
    state_type: type[ImpairedState] = ImpairedState

    def keys_of(self, event: Event, site: SiteView) -> tuple[str, ...]:
        """Return the camera: one of the inventory that reports, or those that a record of it may concern."""
        if type(event) is DeviceConfigured:
            is_box = event.removed and event.device_class is DeviceClass.EDGE
            return _cameras_of(event.device_id, site) if is_box else (event.device_id,)
        if type(event) is PlaceConfigured:
            return site.devices_at.get(event.place.place_id, ())[:MAX_KEYS] if event.removed else ()
        device = site.devices.get(event.source_id)
        return (event.source_id,) if device is not None and device.device_class is DeviceClass.CAM else ()

    def initial(self, key: str) -> ImpairedState:
        """Return a camera of which nothing is known."""
        return ImpairedState(1, key, "", 0, None, None)

    def on_event(self, state: ImpairedState, event: Event, site: SiteView) -> Outcome[ImpairedState]:
        """Take what its box says of it."""
        if type(event) is not DeviceReported:
            stays = type(event) is DeviceConfigured and _is_the_same(state, event)
            return Outcome(state if state.reason else None) if stays else _over(state, event.at_ms, "removed", event)
        reason = event.impaired_by
        if reason is None:
            return _over(state, event.at_ms, "cleared", event)
        if state.episode is None:
            return _impaired(state, reason, event, site)
        if reason is state.reason:
            return Outcome(state)
        told = msgspec.structs.replace(state, reason=reason, episode=state.episode.next())
        return Outcome(told, (_said(told, Phase.UPDATE, event),))

    def deadline_ms(self, state: ImpairedState) -> int | None:
        """Return when to look whether the site is still there: else only a report or a record changes anything."""
        return state.look_ms or None

    def on_deadline(self, state: ImpairedState, due_ms: int, site: SiteView) -> Outcome[ImpairedState]:
        """End the episode if the site is gone, else look again later."""
        if site.gone:
            return _over(state, due_ms, "removed")
        return Outcome(msgspec.structs.replace(state, look_ms=next_look_ms(due_ms, state.since_ms)))


def _cameras_of(box_id: str, site: SiteView) -> tuple[str, ...]:
    """Return the cameras that a box speaks for; a box has a handful."""
    return tuple(sorted(name for name, device in site.devices.items() if device.box_id == box_id))[:MAX_KEYS]


def _is_the_same(state: ImpairedState, record: DeviceConfigured) -> bool:
    """Return whether the record leaves the camera what it was. A box that is not known is any."""
    is_camera = not record.removed and record.device_class is DeviceClass.CAM
    return is_camera and (state.box_id is None or state.box_id == record.box_id)


def _over(state: ImpairedState, at_ms: int, ended: str, event: Event | None = None) -> Outcome[ImpairedState]:
    return Outcome(None, () if state.episode is None else (_closed(state, state.episode, at_ms, event, ended),))


def _impaired(state: ImpairedState, reason: CameraImpairment, event: Event, site: SiteView) -> Outcome[ImpairedState]:
    hold_ms = int(site.threshold(HOLD))
    since_ms = event.at_ms if state.reason is None else state.since_ms
    if event.at_ms - since_ms < hold_ms:
        return Outcome(ImpairedState(1, state.device_id, event.place_id, since_ms, reason, None))
    episode = Episode(event.at_ms, event.event_id)
    camera, look_ms = site.devices.get(state.device_id), event.at_ms + LOOK_MS
    box_id = None if camera is None else camera.box_id
    opened = ImpairedState(1, state.device_id, event.place_id, since_ms, reason, episode, box_id, look_ms)
    return Outcome(opened, (_said(opened, Phase.OPEN, event),))


def _said(state: ImpairedState, phase: Phase, event: Event) -> Draft:
    assert state.episode is not None  # made one line before
    return Draft(
        episode=state.episode,
        phase=phase,
        subject=Subject(SubjectKind.DEVICE, state.device_id),
        place_id=state.place_id,
        source_id=state.device_id,
        facts=(fact("impaired_by", None if state.reason is None else state.reason.value, event_ids=(event.event_id,)),),
    )


def _closed(state: ImpairedState, episode: Episode, at_ms: int, event: Event | None, ended: str) -> Draft:
    impaired_s = max(0, at_ms - state.since_ms) / 1000
    ids = () if event is None else (event.event_id,)
    return Draft(
        episode=episode.next(),
        phase=Phase.CLOSE,
        subject=Subject(SubjectKind.DEVICE, state.device_id),
        place_id=state.place_id,
        source_id=state.device_id,
        facts=(fact("ended", ended, event_ids=ids), fact("impaired_s", impaired_s)),
    )
