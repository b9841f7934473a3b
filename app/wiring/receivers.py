"""Who is told of incidents, as the settings say it."""

from __future__ import annotations

from app.settings.receivers import webhook_receiver
from app.settings.secret_files import read_secret
from app.settings.settings import Settings
from delivery.profiles import ReceiverProfile
from delivery.receiver import Receiver
from delivery.receivers.opening import open_receivers


def receiver_names(settings: Settings) -> list[str]:
    """Return the names of the receivers that are configured; reads none of their secrets.

    Raises:
        ConfigurationError: ``[webhook]`` cannot be used.
    """
    webhook = [webhook_receiver(settings.webhook)] if settings.webhook.url else []
    return [one.profile.name for one in [*settings.receiver, *webhook]]


def receivers_of(settings: Settings) -> list[tuple[ReceiverProfile, Receiver]]:
    """Return the receivers that are configured, each with what it may be told: ``[webhook]`` is the last.

    Raises:
        ConfigurationError: ``[webhook]`` or a secret cannot be used.
    """
    webhook = [webhook_receiver(settings.webhook)] if settings.webhook.url else []
    return open_receivers([*settings.receiver, *webhook], read_secret)
