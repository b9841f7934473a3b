"""Uploading evidence to the console: resumable, hash checked by the other side, forever tried again.

``HEAD /edge/v1/evidence/{sha256}`` says how much is there (``Upload-Offset``); ``PUT`` with ``Content-Range``
continues.
"""

from __future__ import annotations

import contextlib
import http.client
import random
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import msgspec
import structlog

from contracts.errors import ConfigurationError, Permanent, Transient
from contracts.written_text import decode_written
from edge.capture.address import redact_url
from edge.evidence.evidence_store import EvidenceDisk
from edge.uplink.upload_queue import Upload, UploadQueue
from system.certificates import said_of

CHUNK_BYTES = 1024 * 1024
TIMEOUT_S = 20.0
POLL_S = 0.5
PAUSE_S = (1.0, 2.0, 5.0, 15.0, 60.0)
"""After failures in a row, whatever was tried."""
_MAX_REQUESTS = 600  # 256 MiB in chunks, twice: more is a server that sends us in circles
_PATH = "/edge/v1/evidence/"
_log = structlog.get_logger("edge.uplink.upload")


class ConsoleConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[console]``: where evidence goes, and the file with this box's token. An empty ``url``: nowhere."""

    url: str = ""
    token_file: str = ""
    ca_file: str = ""


class UploadStep(msgspec.Struct, frozen=True):
    """The meaning of an answer: finished, or continue at ``offset``."""

    finished: bool
    offset: int = 0


def after_head(status: int, offset: int | None, total: int) -> UploadStep:
    """Return what the answer to ``HEAD`` means.

    Raises:
        Transient: when the server cannot say now, or refuses us.
    """
    if status in {200, 204}:
        return UploadStep(finished=offset is not None and offset >= total, offset=offset or 0)
    if status == 404:
        return UploadStep(finished=False)
    raise Transient(f"HEAD was answered {status}")


def after_put(status: int, offset: int | None, sent_to: int) -> UploadStep:
    """Return what the answer to ``PUT`` means.

    Raises:
        Transient: when it was not taken: also for a wrong hash (the server starts over) and a wrong token.
    """
    match status:
        case 200 | 201 | 204:
            return UploadStep(finished=True)
        case 202:
            return UploadStep(finished=False, offset=sent_to if offset is None else offset)
        case 409 if offset is not None:
            return UploadStep(finished=False, offset=offset)
        case 422:
            raise Transient("the console got other bytes than the hash says; starting over")
        case 401 | 403:
            raise Transient(f"the console refuses this box's token ({status}): register it (`linli edge token`)")
    raise Transient(f"PUT was answered {status}")


class Uploader:
    """The thread that works the list of uploads off.

    Raises:
        ConfigurationError: from the constructor, when url or token file are wrong.
    """

    def __init__(
        self, config: ConsoleConfig, *, queue: UploadQueue, disk: EvidenceDisk, now_ms: Callable[[], int]
    ) -> None:
        self._url, self._token = check_url(config.url), read_token(Path(config.token_file))
        self._token_file = Path(config.token_file)
        self._tls = ssl.create_default_context(cafile=config.ca_file or None) if self._url.scheme == "https" else None
        self._queue, self._disk, self._now_ms = queue, disk, now_ms
        self.uploaded = self.failed = self.expired = 0

    def run(self, stop: threading.Event) -> None:
        """Upload what is due until ``stop``."""
        failures = 0
        while not stop.is_set():
            upload = self._queue.next_due(self._now_ms())
            if upload is None:
                stop.wait(POLL_S)
                continue
            failures = 0 if self.try_once(upload) else failures + 1
            if failures:  # a console that is away or refuses us does so for every entry
                stop.wait(PAUSE_S[min(failures, len(PAUSE_S)) - 1] * random.uniform(0.5, 1.0))

    def try_once(self, upload: Upload) -> bool:
        """Try one upload; returns whether it is off the list."""
        try:
            self._send(upload, self._disk.read(upload.sha256))
            self.uploaded += 1
        except Permanent as error:
            self.expired += 1
            _log.warning("evidence cannot be uploaded any more", sha256=upload.sha256, error=str(error))
        except (Transient, OSError, http.client.HTTPException) as error:
            self.failed += 1
            pause_s = self._queue.retry(upload, self._now_ms())
            _log.warning("upload failed", sha256=upload.sha256, error=said_of(error) or str(error), retry_s=pause_s)
            return False
        self._queue.finish(upload.sha256)
        return True

    def _send(self, upload: Upload, data: bytes) -> None:
        connection = self._connection()
        try:
            step = after_head(*self._request(connection, "HEAD", upload, b"", {}), len(data))
            for _ in range(_MAX_REQUESTS):
                if step.finished:
                    return
                step = self._put(connection, upload, data, step.offset)
            raise Transient(f"not finished after {_MAX_REQUESTS} requests")
        finally:
            connection.close()

    def _put(self, connection: http.client.HTTPConnection, upload: Upload, data: bytes, offset: int) -> UploadStep:
        if not 0 <= offset < len(data):
            raise Transient(f"the console wants to continue at {offset} of {len(data)} bytes")
        end = min(offset + CHUNK_BYTES, len(data))
        headers = {"Content-Range": f"bytes {offset}-{end - 1}/{len(data)}", "Content-Type": upload.mime}
        status, server_offset = self._request(connection, "PUT", upload, data[offset:end], headers)
        return after_put(status, server_offset, end)

    def _request(
        self, connection: http.client.HTTPConnection, method: str, upload: Upload, body: bytes, headers: dict[str, str]
    ) -> tuple[int, int | None]:
        path = self._url.path.rstrip("/") + _PATH + upload.sha256
        with contextlib.suppress(ConfigurationError):  # being exchanged: the one before is tried meanwhile
            self._token = read_token(self._token_file)
        connection.request(method, path, body or None, {"Authorization": f"Bearer {self._token}", **headers})
        answer = connection.getresponse()
        answer.read()
        offset = answer.getheader("Upload-Offset", "")
        return answer.status, int(offset) if offset.isdigit() else None

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._tls is not None:
            return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=self._tls)
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)


def check_url(url: str) -> SplitResult:
    """Return the parts of the console's address.

    Raises:
        ConfigurationError: when it is no http(s) URL.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ConfigurationError(f"[console] url = {redact_url(url)!r}: expected http://host:port or https://host:port")
    return parts


def read_token(path: Path) -> str:
    """Return the box's token: the file's one line.

    Raises:
        ConfigurationError: when there is none; says how to make it.
    """
    try:
        token = decode_written(path.read_bytes(), f"[console] token_file {path}").strip()
    except OSError:
        token = ""
    if not token.isascii() or len(token.split()) != 1:
        raise ConfigurationError(f"[console] token_file {path}: no token in it; make one with `linli edge token`")
    return token
