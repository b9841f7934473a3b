"""What the stages of a charge add up to: suspected or confirmed, how severe, how sure, and the facts that say why."""

from __future__ import annotations

import msgspec

from contracts.durations import HOUR_MS
from contracts.findings import Fact, Phase, Severity, Subject, SubjectKind
from contracts.rules import Threshold
from detectors.charging.charger_signature import RULE, Charge
from detectors.core.facts import fact
from detectors.core.rule import Draft, Episode
from detectors.core.site_view import SiteView

SUSPECT_MIN_W = Threshold(
    RULE,
    "suspect_min_w",
    100.0,
    20,
    2_000,
    "W",
    "power alone is suspected from here on: laptops reach 90 W in this shape",
)
KNOWN_BEFORE = Threshold(
    RULE,
    "known_before_ms",
    HOUR_MS,
    0,
    18_000_000,
    "ms",
    "how much of a circuit is known before power alone is suspected: else a fridge's first run might be",
)
FACTOR_MIN = Threshold(
    RULE,
    "power_factor_min",
    0.45,
    0,
    1,
    "",
    "a charger's least power factor: 0.5 without correction, and measuring error",
)
FACTOR_MAX = Threshold(
    RULE, "power_factor_max", 0.70, 0, 1, "", "a charger's highest: 0.65 without correction, and measuring error"
)
CORRECTED = Threshold(
    RULE, "corrected_factor", 0.80, 0, 1, "", "above it is a corrected supply, a heater or a motor: no such charger"
)
LEAD = Threshold(
    RULE,
    "lead_ms",
    HOUR_MS,
    0,
    43_200_000,
    "ms",
    "how long before plugging in an e-bike was seen: people plug in soon",
)
SEEN_AFTER_MS = 600_000  # a camera's clock, and an extension lead to the corridor
MIN_KWH = Threshold(RULE, "min_kwh", 0.3, 0, 10, "kWh", "the least energy of a complete charge")
MAX_KWH = Threshold(RULE, "max_kwh", 3.0, 0.1, 20, "kWh", "the most energy of a complete charge")
MIN_CHARGE = Threshold(RULE, "min_charge_ms", 7_200_000, 1_800_000, 43_200_000, "ms", "the shortest complete charge")
THRESHOLDS = (
    SUSPECT_MIN_W,
    KNOWN_BEFORE,
    FACTOR_MIN,
    FACTOR_MAX,
    CORRECTED,
    LEAD,
    MIN_KWH,
    MAX_KWH,
    MIN_CHARGE,
)
"""Those of the stages, in the order in which people should read them."""

PLATEAU, FACTOR, EBIKE, TAG, TAPER, FIRE = "plateau", "power_factor", "ebike", "tag", "taper", "fire"
CONFIDENCE = {PLATEAU: 0.3, FACTOR: 0.3, EBIKE: 0.25, TAG: 0.3, TAPER: 0.35, FIRE: 0.3}
"""What each stage adds; the sum is cut at 0.99. Estimates, to be calibrated on recorded data."""


class SeenEvent(msgspec.Struct, frozen=True, array_like=True):
    """Something seen, and the event that said so."""

    at_ms: int
    event_id: str


class Stated(msgspec.Struct, frozen=True, array_like=True):
    """The running episode, the stages it has stated, and how seriously."""

    episode: Episode
    stages: tuple[str, ...]
    critical: bool
    verified: bool


class ChargeVerdict(msgspec.Struct, frozen=True):
    """The state of a charge now. ``seen`` are the sightings it rests on, by stage."""

    stages: tuple[str, ...]
    confirmed: bool
    seen: dict[str, SeenEvent]

    @property
    def verified(self) -> bool:
        """Confirmed, and something besides the meter speaks for it."""
        return self.confirmed and bool(self.seen)

    @property
    def critical(self) -> bool:
        """Verified, or on fire."""
        return self.verified or FIRE in self.seen


def verdict_of(
    charge: Charge, ebike: SeenEvent | None, tag: SeenEvent | None, fire: SeenEvent | None, site: SiteView
) -> ChargeVerdict | None:
    """Return what the stages add up to; None while they are not enough to suspect anybody."""
    seen = {
        stage: sighting
        for stage, sighting in ((EBIKE, ebike), (TAG, tag))
        if sighting is not None and _went_in(charge, sighting, site)
    }
    if fire is not None and fire.at_ms >= charge.start_ms:
        seen[FIRE] = fire
    factor, taper = _is_chargers(charge, site), _is_complete(charge, site)
    known = [PLATEAU, *([FACTOR] if factor else []), *seen, *([TAPER] if taper else [])]
    if not _suspected(charge, seen, site, factor=factor, taper=taper):
        return None
    bike = EBIKE in seen or TAG in seen
    confirmed = taper or FIRE in seen or (factor and bike)
    return ChargeVerdict(tuple(known), confirmed, seen)


def may_be_charger(charge: Charge, site: SiteView) -> bool:
    """Return whether a load of this shape is worth following: not at the power factor of lamps and televisions."""
    return not _is_corrected(charge, site)


def draft_of(
    verdict: ChargeVerdict, charge: Charge, phase: Phase, episode: Episode, meter_id: str, site: SiteView
) -> Draft:
    """Return the finding that states ``verdict``."""
    place_id = place_of(meter_id, site)
    return Draft(
        episode=episode,
        phase=phase,
        subject=Subject(SubjectKind.PLACE, place_id),
        place_id=place_id,
        source_id=meter_id,
        severity=Severity.CRITICAL if verdict.critical else Severity.MAJOR,
        verified=verdict.verified,
        confidence=min(0.99, sum(CONFIDENCE[stage] for stage in verdict.stages)),
        facts=_facts(verdict, charge, site),
    )


def place_of(meter_id: str, site: SiteView) -> str:
    """Return where the meter stands; the site, when it has just been removed."""
    device = site.devices.get(meter_id)
    return site.site_id if device is None else device.place_id


def _suspected(charge: Charge, seen: dict[str, SeenEvent], site: SiteView, *, factor: bool, taper: bool) -> bool:
    """Return whether enough stages hold together to say anything."""
    bike = EBIKE in seen or TAG in seen
    if FIRE in seen or (taper and (bike or not _is_corrected(charge, site))):
        return True
    if charge.recurring or _is_corrected(charge, site):
        return False
    by_power = (
        factor
        and charge.level_w >= site.threshold(SUSPECT_MIN_W)
        and charge.known_before_ms >= site.threshold(KNOWN_BEFORE)
    )
    return by_power or bike


def _went_in(charge: Charge, sighting: SeenEvent, site: SiteView) -> bool:
    lead_ms = site.threshold(LEAD)
    return charge.start_ms - lead_ms <= sighting.at_ms <= charge.start_ms + SEEN_AFTER_MS


def _is_chargers(charge: Charge, site: SiteView) -> bool:
    low = site.threshold(FACTOR_MIN)
    return low <= charge.power_factor <= site.threshold(FACTOR_MAX)


def _is_corrected(charge: Charge, site: SiteView) -> bool:
    return charge.power_factor > site.threshold(CORRECTED)


def _is_complete(charge: Charge, site: SiteView) -> bool:
    """Return whether it has plateau and tail, with a battery's energy in a battery's time."""
    enough = site.threshold(MIN_KWH) <= charge.energy_kwh <= site.threshold(MAX_KWH)
    return charge.tapered_ms > 0 and enough and charge.length_ms >= site.threshold(MIN_CHARGE)


def _facts(verdict: ChargeVerdict, charge: Charge, site: SiteView) -> tuple[Fact, ...]:
    facts = [
        fact("stage", "confirmed" if verdict.confirmed else "suspected"),
        fact("plateau_w", charge.level_w),
        fact("plateau_min", charge.length_ms / 60_000),
        fact("plateau_variation", charge.variation),
    ]
    if charge.power_factor >= 0:
        limit = site.threshold(FACTOR_MAX)
        facts.append(fact("power_factor", charge.power_factor, limit=limit))
    codes = ((EBIKE, "ebike_seen_before_min"), (TAG, "tag_seen_before_min"))
    for stage, code in codes:
        if stage in verdict.seen:
            sighting = verdict.seen[stage]
            minutes = (charge.start_ms - sighting.at_ms) / 60_000
            limit = site.threshold(LEAD) / 60_000
            facts.append(fact(code, minutes, limit=limit, event_ids=(sighting.event_id,)))
    if FIRE in verdict.seen:
        facts.append(fact("fire_sign", True, event_ids=(verdict.seen[FIRE].event_id,)))  # noqa: FBT003 - a fact's value
    if TAPER in verdict.stages:
        facts.append(fact("taper_min", charge.tapered_ms / 60_000))
    facts.append(fact("energy_kwh", charge.energy_kwh, limit=site.threshold(MAX_KWH)))
    return tuple(facts)
