"""The live feed: server-sent events that follow ``incident_changes``; a reconnecting reader misses and repeats nothing.

The id of an event is the change's seq. ``Last-Event-ID`` (or ``?after=``) goes on after it; when the changes after it
are no longer held, one ``resync`` event says so, and the reader lists the incidents anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from typing import Annotated

import msgspec
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from console.api import models
from console.api.bounds import Seq
from console.api.context import ConsoleContext, ContextIn, Reader, ReaderIn, watch_of
from console.api.errors import ApiError
from console.api.feed_places import TooManyFeeds
from console.api.session_watch import SessionWatch
from contracts.errors import Transient
from identity.roles import Right
from incidents.store.changes import Change, can_resume, changes_after, head
from incidents.store.records import get_incident

router = APIRouter(prefix="/api/v1", tags=["incidents"])

_PAGE = 200
_RETRY_MS = 2000


@router.get("/stream", response_class=StreamingResponse, responses={200: {"content": {"text/event-stream": {}}}})
async def stream(
    request: Request,
    reader: ReaderIn,
    context: ContextIn,
    after: Annotated[Seq | None, Query(description="seq of the list that the reader has")] = None,
    last_event_id: Annotated[str | None, Header(max_length=18, pattern=r"^[0-9]{1,18}$")] = None,
) -> StreamingResponse:
    """Send changes as they happen: ``incident`` events with the row as it is now, ``resync``, ``beat`` when quiet."""
    start = int(last_event_id) if last_event_id is not None else after
    place = context.feeds.place(reader.session.token_sha256, request.client.host if request.client else "")
    return _FeedResponse(_Feed(context, reader, watch_of(request, reader)).events(start), place)


class _FeedResponse(StreamingResponse):
    """The answer that holds a place among the feeds from its first byte to its end."""

    def __init__(self, events: AsyncIterator[bytes], place: AbstractContextManager[None]) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or 429 when there is no place."""
        try:
            with self._place:
                await super().__call__(scope, receive, send)
        except TooManyFeeds:
            raise ApiError(429, "too_many_feeds", headers={"Retry-After": "5"}) from None


class _Feed:
    def __init__(self, context: ConsoleContext, reader: Reader, watch: SessionWatch) -> None:
        self._context = context
        self._reader = reader
        self._watch = watch
        self._scope = reader.person.sites(Right.VIEW_INCIDENTS)

    async def events(self, start: int | None) -> AsyncIterator[bytes]:
        """Yield events until the reader leaves, the session or its rights end, or the server stops."""
        loop, rang = asyncio.get_running_loop(), asyncio.Event()
        forget = self._context.store.commit_signal.subscribe(lambda: _wake(loop, rang))
        try:
            seq, resync = await run_in_threadpool(self._begin, start)
            yield f"retry: {_RETRY_MS}\n\n".encode()
            if resync:
                yield _event("resync", seq, b"{}")
            quiet = False
            while not self._context.closing.is_set():
                rang.clear()
                changes = await run_in_threadpool(self._changes, seq)
                if not await run_in_threadpool(self._watch.holds):
                    return  # asked after the rows were read and before one is given, and at least at every beat
                for change, row in changes:
                    if row is not None:
                        if self._watch.due and not await run_in_threadpool(self._watch.holds):
                            return  # a slow reader takes long over one page of changes
                        yield _incident_event(change, row)
                    seq = change.seq
                if quiet and not changes:
                    yield _event("beat", seq, b"{}")
                quiet = not changes and not await self._wait(rang)
        except Transient:
            return  # the database is away: the reader comes back with the last id it has, and is told 503 until then
        finally:
            forget()

    async def _wait(self, rang: asyncio.Event) -> bool:
        """Return whether a commit came before the next beat is due."""
        try:
            await asyncio.wait_for(rang.wait(), self._context.heartbeat_s)
        except TimeoutError:
            return False
        return True

    def _begin(self, start: int | None) -> tuple[int, bool]:
        with self._context.store.read() as connection:
            newest = head(connection)
            if start is None:
                return newest, False
            return (start, False) if can_resume(connection, start) else (newest, True)

    def _changes(self, seq: int) -> list[tuple[Change, models.IncidentRow | None]]:
        """Return the next changes with the row as it is now; None for what is out of the reader's scope."""
        with self._context.store.read() as connection:
            found = []
            for change in changes_after(connection, seq, _PAGE):
                incident = get_incident(connection, change.incident_id) if change.site_id in self._scope else None
                found.append((change, None if incident is None else self._reader.present.row(incident)))
            return found


def _wake(loop: asyncio.AbstractEventLoop, rang: asyncio.Event) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(rang.set)


def _incident_event(change: Change, row: models.IncidentRow) -> bytes:
    body = models.ChangeOut(seq=change.seq, kind=change.kind.value, incident=row)
    return _event("incident", change.seq, msgspec.json.encode(body.model_dump(mode="json")))


def _event(name: str, seq: int, data: bytes) -> bytes:
    return f"id: {seq}\nevent: {name}\ndata: ".encode() + data + b"\n\n"
