"""Who is told of incidents, as the settings say it."""

from __future__ import annotations

from app.settings.secret_files import read_secret
from app.settings.settings import Settings
from delivery.profiles import ReceiverProfile
from delivery.receivers.webhook.client import Webhook

WEBHOOK = "webhook"


def receivers_of(settings: Settings) -> list[tuple[ReceiverProfile, Webhook]]:
    """The receivers that are configured, each with what it may be told."""
    url = settings.webhook.url
    if not url:
        return []
    secret = read_secret(settings.webhook.secret_file, "webhook.secret_file").reveal().encode()
    profile = ReceiverProfile(
        name=WEBHOOK,
        origins=settings.webhook.origins,
        unverified=settings.webhook.unverified,
        min_severity=settings.webhook.min_severity,
    )
    return [(profile, Webhook(WEBHOOK, url, secret))]
