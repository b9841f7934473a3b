"""Settings of who is told of incidents: ``[[receiver]]`` tables, and the one ``[webhook]`` of before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from app.settings.about import About
from app.settings.kinds import OPTIONAL_PATH, TRUTH, choice, optional, some_of, url, without_query
from contracts.errors import ConfigurationError
from contracts.events import Origin
from contracts.findings import Severity
from delivery.http.address import parse_address
from delivery.receivers.tables import ReceiverSettings, receiver_settings

WEBHOOK = "webhook"
"""The kind and the name of the receiver in ``[webhook]``; deliveries that are stored bear the name."""


class WebhookTable(msgspec.Struct, frozen=True, kw_only=True):
    """``[webhook]``: one receiver of kind webhook with the name ``webhook``."""

    url: Annotated[
        str, About("receiver of incidents (empty: none)", optional(url("http", "https", hide=without_query)))
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
    tables: Sequence[Mapping[str, object]], folder: Path, webhook: WebhookTable
) -> tuple[ReceiverSettings, ...]:
    """Return who is told: the ``[[receiver]]`` tables in their order, then ``[webhook]`` when it has a URL.

    Args:
        tables: as they are written.
        folder: what relative paths in them lie under.
        webhook: typed already, its paths where they lie.

    Raises:
        ConfigurationError: naming everything that is wrong with them.
    """
    wrong = [] if not webhook.url else _problems_of(webhook)
    known = [_table_of(webhook)] if webhook.url and not wrong else []
    try:
        found = receiver_settings([*tables, *known], folder=folder)
    except ConfigurationError as error:
        wrong.append(str(error))
    if wrong:
        raise ConfigurationError("; ".join(wrong))
    return found


def _problems_of(webhook: WebhookTable) -> list[str]:
    """Return what is wrong with ``[webhook]``, by the names of its keys rather than as a table among others."""
    wrong = []
    if webhook.secret_file is None:
        wrong.append("webhook.secret_file is empty: name a file that holds the secret")
    try:
        parse_address(webhook.url)
    except ConfigurationError as error:
        wrong.append(f"webhook.{error}")
    return wrong


def _table_of(webhook: WebhookTable) -> dict[str, object]:
    assert webhook.secret_file is not None
    return {
        "kind": WEBHOOK,
        "name": WEBHOOK,
        "url": webhook.url,
        "secret_file": str(webhook.secret_file.absolute()),
        "origins": list(webhook.origins),
        "unverified": webhook.unverified,
        "min_severity": webhook.min_severity,
    }
