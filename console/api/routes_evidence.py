"""Stills and clips: people look at them (with ranges, every look logged), boxes upload them (resumable)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import contextmanager_in_threadpool
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from console.api import models
from console.api.bounds import Code, FileHash, ShortText
from console.api.context import ConsoleContext, ContextIn, Reader, ReaderIn, context_of, watch_of
from console.api.errors import ApiError
from contracts.errors import Rejected
from evidence.content_range import ContentRange, parse_content_range, parse_range
from evidence.files import OffsetConflict, UploadBusy, WrongHash
from evidence.sealed_file import SealBroken
from evidence.store import SiteFile, incidents_naming, is_present
from evidence.uploads import name_of
from identity.box_credentials import Box
from identity.roles import Right

router = APIRouter(tags=["evidence"])

_SHOWN = frozenset({"image/jpeg", "image/png", "image/webp", "video/mp4"})
"""What a browser may show; anything else is only given to be saved."""


@router.get("/api/v1/evidence/{sha256}", response_class=Response, responses={404: {"model": models.ErrorOut}})
def view(
    sha256: FileHash,
    request: Request,
    reader: ReaderIn,
    context: ContextIn,
    incident: Annotated[Code, Query(description="the incident it is looked at for")] = "",
    why: ShortText = "",
    range_: Annotated[str | None, Header(alias="Range", max_length=100)] = None,
) -> Response:
    """Return the bytes, or the range asked for. The look is logged before the first byte."""
    incident_id, mime = _right_to_look(reader, context, sha256, incident)
    files = context.uploads.files
    with _damage_told(context):
        size = files.size_bytes(sha256)
    try:
        wanted = parse_range(range_, size)
    except Rejected:
        raise ApiError(416, "out_of_range", headers={"Content-Range": f"bytes */{size}"}) from None
    context.evidence_access_log.record_view(reader.person.name, sha256, incident_id, why)
    start, stop = wanted or (0, size)
    headers = _headers(sha256, mime) | {"Content-Length": str(stop - start)}
    if wanted:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    media_type = mime if mime in _SHOWN else "application/octet-stream"
    body = watch_of(request, reader).guard(_pieces(context, files.read(sha256, start, stop)))
    return StreamingResponse(body, 206 if wanted else 200, headers, media_type)


def _pieces(context: ConsoleContext, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Return the same pieces. The first is read already: a file that is damaged there gives no answer but the error."""
    told = _told(context, pieces)
    return itertools.chain([next(told, b"")], told)


def _told(context: ConsoleContext, pieces: Iterator[bytes]) -> Iterator[bytes]:
    with _damage_told(context):
        yield from pieces


@contextmanager
def _damage_told(context: ConsoleContext) -> Iterator[None]:
    """Tell the operators of evidence that turns out to be damaged inside the block, and the reader that it is."""
    try:
        yield
    except SealBroken as error:
        context.uploads.tell_damaged(error)
        raise ApiError(500, "evidence_damaged") from error


def _right_to_look(reader: Reader, context: ConsoleContext, sha256: str, incident_id: str) -> tuple[str, str]:
    """Return the incident that gives the right, and the type of the file; 404 also hides what is out of scope.

    A site that names bytes has them only when a box of its own has sent them.
    """
    with context.store.read() as connection:
        naming = incidents_naming(connection, sha256)
        sites = {site_id for _, site_id, _ in naming if is_present(connection, SiteFile(site_id, sha256))}
    may = [one for one in naming if incident_id in {"", one[0]} and reader.person.may(Right.VIEW_EVIDENCE, one[1])]
    for named, site_id, mime in may:
        if site_id in sites and context.uploads.files.has(sha256):
            return named, mime
    raise ApiError(404, "evidence_pending" if may else "not_found")


def _headers(sha256: str, mime: str) -> dict[str, str]:
    disposition = "inline" if mime in _SHOWN else "attachment"
    return {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-store",
        "Content-Disposition": f'{disposition}; filename="{sha256[:16]}"',
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "ETag": f'"{sha256}"',
    }


@router.head("/edge/v1/evidence/{sha256}", response_class=Response)
def upload_offset(
    sha256: FileHash, request: Request, authorization: Annotated[str | None, Header(max_length=300)] = None
) -> Response:
    """Return ``Upload-Offset``: how many bytes of the box's upload are held."""
    box = _box(context_of(request), authorization)
    try:
        offset = context_of(request).uploads.offset(box, sha256)
    except UploadBusy:
        raise ApiError(423, "busy", headers={"Retry-After": "1"}) from None
    return Response(headers={"Upload-Offset": str(offset)})


@router.put(
    "/edge/v1/evidence/{sha256}",
    response_class=Response,
    status_code=201,
    responses={202: {"description": "more is wanted, from Upload-Offset on"}, 409: {"model": models.ErrorOut}},
)
async def upload(
    sha256: FileHash,
    request: Request,
    context: ContextIn,
    authorization: Annotated[str | None, Header(max_length=300)] = None,
    content_range: Annotated[str | None, Header(max_length=100)] = None,
) -> Response:
    """Take a range of an upload: 201 complete and right, 202 more is wanted, 409 continue elsewhere, 422 wrong hash."""
    box = _box(context, authorization)
    piece = parse_content_range(content_range, context.uploads.max_file_bytes)
    try:
        if not await run_in_threadpool(context.uploads.begin, box, sha256, piece):
            return _uploaded(201, piece.total)
        try:
            await _receive(request, context, box, sha256, piece)
            complete = await run_in_threadpool(context.uploads.end, box, sha256, piece.total)
        finally:
            context.uploads.leave(box, sha256)
    except OffsetConflict as conflict:
        headers = {"Upload-Offset": str(conflict.offset)}
        raise ApiError(409, "offset", headers=headers, offset=conflict.offset) from None
    except UploadBusy:
        raise ApiError(423, "busy", headers={"Retry-After": "1"}) from None
    except WrongHash:
        raise ApiError(422, "wrong_hash") from None
    except ClientDisconnect:
        return Response(status_code=400)  # nobody reads it; what came is kept, and the box continues from there
    return _uploaded(201 if complete else 202, piece.stop)


async def _receive(request: Request, context: ConsoleContext, box: Box, sha256: str, piece: ContentRange) -> None:
    """Append the body as it comes, never more than the range says."""
    left = piece.stop - piece.start
    opened = context.uploads.files.upload(name_of(box), sha256, piece.start)
    async with contextmanager_in_threadpool(opened) as part:  # syncing to disk must not hold up other connections
        async for data in request.stream():
            if len(data) > left:
                raise ApiError(413, "too_large")
            if data:
                await run_in_threadpool(part.append, data)
            left -= len(data)


def _uploaded(status: int, offset: int) -> Response:
    return Response(status_code=status, headers={"Upload-Offset": str(offset)})


def _box(context: ConsoleContext, authorization: str | None) -> Box:
    scheme, _, token = (authorization or "").partition(" ")
    box = context.boxes.box_of(token.strip()) if scheme.lower() == "bearer" and token.strip() else None
    if box is None:
        raise ApiError(401, "not_logged_in", headers={"WWW-Authenticate": "Bearer"})
    return box
