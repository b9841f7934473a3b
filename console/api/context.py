"""What every route is given: what the app was built from, and who asks in which language."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Annotated, cast

import msgspec
from fastapi import Depends, Request

from console.api.errors import ApiError, words_of
from console.api.evidence_access_log import EvidenceAccessLog
from console.api.feed_places import FeedPlaces
from console.api.forwarded import Network
from console.api.present import Presenter
from console.api.session_watch import SessionWatch
from console.catalogue import MessageCatalogue
from evidence.uploads import Uploads
from identity.box_credentials import BoxTokens
from identity.roles import Principal, Right
from identity.users import Session, Users
from incidents.alerts.actions import Actions
from incidents.store.operator_alarms import Alarm
from incidents.store.store import Store
from inventory.directory import SiteDirectory
from inventory.last_seen import DeviceHealth
from system.clock import Clock

COOKIE = "linli_session"
REQUEST_HEADER = "X-Linli-Request"
"""Must be present on everything that changes something: another site's page cannot set it."""

Judging = Callable[[], Alarm | None]
"""Gives the alarm that nothing is judged, as this process knows it itself; None while all is judged."""

Figures = Callable[[], Mapping[str, float]]


class ConsoleContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the app was built from."""

    store: Store
    actions: Actions
    users: Users
    directory: SiteDirectory
    health: DeviceHealth
    uploads: Uploads
    boxes: BoxTokens
    figures: Figures
    judging: Judging | None
    clock_ms: Clock
    secure_cookies: bool
    evidence_access_log: EvidenceAccessLog
    feeds: FeedPlaces
    trusted_proxies: tuple[Network, ...]
    closing: threading.Event
    heartbeat_s: float


class Reader(msgspec.Struct, frozen=True):
    """Somebody who is logged in, and how to show things to them."""

    session: Session
    present: Presenter

    @property
    def person(self) -> Principal:
        """Who it is."""
        return self.session.person

    def need(self, right: Right, site_id: str) -> None:
        """Raise ApiError (403) without the right at the site."""
        if not self.person.may(right, site_id):
            raise ApiError(403, "forbidden")


def context_of(request: Request) -> ConsoleContext:
    """Return the app's context."""
    return cast(ConsoleContext, request.app.state.context)


def check_origin(request: Request) -> None:
    """Refuse what another site's page may have caused.

    Raises:
        ApiError: 403 ``bad_origin``.
    """
    origin = request.headers.get("origin")
    host = request.headers.get("host", "")
    foreign = origin is not None and origin.partition("://")[2] != host
    if foreign or REQUEST_HEADER not in request.headers:
        raise ApiError(403, "bad_origin")


def session_of(request: Request) -> Session:
    """Return the session that holds.

    Raises:
        ApiError: 401 ``not_logged_in``.
    """
    token = request.cookies.get(COOKIE)
    session = context_of(request).users.session_of(token) if token else None
    if session is None:
        raise ApiError(401, "not_logged_in")
    return session


def reader_of(request: Request) -> Reader:
    """Return who asks."""
    session = session_of(request)
    return Reader(session, Presenter(context_of(request).directory, words_of(request), session.person))


def watch_of(request: Request, reader: Reader) -> SessionWatch:
    """Return what tells whether the reader's session still holds while a long answer is given."""
    context = context_of(request)
    return SessionWatch(context.users, request.cookies.get(COOKIE, ""), reader.session, context.heartbeat_s)


def words(request: Request) -> MessageCatalogue:
    """Return the words for this request."""
    return words_of(request)


ContextIn = Annotated[ConsoleContext, Depends(context_of)]
ReaderIn = Annotated[Reader, Depends(reader_of)]
WordsIn = Annotated[MessageCatalogue, Depends(words)]
SameSite = Depends(check_origin)
