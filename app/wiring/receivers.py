"""Who is told of incidents, as the settings say it."""

from __future__ import annotations

from pathlib import Path

from app.settings.settings import Settings
from contracts.errors import ConfigurationError
from contracts.events import Origin
from contracts.findings import Severity
from delivery.profiles import ReceiverProfile
from delivery.receivers.webhook.client import Webhook

WEBHOOK = "webhook"


def receivers_of(settings: Settings) -> list[tuple[ReceiverProfile, Webhook]]:
    """The receivers that are configured, each with what it may be told."""
    url = settings["webhook.url"]
    if not url:
        return []
    secret = read_secret(settings["webhook.secret_file"], "webhook.secret_file").encode()
    origins = tuple(Origin(part.strip()) for part in settings["webhook.origins"].split(","))
    profile = ReceiverProfile(
        name=WEBHOOK,
        origins=origins,
        unverified=settings["webhook.unverified"] == "true",
        min_severity=Severity(settings["webhook.min_severity"]),
    )
    return [(profile, Webhook(WEBHOOK, url, secret))]


def read_secret(path: str, key: str) -> str:
    """The first line of a secret file.

    Raises:
        ConfigurationError: no file is named, or it cannot be read; never shows its content.
    """
    if not path:
        raise ConfigurationError(f"{key} is empty: name a file that holds the secret")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{key} = {path!r} cannot be read: {type(error).__name__}") from None
