"""Who is told of incidents, as the settings say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from app.settings.settings import Settings
from contracts.errors import ConfigurationError
from contracts.secrets import Secret
from delivery.http.address import parse_address
from delivery.profiles import ReceiverProfile
from delivery.receiver import Receiver
from delivery.receivers.opening import open_receivers
from delivery.receivers.tables import receiver_settings

WEBHOOK = "webhook"
"""The kind and the name of the receiver in ``[webhook]``; deliveries that are stored bear the name."""


def receivers_of(
    settings: Settings, tables: Sequence[Mapping[str, object]] = (), *, folder: Path = Path()
) -> list[tuple[ReceiverProfile, Receiver]]:
    """Return the receivers that are configured, each with what it may be told.

    Args:
        settings: its ``[webhook]`` is one receiver of that kind and name.
        tables: the ``[[receiver]]`` tables as they are written.
        folder: what relative paths are relative to.

    Raises:
        ConfigurationError: something in them, or a secret, cannot be used.
    """
    configured = receiver_settings([*tables, *_webhook_tables(settings)], folder=folder)
    return open_receivers(configured, lambda path, key: Secret(read_secret(str(path), key)))


def _webhook_tables(settings: Settings) -> list[dict[str, object]]:
    """Return ``[webhook]`` as the table of a receiver; none when it has no address."""
    url, secret_file = settings["webhook.url"], settings["webhook.secret_file"]
    if not url:
        return []
    if not secret_file:
        raise ConfigurationError("webhook.secret_file is empty: name a file that holds the secret")
    try:
        parse_address(url)
    except ConfigurationError as error:
        raise ConfigurationError(f"[webhook]: {error}") from None
    return [
        {
            "kind": WEBHOOK,
            "name": WEBHOOK,
            "url": url,
            "secret_file": secret_file,
            "origins": [part.strip() for part in settings["webhook.origins"].split(",")],
            "unverified": settings["webhook.unverified"] == "true",
            "min_severity": settings["webhook.min_severity"],
        }
    ]


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
