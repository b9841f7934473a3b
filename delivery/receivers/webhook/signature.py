"""The ``hmac`` signer: hex HMAC-SHA256(secret, ts ⏎ nonce ⏎ METHOD ⏎ path ⏎ sha256(body)), ±300 s and a nonce cache.

Source: the project's integration contract (docs/standards.md#signed-requests).
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict

import msgspec

WINDOW_S = 300
TIMESTAMP_HEADER = "X-Linli-Timestamp"
NONCE_HEADER = "X-Linli-Nonce"
SIGNATURE_HEADER = "X-Linli-Signature"
NEXT_SIGNATURE_HEADER = "X-Linli-Signature-Next"
"""Only while the secret is exchanged: the same request, signed with the secret that follows."""
_MAX_NONCES = 100_000


class SignedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a request that are signed. ``timestamp`` is epoch seconds as decimal text."""

    timestamp: str
    nonce: str
    method: str
    path: str
    body: bytes


def sign(secret: bytes, request: SignedRequest) -> str:
    """Return the signature as 64 hex digits.

    >>> sign(b"s", SignedRequest(timestamp="1", nonce="n", method="POST", path="/", body=b""))[:8]
    '292bbee6'
    """
    body = hashlib.sha256(request.body).hexdigest()
    text = "\n".join((request.timestamp, request.nonce, request.method.upper(), request.path, body))
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()


class Verifier:
    """Checks signatures as the other side does: in constant time, within the window, each nonce once."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._nonces: OrderedDict[str, int] = OrderedDict()

    def refusal(self, request: SignedRequest, signature: str, now_s: int, following: str = "") -> str | None:
        """Return why the request is refused (``timestamp``, ``signature`` or ``replay``), or None when it is good.

        ``following`` is what :data:`NEXT_SIGNATURE_HEADER` says: either signature will do.
        """
        if not request.timestamp.isascii() or not request.timestamp.isdigit():
            return "timestamp"
        if abs(int(request.timestamp) - now_s) > WINDOW_S:
            return "timestamp"
        right = sign(self._secret, request).encode()
        if not any(hmac.compare_digest(right, given.encode()) for given in (signature, following)):
            return "signature"
        return None if self._first_use(request.nonce, now_s) else "replay"

    def _first_use(self, nonce: str, now_s: int) -> bool:
        while self._nonces and (len(self._nonces) >= _MAX_NONCES or self._oldest() < now_s - 2 * WINDOW_S):
            self._nonces.popitem(last=False)
        if nonce in self._nonces:
            return False
        self._nonces[nonce] = now_s
        return True

    def _oldest(self) -> int:
        return next(iter(self._nonces.values()))
