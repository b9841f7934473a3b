"""Where a receiver stands while a case is played: the peer it is pointed at, and all that is seen of one attempt."""

from __future__ import annotations

import contextlib
import socket
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import msgspec
import structlog.testing

from contracts.errors import LinliError
from contracts.secrets import Secret
from delivery.conformance.adapter import Adapter, Target
from delivery.conformance.case import Case, Way
from delivery.conformance.certificates import HOST, Certificates
from delivery.conformance.hostile_peer import HostilePeer
from delivery.conformance.moves import answer, read
from delivery.deliveries import Delivery
from delivery.outbox import Attempt, attempt
from delivery.receiver import Receipt, Receiver
from delivery.receivers.opening import open_receivers
from delivery.receivers.tables import receiver_settings

CUT_S = 0.3
"""The time limit where the peer would take longer than any receiver may."""

PATIENT_S = 30.0
"""The time limit everywhere else: nothing rests on the machine's speed."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of one attempt.

    ``shown``: everything that people may come to read of it. ``requests``: what the peer read, as bytes. ``sent``: how
    many bytes the peer got rid of. ``strayed``: requests at the server that nobody may be led to.
    """

    attempt: Attempt
    took_s: float
    shown: str
    requests: Sequence[bytes]
    sent: int
    strayed: int


class Bench:
    """What the cases of one run share: certificates, and a server that nobody may be led to.

    Args:
        folder: for certificates.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._certificates = Certificates(folder)
        self._elsewhere = HostilePeer((read, answer(200)))

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._elsewhere.stop()

    def target(self, peer: HostilePeer, *, secure: bool = False, timeout_s: float = PATIENT_S) -> Target:
        """Return where a receiver finds ``peer``, over TLS if it must be ``secure``."""
        if secure:
            return Target(url=f"https://{HOST}:{peer.port}", timeout_s=timeout_s, ca_file=self._certificates.ca_file)
        return Target(url=f"http://127.0.0.1:{peer.port}", timeout_s=timeout_s)

    def open(self, kind: str, adapter: Adapter, target: Target) -> Receiver:
        """Return a receiver as the settings file would make it."""
        table = {"kind": kind, **adapter.table(target)}
        settings = receiver_settings([table], folder=self._folder)
        ((_, receiver),) = open_receivers(settings, lambda path, _key: Secret(adapter.secrets[path.name]))
        return receiver

    def play(self, kind: str, adapter: Adapter, case: Case, delivery: Delivery) -> Seen:
        """Play a case to one attempt."""
        strayed = len(self._elsewhere.requests)
        with self._peer(case, adapter.acceptance(delivery)) as peer, _name_lookup(works=case.way is not Way.NO_NAME):
            secure = case.way in {Way.TLS, Way.TLS_TO_PLAIN, Way.NO_NAME}
            target = self.target(peer, secure=secure, timeout_s=CUT_S if case.is_cut else PATIENT_S)
            receiver = _Observed(self.open(kind, adapter, target))
            with structlog.testing.capture_logs() as logs:
                started_s = time.monotonic()
                made = attempt(receiver, delivery)
                took_s = time.monotonic() - started_s
        return Seen(
            attempt=made,
            took_s=took_s,
            shown=f"{made.detail}\n{receiver.shown}\n{logs}",
            requests=peer.requests,
            sent=peer.sent,
            strayed=len(self._elsewhere.requests) - strayed,
        )

    def _peer(self, case: Case, accepted: bytes) -> HostilePeer:
        tls = self._certificates.server_side(case.shown) if case.way is Way.TLS else None
        elsewhere = f"http://127.0.0.1:{self._elsewhere.port}/"
        peer = HostilePeer(
            case.script, accepted=accepted, elsewhere=elsewhere, tls=tls, takes=case.way is not Way.UNTAKEN
        )
        if case.way is Way.REFUSED:
            peer.stop()
        return peer


class _Observed:
    """A receiver, and all that a log could show of its errors."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self.shown = repr(receiver)

    @property
    def name(self) -> str:
        return self._receiver.name

    def send(self, delivery: Delivery) -> Receipt:
        try:
            return self._receiver.send(delivery)
        except LinliError as error:
            self.shown += "".join(traceback.format_exception(error))
            raise


@contextlib.contextmanager
def _name_lookup(*, works: bool) -> Iterator[None]:
    """Let no name have an address for a while: asking a real name server would rest on the network."""
    if works:
        yield
        return
    before = socket.getaddrinfo

    def fail(*_arguments: object, **_options: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    try:
        socket.getaddrinfo = fail
        yield
    finally:
        socket.getaddrinfo = before
