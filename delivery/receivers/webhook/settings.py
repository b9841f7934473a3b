"""What a ``[[receiver]]`` table of kind ``webhook`` says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from contracts.secret_urls import SecretUrl
from delivery.http.address import parse_address


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one webhook.

    ``url``: ``https://…``; plain ``http://`` only to loopback, or with ``allow_http`` inside a private network.
    ``secret_file``: the HMAC secret, at least 16 bytes, shared with the receiver. ``timeout_s``: for a whole attempt.
    ``ca_file``: certificates of a private authority (default: the system's).

    Raises:
        ConfigurationError: ``url`` cannot be used.
    """

    url: str
    secret_file: Path
    timeout_s: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 10.0
    allow_http: bool = False
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        parse_address(self.url, allow_http=self.allow_http)
        msgspec.structs.force_setattr(self, "url", SecretUrl(self.url))  # its path or query may be a key
