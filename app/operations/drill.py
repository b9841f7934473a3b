"""A test through the receivers as they are configured: really sent, stored nowhere."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import msgspec

from app.settings.receivers import webhook_receiver
from app.settings.secret_files import read_secret
from app.settings.settings import Settings
from app.wiring.known_sites import known_sites, need_site
from contracts.errors import ConfigurationError, LinliError
from contracts.suggestions import did_you_mean
from delivery.backoff import AttemptOutcome
from delivery.drill import drill_delivery
from delivery.outbox import attempt
from delivery.profiles import ReceiverProfile
from delivery.receiver import Receiver
from delivery.receivers.opening import open_receivers

WEBHOOK = "webhook"
NO_SITE = "test"

_WHY = {AttemptOutcome.UNREADABLE: "it answered, and no receipt could be read in the answer"}


class DrillResult(msgspec.Struct, frozen=True):
    """What came of one receiver: whether it was attempted, whether it took it, and why not."""

    receiver: str
    attempted: bool
    accepted: bool
    reason: str = ""


def site_to_name(settings: Settings, site_id: str | None) -> str:
    """Return the site that a drill names: ``site_id``, else the first that is known, if one is.

    Raises:
        ConfigurationError: there is no site ``site_id``.
    """
    if site_id is not None:
        return need_site(settings, site_id)
    try:
        return min(known_sites(settings), default=NO_SITE)
    except LinliError:  # a database that is away keeps no receiver from being tried
        return NO_SITE


def try_receivers(settings: Settings, site_id: str, only: str | None, now_ms: int) -> Iterator[DrillResult]:
    """Send a drill through each receiver, whatever its profile lets through otherwise, and yield what came of it.

    Args:
        settings: name the receivers.
        site_id: the site that the drill names.
        only: this receiver alone.
        now_ms: epoch ms.

    Raises:
        ConfigurationError: no receiver is configured, or none of this name.
    """
    opening: dict[str, Callable[[], list[tuple[ReceiverProfile, Receiver]]]] = {
        one.name: lambda one=one: open_receivers([one], read_secret)  # type: ignore[misc]
        for one in settings.receiver
    }
    if settings.webhook.url:
        opening[WEBHOOK] = lambda: open_receivers([webhook_receiver(settings.webhook)], read_secret)
    if not opening:
        raise ConfigurationError("no receiver is configured: nobody is told of any alarm (`linli docs operations`)")
    if only is not None and only not in opening:
        raise ConfigurationError(f"no receiver is called {only!r}; {did_you_mean(only, opening)}")
    for name, open_it in opening.items():
        if only in {None, name}:
            yield _try(name, open_it, site_id, now_ms)


def _try(
    name: str, open_it: Callable[[], list[tuple[ReceiverProfile, Receiver]]], site_id: str, now_ms: int
) -> DrillResult:
    try:
        ((profile, receiver),) = open_it()
    except ConfigurationError as error:
        return DrillResult(name, attempted=False, accepted=False, reason=str(error))
    made = attempt(receiver, drill_delivery(name, site_id, profile.min_severity, now_ms, secrets.token_hex(6)))
    if made.outcome is AttemptOutcome.DELIVERED:
        return DrillResult(name, attempted=True, accepted=True)
    why = _WHY.get(made.outcome) or f"{made.outcome}: {made.detail}"
    return DrillResult(name, attempted=True, accepted=False, reason=why)
