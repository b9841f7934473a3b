"""Settings of who is told of incidents: ``[[receiver]]`` tables, and the one ``[webhook]`` of before."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from app.settings.about import About
from app.settings.kinds import OPTIONAL_PATH, TRUTH, choice, optional, some_of, url, without_query
from contracts.events import Origin
from contracts.findings import Severity


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True):
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


class ReceiverTables(msgspec.Struct, frozen=True):
    """The ``[[receiver]]`` tables as they are written, and the folder that their relative paths lie under.

    What may stand in one depends on its kind; whoever delivers reads them.
    """

    tables: tuple[Mapping[str, object], ...] = ()
    folder: Path = Path()
