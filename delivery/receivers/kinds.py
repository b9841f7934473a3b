"""Every kind of receiver, a line each."""

from __future__ import annotations

from typing import Any

from delivery.receivers.kind import ReceiverKind
from delivery.receivers.webhook.client import open_webhook
from delivery.receivers.webhook.settings import WebhookSettings

KINDS: dict[str, ReceiverKind[Any]] = {
    "webhook": ReceiverKind(WebhookSettings, open_webhook, signs_with="secret_file"),
}
"""Kind, which is also the name of its folder → how it is set up."""
