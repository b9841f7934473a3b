"""Logging in and out, and the words of the page."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from console.api import models
from console.api.context import COOKIE, ContextIn, ReaderIn, SameSite, WordsIn, context_of
from console.api.errors import ApiError
from console.catalogue import MessageCatalogue
from detectors.registry import rule_facts
from identity.roles import Right
from identity.users import SESSION_MS, LoginRefused, Session
from inventory.directory import zone_of

router = APIRouter(prefix="/api/v1", tags=["session"])


@router.post("/session", dependencies=[SameSite])
def log_in(
    credentials: models.Credentials, request: Request, response: Response, context: ContextIn, words: WordsIn
) -> models.SessionOut:
    """Log in; the session is a cookie that scripts cannot read."""
    address = request.client.host if request.client else ""
    try:
        token, session = context.users.log_in(credentials.name, credentials.password, address)
    except LoginRefused as refused:
        if refused.wait_ms:
            seconds = -(-refused.wait_ms // 1000)
            raise ApiError(429, "too_many_tries", headers={"Retry-After": str(seconds)}, seconds=seconds) from None
        raise ApiError(401, "login_refused") from None
    response.set_cookie(
        COOKIE,
        token,
        max_age=SESSION_MS // 1000,
        path="/",
        secure=context.secure_cookies or _is_https(request),
        httponly=True,
        samesite="strict",
    )
    return _session(session, words)


@router.get("/session")
def who_am_i(reader: ReaderIn) -> models.SessionOut:
    """Return who is logged in."""
    return _session(reader.session, reader.present.words)


@router.delete("/session", status_code=204, dependencies=[SameSite])
def log_out(request: Request, response: Response, reader: ReaderIn) -> None:
    """Log out: the session ends on the server too."""
    context_of(request).users.log_out(reader.session)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")


@router.get("/sites")
def sites(reader: ReaderIn, context: ContextIn) -> list[models.SiteOut]:
    """Return the sites whose incidents the reader may see."""
    scope = reader.person.sites(Right.VIEW_INCIDENTS)
    directory = context.directory
    return [
        models.SiteOut(site_id=site_id, name=directory.site_name(site_id), time_zone=zone_of(directory, site_id).key)
        for site_id in directory.sites()
        if site_id in scope
    ]


@router.get("/rules")
def rules(reader: ReaderIn) -> list[models.RuleOut]:
    """Return the rules that find incidents, the most urgent first; their names are what ``scenario`` filters by."""
    words, known = reader.present.words, rule_facts()
    return [
        models.RuleOut(
            name=name,
            title=words.word("scenario", name),
            severity=known[name].severity.value,
            life_safety=known[name].life_safety,
        )
        for name in sorted(known, key=lambda name: (-known[name].severity.rank, name))
    ]


@router.get("/catalogue")
def words_of_page(words: WordsIn) -> models.CatalogueOut:
    """Return every word the page shows, in the language asked for."""
    return models.CatalogueOut(language=words.language, texts=dict(words.texts))


def _is_https(request: Request) -> bool:
    """Return whether the browser uses HTTPS: a proxy of ours says so, or the browser does.

    A proxy that ends TLS often says nothing. ``Origin`` was compared with ``Host``, and no other page can set it.
    """
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")


def _session(session: Session, words: MessageCatalogue) -> models.SessionOut:
    person = session.person
    grants = [
        models.GrantOut(site_id=site_id, role=role.value, role_text=words.word("role", role))
        for site_id, role in sorted(person.grants.items())
    ]
    return models.SessionOut(
        name=person.name,
        grants=grants,
        expires_ms=session.expires_ms,
        may_view_evidence=not person.sites(Right.VIEW_EVIDENCE).empty,
        may_view_health=not person.sites(Right.VIEW_HEALTH).empty,
    )
