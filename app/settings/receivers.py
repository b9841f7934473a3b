"""Settings of who is told of incidents: ``[[receiver]]`` tables, and the one ``[webhook]`` of before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from app.settings.about import About
from app.settings.kinds import OPTIONAL_PATH, TRUTH, choice, optional, revealed, some_of, url
from contracts.errors import ConfigurationError
from contracts.events import Origin
from contracts.findings import Severity
from delivery.http.address import parse_address
from delivery.receivers.tables import ReceiverSettings, receiver_settings

WEBHOOK = "webhook"
"""The kind and the name of the receiver in ``[webhook]``; deliveries that are stored bear the name."""
_ANY_WEBHOOK = {"kind": WEBHOOK, "name": WEBHOOK, "url": "https://localhost", "secret_file": "secret"}
"""Stands for ``[webhook]`` while the names of tables are judged: what else it says is judged where it is opened."""
_WITHOUT_HTTP = f"use https, or a [[receiver]] table of kind {WEBHOOK} with allow_http = true"


class WebhookTable(msgspec.Struct, frozen=True, kw_only=True):
    """``[webhook]``: one receiver of kind webhook with the name ``webhook``."""

    url: Annotated[
        str, About("receiver of incidents (empty: none)", optional(url("http", "https")))
    ] = ""  # fmt: skip
    secret_file: Annotated[Path | None, About("file with the HMAC secret shared with the receiver", OPTIONAL_PATH)] = (
        None
    )
    origins: Annotated[
        tuple[Origin, ...], About("which origins it is told: live, drill, simulated", some_of(Origin))
    ] = (Origin.LIVE,)  # fmt: skip
    unverified: Annotated[
        bool, About("tell it of findings that rest on unproven absence: true or false", TRUTH)
    ] = False  # fmt: skip
    min_severity: Annotated[
        Severity, About("the least it is told of: info, minor, major, critical", choice(Severity))
    ] = Severity.MINOR  # fmt: skip


def read_receivers(
    tables: Sequence[Mapping[str, object]], folder: Path, *, with_webhook: bool
) -> tuple[ReceiverSettings, ...]:
    """Return the receivers of the ``[[receiver]]`` tables, in their order.

    Args:
        tables: as they are written.
        folder: what relative paths in them lie under.
        with_webhook: whether ``[webhook]`` has a URL, so that no table may have its name.

    Raises:
        ConfigurationError: naming everything that is wrong with them.
    """
    beside = [_ANY_WEBHOOK] if with_webhook else []
    return receiver_settings([*tables, *beside], folder=folder)[: len(tables)]


def webhook_receiver(webhook: WebhookTable) -> ReceiverSettings:
    """Return the receiver that ``[webhook]`` describes, for whoever tells it of incidents; its URL is set.

    Every process reads the settings, and few have the secret: so this is asked where receivers are opened.

    Raises:
        ConfigurationError: naming everything that is wrong with it, by the names of its keys.
    """
    if wrong := _problems_of(webhook):
        raise ConfigurationError("; ".join(wrong))
    (found,) = receiver_settings([_table_of(webhook)], folder=Path())
    return found


def _problems_of(webhook: WebhookTable) -> list[str]:
    """Return what is wrong with ``[webhook]``, by the names of its keys rather than as a table among others."""
    wrong = []
    if webhook.secret_file is None:
        wrong.append("webhook.secret_file is empty: name a file that holds the secret")
    try:
        parse_address(webhook.url, remedy=_WITHOUT_HTTP)
    except ConfigurationError as error:
        wrong.append(f"webhook.{error}")
    return wrong


def _table_of(webhook: WebhookTable) -> dict[str, object]:
    assert webhook.secret_file is not None
    return {
        "kind": WEBHOOK,
        "name": WEBHOOK,
        "url": revealed(webhook.url),
        "secret_file": str(webhook.secret_file.absolute()),
        "origins": list(webhook.origins),
        "unverified": webhook.unverified,
        "min_severity": webhook.min_severity,
    }
