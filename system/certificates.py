"""What an error of a TLS handshake is to people: one sentence that says what to do."""

from __future__ import annotations

import datetime
import ssl

from system.clock import wall_ms

_NOT_YET_VALID, _EXPIRED = 9, 10  # of X509_verify_cert_error
_TIMES = {_NOT_YET_VALID: "is not valid yet", _EXPIRED: "has expired"}
_UNKNOWN_AUTHORITY = {18, 19, 20, 21}
_OTHER_NAME = {62, 64}
_NO_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL", "UNEXPECTED_MESSAGE"}
_WANTS_OURS = ("UNKNOWN_CA", "CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "CERTIFICATE_UNKNOWN", "CERTIFICATE_EXPIRED")


def said_of(error: BaseException, ca_file: str = "ca_file") -> str:
    """Return one sentence about what is wrong with a certificate, ours or theirs; empty for other errors.

    A certificate out of its time may be right and this machine's clock wrong, so that is named too.

    Args:
        error: of a handshake, or of what was read behind it.
        ca_file: the setting that names the authorities that are trusted.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_theirs(error.verify_code, ca_file)
    if not isinstance(error, ssl.SSLError):
        return ""
    reason = error.reason or ""
    if reason in _NO_TLS:
        return "the other side does not speak TLS at this port: use its port for TLS, or the address without"
    if any(words in reason for words in _WANTS_OURS):
        return (
            f"the other side does not take our certificate ({reason}): name one that its authority signed in "
            f"{ca_file.replace('ca_file', 'cert_file')}, with its key"
        )
    return ""


def _of_theirs(code: int, ca_file: str) -> str:
    if code in _TIMES:
        now = datetime.datetime.fromtimestamp(wall_ms() / 1000, tz=datetime.UTC)
        clock = f"this machine's clock ({now:%Y-%m-%d %H:%M} UTC) is wrong"
        return f"the certificate of the other side {_TIMES[code]}, or {clock}: renew the one or set the other"
    if code in _UNKNOWN_AUTHORITY:
        return f"the certificate of the other side is of no authority that we trust: name its authority in {ca_file}"
    if code in _OTHER_NAME:
        return (
            "the certificate of the other side is for other names than the address has: use one of its names, or have "
            "one made for this address"
        )
    return ""
