"""What an error of a TLS handshake is to people, where this machine's clock may be to blame."""

from __future__ import annotations

import datetime
import ssl

from system.clock import wall_ms

_NOT_YET_VALID, _EXPIRED = 9, 10
_SAID = {_NOT_YET_VALID: "is not valid yet", _EXPIRED: "has expired"}


def said_of(error: BaseException) -> str:
    """Return one sentence about a certificate out of its time, which names this machine's; empty for other errors."""
    if not isinstance(error, ssl.SSLCertVerificationError) or error.verify_code not in _SAID:
        return ""
    now = datetime.datetime.fromtimestamp(wall_ms() / 1000, tz=datetime.UTC)
    state = _SAID[error.verify_code]
    return f"the certificate of the other side {state}, or this machine's clock ({now:%Y-%m-%d %H:%M} UTC) is wrong"
