"""What stands before every answer: security headers, and a bound on bodies. Plain ASGI, so streams stay streams."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 64 * 1024
_UPLOADS = "/edge/v1/evidence/"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Set unless the answer has its own."""


class SecurityHeaders:
    """The middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        begun = False

        async def guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if _is_too_large(scope):
            await JSONResponse({"code": "too_large", "message": "413"}, 413)(scope, receive, guarded)
            return
        try:
            await self._app(scope, receive, guarded)
        except Exception:  # an answer of the server itself would have no headers; who serves logs the error
            if not begun:
                await JSONResponse({"code": "internal", "message": "500"}, 500)(scope, receive, guarded)
            raise


def _is_too_large(scope: Scope) -> bool:
    """Return whether a body outside the uploads is over the bound, or does not say how long it is."""
    if scope["method"] in {"GET", "HEAD"} or scope["path"].startswith(_UPLOADS):
        return False
    headers = Headers(scope=scope)
    length = headers.get("content-length", "0")
    return "transfer-encoding" in headers or not length.isdigit() or int(length) > MAX_BODY_BYTES
