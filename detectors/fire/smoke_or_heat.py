"""`smoke_or_heat` 烟雾或高温: a sensor's alarm, its readings over a limit, or heat that rises as only fire makes it.

Situation: one smoke, heat or combined sensor. Its own alarm is enough; readings are judged too, because a sensor's own
alarm may be muted or wrongly set. A reading counts when its neighbour agrees: the one before it was over the limit too
and not the same number, or was rising already; or when two kinds of sign stand in one reading. Sensors that have just
got power, or have lost their probe, say 85 °C, 125 °C, −40 °C, 999.9 °C, 100 %/m or 65.535 %/m, and a bad contact
anything; heat over 300 °C is a fault.

Events: ``EnvironmentSampled``. OPEN at the first sign, UPDATE when another kind of sign joins it (heat after smoke),
CLOSE when no sign has been seen for ``clear_ms`` although the sensor spoke: a calm reading counts when it was taken and
received after the sign, for many sensors say an alarm once. A sensor that falls silent in an alarm may have burnt: its
episode stays open for a day and then closes as ``no_samples``, unverified. One that leaves the inventory, also with its
place or site or as a device of another class, will not say how it ends: its episode closes as ``removed``, unverified.

Thresholds: see ``detectors.fire.fire_signs`` for smoke and temperature. ``rise_c_min`` 10 °C/min is where EN 54-5
rate-of-rise detectors must respond; it counts only from ``rise_from_c`` 40 °C on and over a rise of ``rise_min_c``
10 °C, so that a sensor carried in from the cold, sun on a window or a first reading accuse nobody. ``clear_ms`` 60 s:
smoke comes in clouds.

What it will not catch: fires away from any sensor, gas (CO is not judged yet), and it cannot tell a burning e-bike from
a burnt pan; steam and cooking smoke do raise it. A sensor without an alarm of its own that says one reading over
the limit and then nothing more for two hours, or the same number ever after.

Late data: the rule is instant, so a late alarm is found at once. A live one that another message of its sensor
overtook, or whose clock stepped back, goes on from its receipt like any other. One that was stored changes neither the
running episode nor the last reading: it gets an episode of its own, opened and closed, unless one already covers its
time. A late reading has no neighbours that are known, so one kind of sign counts only beside another or an alarm.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from contracts.durations import DAY_MS, HOUR_MS
from contracts.events import DeviceConfigured, EnvironmentSampled, Event, PlaceConfigured
from contracts.findings import Fact, Phase, Severity, Subject, SubjectKind
from contracts.names import DeviceClass
from contracts.rules import RuleFacts, Threshold
from detectors.core.facts import fact
from detectors.core.rule import MAX_KEYS, Draft, Episode, Outcome
from detectors.core.site_view import LOOK_MS, SiteView, next_look_ms
from detectors.fire import smoke_readings
from detectors.fire.fire_signs import HEAT, PLAUSIBLE_C, RULE, SMOKE, fire_signs, is_sure

CLEAR = Threshold(
    RULE, "clear_ms", 60_000, 1_000, HOUR_MS, "ms", "so long without a sign is clear: smoke comes in clouds"
)
FORGET_MS = 600_000  # a reading older than ten minutes says nothing about the rate of rise
HOT_FORGET_MS = 2 * HOUR_MS  # a hot one is kept until the next: some sensors speak once an hour
BURNT_MS = DAY_MS  # a sensor silent for a day after its alarm: somebody has been there
LIVE_MS = 10_000  # a live word is no older: what is, had been kept. Ingest dates alarms so that none is
COVER_MS = 30 * DAY_MS  # what is over stays known while its messages may come again; older ones are refused
RISE_RATE = Threshold(
    RULE,
    "rise_c_min",
    10.0,
    1,
    60,
    "°C/min",
    "heat that rises so fast is a sign of fire: EN 54-5 detectors must respond",
)
RISE_FROM = Threshold(
    RULE, "rise_from_c", 40.0, 0, 80, "°C", "a rise counts from here on: warmer than any room on a summer's day"
)
LEAST_RISE = Threshold(RULE, "rise_min_c", 10.0, 1, 60, "°C", "a smaller rise is a sensor's steps and noise")
RISE_OVER_MS = (5_000, 300_000)  # closer readings are noise, further ones may be weather
ANCHOR_MS = 60_000  # the rise is measured from a reading about this old, so that frequent readings add up
RISING_C = 2.0  # the reading before was above the one it is measured from by more than a step of the sensor
STILL_RISING = 0.5  # and the newest rises at least half as fast as a fire would
STEEPER = 10.0  # before that it rose at most so many times as fast: a first reading of −40 °C is no beginning
OUTLIER_C = 10.0  # a reading so far from both its neighbours is no anchor
TRUST = {"sensor_alarm": 0.95, "smoke_pct_m": 0.85, "temperature_c": 0.85, "temperature_rise_c_min": 0.7}
"""How sure one sign is: the sensor's own judgement is the one it was tested for."""
MAX_SPANS = 64
SENSORS = frozenset((DeviceClass.SENSOR, DeviceClass.LIFT))
"""What may say that it burns; a device of another class is that sensor no more."""


class Reading(msgspec.Struct, frozen=True, array_like=True):
    """A temperature and when it was."""

    at_ms: int
    temperature_c: float


class CoveredSpan(msgspec.Struct, frozen=True, array_like=True):
    """A time already covered by an episode that is over."""

    from_ms: int
    to_ms: int


class Fire(msgspec.Struct, frozen=True, array_like=True):
    """The running episode: its identity, the signs it has stated, where, and when the last one was seen and known.

    ``look_ms``: when to look again whether the site is still there (0: of a version that did not).
    """

    episode: Episode
    signs: tuple[str, ...]
    place_id: str
    sign_ms: int
    clear_ms: int
    look_ms: int = 0


class FireState(msgspec.Struct, frozen=True, array_like=True):
    """One sensor. ``last_ms`` is its newest word in order; ``anchor`` and ``last`` its temperatures for the rise."""

    v: int
    sensor_id: str
    last_ms: int = 0
    anchor: Reading | None = None
    last: Reading | None = None
    fire: Fire | None = None
    past: tuple[CoveredSpan, ...] = ()
    smoke: smoke_readings.Recent = ()


class SmokeOrHeat:
    """OPEN, UPDATE for another sign, CLOSE when clear. Key: the sensor."""

    name: ClassVar[str] = RULE
    version: ClassVar[int] = 2
    accepts: ClassVar[tuple[type[Event], ...]] = (EnvironmentSampled, DeviceConfigured, PlaceConfigured)
    max_out_of_orderness_ms: ClassVar[int] = 0
    horizon_ms: ClassVar[int | None] = None
    instant: ClassVar[bool] = True
    receipt: ClassVar[bool] = False
    facts: ClassVar[RuleFacts] = RuleFacts(
        severity=Severity.CRITICAL,
        life_safety=True,
        thresholds=(SMOKE, HEAT, RISE_RATE, RISE_FROM, LEAST_RISE, CLEAR),
        fact_codes=("sensor_alarm", "smoke_pct_m", "temperature_c", "temperature_rise_c_min", "ended"),
    )
    state_type: type[FireState] = FireState

    def keys_of(self, event: Event, site: SiteView) -> tuple[str, ...]:
        """Return the sensor; of the inventory's records only one that removes it, or its place, concerns it."""
        if type(event) is DeviceConfigured:
            return (event.device_id,) if event.removed or event.device_class not in SENSORS else ()
        if type(event) is PlaceConfigured:
            return site.devices_at.get(event.place.place_id, ())[:MAX_KEYS] if event.removed else ()
        return (event.source_id,)

    def initial(self, key: str) -> FireState:
        """Return a sensor that has said nothing yet."""
        return FireState(1, key)

    def on_event(self, state: FireState, event: Event, site: SiteView) -> Outcome[FireState]:
        """Take one reading, in order or late, or that the sensor is removed."""
        if type(event) is DeviceConfigured or type(event) is PlaceConfigured:
            ended = () if state.fire is None else (_closed(state.fire, state.sensor_id, "removed"),)
            return Outcome(None, ended)
        if type(event) is not EnvironmentSampled:
            return Outcome(state)
        signs = fire_signs(event, site)
        if event.at_ms < state.last_ms:
            return _overtaken(state, event, signs, site) if is_sure(signs) else Outcome(state)
        state = _remembered(state, event.at_ms)
        signs = (*signs, *_rise(state, event, site))
        if signs and state.fire is None and not is_sure(signs) and not _neighbour_agrees(state, event, site):
            signs = ()
        after = _read(state, event)
        if event.smoke_pct_m is not None:
            smoke = smoke_readings.remembered(state.smoke, event.at_ms, event.smoke_pct_m, site.threshold(SMOKE))
            after = after if smoke == after.smoke else msgspec.structs.replace(after, smoke=smoke)
        if signs:
            return _burning(after, event, signs, _clear_ms(site))
        if after.fire is None:  # a plain "no alarm" is nothing to remember
            return Outcome(after if after.last is not None or after.past or after.smoke else None)
        if state.last_ms <= after.fire.sign_ms and 0 < event.received_ms <= after.fire.sign_ms:  # received before it
            fire = msgspec.structs.replace(after.fire, look_ms=max(after.fire.look_ms, event.at_ms))
            after = msgspec.structs.replace(after, fire=fire, last_ms=state.last_ms)
        return Outcome(after)

    def deadline_ms(self, state: FireState) -> int | None:
        """Return when a running episode may be clear, else when nothing here is worth remembering."""
        fire = state.fire
        if fire is None:
            return max(_forget_ms(state), state.past[-1].to_ms + COVER_MS if state.past else 0)
        end_ms = _end_ms(state, fire)
        return min(end_ms, max(fire.look_ms, state.last_ms)) if fire.look_ms else end_ms

    def on_deadline(self, state: FireState, due_ms: int, site: SiteView) -> Outcome[FireState]:
        """Clear, burnt, or forgotten."""
        fire = state.fire
        if fire is None:
            return Outcome(None)
        if site.gone:
            return Outcome(None, (_closed(fire, state.sensor_id, "removed"),))
        if due_ms < _end_ms(state, fire):
            fire = msgspec.structs.replace(fire, look_ms=next_look_ms(due_ms, fire.episode.onset_ms))
            return Outcome(msgspec.structs.replace(state, fire=fire))
        spoke = state.last_ms > fire.sign_ms
        span = CoveredSpan(fire.episode.onset_ms, fire.sign_ms)
        rest = msgspec.structs.replace(state, fire=None, past=_with_span(state.past, span))
        if not spoke:  # its next deadline would be the one just handled
            rest = msgspec.structs.replace(rest, last_ms=due_ms)
        return Outcome(rest, (_closed(fire, state.sensor_id, "cleared" if spoke else "no_samples"),))


def _end_ms(state: FireState, fire: Fire) -> int:
    """Return when the episode is over as things are: clear since it spoke without a sign, or burnt."""
    spoke = state.last_ms > fire.sign_ms
    return max(fire.sign_ms + fire.clear_ms, state.last_ms) if spoke else fire.sign_ms + BURNT_MS


def _clear_ms(site: SiteView) -> int:
    return int(site.threshold(CLEAR))


def _read(state: FireState, event: EnvironmentSampled) -> FireState:
    """Return the state with this reading as its newest; the anchor follows when it has become old.

    The same reading again changes nothing.
    """
    if event.temperature_c is None or _is_repeated(state, event):
        return msgspec.structs.replace(state, last_ms=event.at_ms)
    reading = Reading(event.at_ms, event.temperature_c)
    anchor = state.anchor
    if anchor is None or state.last is None:
        anchor = reading
    elif event.at_ms - anchor.at_ms > ANCHOR_MS:
        anchor = reading if _is_outlier(state.last, anchor, reading) else state.last
    return msgspec.structs.replace(state, last_ms=event.at_ms, anchor=anchor, last=reading)


def _forget_ms(state: FireState) -> int:
    """Return until when its readings are remembered."""
    hot = bool(state.smoke) or (state.last is not None and state.last.temperature_c >= HEAT.minimum)
    kept_ms = HOT_FORGET_MS if hot else FORGET_MS
    return max(state.last_ms + kept_ms, state.past[-1].to_ms + BURNT_MS if state.past else 0)


def _remembered(state: FireState, now_ms: int) -> FireState:
    """Return the state without readings that are too old to say anything about the next one."""
    return state if now_ms <= _forget_ms(state) else msgspec.structs.replace(state, anchor=None, last=None, smoke=())


def _is_repeated(state: FireState, event: EnvironmentSampled) -> bool:
    return state.last is not None and event.at_ms == state.last.at_ms


def _is_outlier(between: Reading, before: Reading, after: Reading) -> bool:
    """Return whether a reading lies far above or far below both its neighbours."""
    low, high = sorted((before.temperature_c, after.temperature_c))
    return not low - OUTLIER_C <= between.temperature_c <= high + OUTLIER_C


def _neighbour_agrees(state: FireState, event: EnvironmentSampled, site: SiteView) -> bool:
    """Return whether the reading before this one said so as well, or was on its way there."""
    smoke, limit = event.smoke_pct_m, site.threshold(SMOKE)
    if smoke is not None and smoke >= limit and smoke_readings.agrees(state.smoke, event.at_ms, smoke, limit):
        return True
    return _heat_agrees(state, event, site)


def _heat_agrees(state: FireState, event: EnvironmentSampled, site: SiteView) -> bool:
    """Return whether heat does. A number that stands still is a constant of the sensor: fire has none."""
    anchor, last = state.anchor, state.last
    if anchor is None or last is None or event.temperature_c is None or event.at_ms <= last.at_ms:
        return False
    if max(event.temperature_c, last.temperature_c) > PLAUSIBLE_C:
        return False
    if last.temperature_c >= site.threshold(HEAT):
        return event.temperature_c >= site.threshold(HEAT) and event.temperature_c != last.temperature_c
    now = Reading(event.at_ms, event.temperature_c)
    before_c_min, rate_c_min = _slope(anchor, last), _slope(last, now)
    rising = last.temperature_c - anchor.temperature_c >= RISING_C and before_c_min <= STEEPER * rate_c_min
    return rising and rate_c_min >= STILL_RISING * site.threshold(RISE_RATE)


def _slope(before: Reading, after: Reading) -> float:
    """Return the rise between two readings in °C/min; 0 when they are of one moment."""
    over_ms = after.at_ms - before.at_ms
    return (after.temperature_c - before.temperature_c) / (over_ms / 60_000) if over_ms > 0 else 0.0


def _rise(state: FireState, event: EnvironmentSampled, site: SiteView) -> tuple[Fact, ...]:
    """Return the rate of rise as a sign, when there is one. A reading said twice has not risen since it was said."""
    anchor = state.anchor
    if anchor is None or event.temperature_c is None or _is_repeated(state, event):
        return ()
    if event.temperature_c > PLAUSIBLE_C:
        return ()
    over_ms, rise_c = event.at_ms - anchor.at_ms, event.temperature_c - anchor.temperature_c
    if event.temperature_c < site.threshold(RISE_FROM):
        return ()
    if rise_c < site.threshold(LEAST_RISE) or not RISE_OVER_MS[0] <= over_ms <= RISE_OVER_MS[1]:
        return ()
    rate, limit = rise_c / (over_ms / 60_000), site.threshold(RISE_RATE)
    return (fact("temperature_rise_c_min", rate, limit=limit, event_ids=(event.event_id,)),) if rate >= limit else ()


def _burning(state: FireState, event: EnvironmentSampled, signs: tuple[Fact, ...], clear_ms: int) -> Outcome[FireState]:
    """Take a reading with signs: the first opens, another kind of sign updates, the same again says nothing."""
    codes = tuple(sign.code for sign in signs)
    fire, sign_ms = state.fire, max(_known_ms(event), state.last_ms)
    if fire is None:
        fire = Fire(Episode(event.at_ms, event.event_id), codes, event.place_id, sign_ms, clear_ms, sign_ms + LOOK_MS)
        return Outcome(msgspec.structs.replace(state, fire=fire), (_stated(fire.episode, Phase.OPEN, event, signs),))
    known, sign_ms = {*fire.signs, *codes}, max(sign_ms, fire.sign_ms)
    if known == set(fire.signs):
        return Outcome(msgspec.structs.replace(state, fire=msgspec.structs.replace(fire, sign_ms=sign_ms)))
    fire = msgspec.structs.replace(fire, sign_ms=sign_ms, signs=tuple(sorted(known)), episode=fire.episode.next())
    return Outcome(msgspec.structs.replace(state, fire=fire), (_stated(fire.episode, Phase.UPDATE, event, signs),))


def _is_live(event: EnvironmentSampled) -> bool:
    """Return whether it says how it is now: it was neither stored nor kept. An alarm that waited rings all the same."""
    return not event.stored and (event.alarm or event.received_ms - event.at_ms <= LIVE_MS)


def _known_ms(event: EnvironmentSampled) -> int:
    """Return since when a sign is known: a live one goes on from its receipt, one of the past was when it says."""
    return max(event.at_ms, event.received_ms) if _is_live(event) else event.at_ms


def _overtaken(
    state: FireState, event: EnvironmentSampled, signs: tuple[Fact, ...], site: SiteView
) -> Outcome[FireState]:
    """Take a sure sign that is dated before the sensor's last word: a live one burns now, others are of the past."""
    told = any(span.from_ms <= event.at_ms <= span.to_ms for span in state.past)
    if _is_live(event) and event.received_ms >= state.last_ms - LIVE_MS and not told:
        return _burning(state, event, signs, _clear_ms(site))
    return _late(state, event, signs, _clear_ms(site))


def _late(state: FireState, event: EnvironmentSampled, signs: tuple[Fact, ...], clear_ms: int) -> Outcome[FireState]:
    """Take a late reading with signs: an episode of its own, over already, unless one covers its time."""
    fire = state.fire
    if fire is not None and event.at_ms >= fire.episode.onset_ms - clear_ms:
        return Outcome(state)
    for number, span in enumerate(state.past):
        if span.from_ms - clear_ms <= event.at_ms <= span.to_ms + clear_ms:
            wider = CoveredSpan(min(span.from_ms, event.at_ms), max(span.to_ms, event.at_ms))
            past = (*state.past[:number], wider, *state.past[number + 1 :])
            return Outcome(msgspec.structs.replace(state, past=past))
    own = Fire(Episode(event.at_ms, event.event_id), (), event.place_id, event.at_ms, clear_ms)
    past = _with_span(state.past, CoveredSpan(event.at_ms, event.at_ms))
    drafts = (_stated(own.episode, Phase.OPEN, event, signs), _closed(own, state.sensor_id, "cleared"))
    return Outcome(msgspec.structs.replace(state, past=past), drafts)


def _with_span(past: tuple[CoveredSpan, ...], span: CoveredSpan) -> tuple[CoveredSpan, ...]:
    """Return the spans with one more, in order of their ends. Over ``MAX_SPANS`` the two closest become one.

    None is dropped: an alarm that comes again must find its episode, or it would open the same one anew. What lies
    between two of a sensor's last 64 episodes is told with them.
    """
    spans = sorted((*past, span), key=_end)
    if len(spans) <= MAX_SPANS:
        return tuple(spans)
    nearest = min(range(1, len(spans)), key=lambda n: spans[n].from_ms - spans[n - 1].to_ms)
    before, after = spans[nearest - 1], spans[nearest]
    spans[nearest - 1 : nearest + 1] = [CoveredSpan(min(before.from_ms, after.from_ms), after.to_ms)]
    return tuple(spans)


def _end(span: CoveredSpan) -> int:
    return span.to_ms


def _stated(episode: Episode, phase: Phase, event: EnvironmentSampled, signs: tuple[Fact, ...]) -> Draft:
    return Draft(
        episode=episode,
        phase=phase,
        subject=Subject(SubjectKind.PLACE, event.place_id),
        place_id=event.place_id,
        source_id=event.source_id,
        confidence=max(TRUST[sign.code] for sign in signs),
        facts=signs,
        evidence=event.evidence,
        model=event.model,
    )


def _closed(fire: Fire, sensor_id: str, ended: str) -> Draft:
    return Draft(
        episode=fire.episode.next(),
        phase=Phase.CLOSE,
        subject=Subject(SubjectKind.PLACE, fire.place_id),
        place_id=fire.place_id,
        source_id=sensor_id,
        verified=ended == "cleared",
        facts=(fact("ended", ended),),
    )
