"""Errors of the API: always ``{code, message}``, the message in the reader's language."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DataError, SQLAlchemyError
from starlette.exceptions import HTTPException

from console.api import models
from console.catalogue import MessageCatalogue, catalogue, choose_language
from contracts.errors import Rejected, RejectReason, Transient
from contracts.incidents import NotAllowed
from incidents.alerts.actions import UnknownIncident

_OF_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}
_OF_REASON = {RejectReason.TOO_LARGE: 413, RejectReason.OVER_LIMIT: 507}


class ApiError(Exception):
    """An answer that is an error. ``values`` fill the catalogue's text ``error.{code}``."""

    def __init__(
        self,
        status: int,
        code: str,
        *,
        headers: dict[str, str] | None = None,
        first: models.FirstStep | None = None,
        incident: models.IncidentRow | None = None,
        **values: object,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.headers = headers
        self.first = first
        self.incident = incident
        self.values = values


def words_of(request: Request) -> MessageCatalogue:
    """Return the catalogue for a request: ``?lang=``, else Accept-Language, else the console's own language."""
    default: str = request.app.state.language
    asked = request.query_params.get("lang")
    return catalogue(choose_language(asked, request.headers.get("accept-language"), default))


def handle_errors(app: FastAPI) -> None:
    """Turn every error that the API knows into its answer."""

    @app.exception_handler(ApiError)
    def _api_error(request: Request, error: ApiError) -> JSONResponse:
        message = words_of(request).text(f"error.{error.code}", **error.values)
        body = models.ErrorOut(code=error.code, message=message, first=error.first, incident=error.incident)
        return JSONResponse(body.model_dump(), error.status, error.headers)

    @app.exception_handler(Rejected)
    def _rejected(request: Request, error: Rejected) -> JSONResponse:
        return _answer(request, _OF_REASON.get(error.reason, 422), error.reason.value)

    @app.exception_handler(NotAllowed)
    def _not_allowed(request: Request, _error: NotAllowed) -> JSONResponse:
        return _answer(request, 409, "not_allowed")

    @app.exception_handler(UnknownIncident)
    def _unknown(request: Request, _error: UnknownIncident) -> JSONResponse:
        return _answer(request, 404, "not_found")

    @app.exception_handler(RequestValidationError)
    def _invalid(request: Request, _error: RequestValidationError) -> JSONResponse:
        return _answer(request, 422, "bad_request")

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> JSONResponse:
        return _answer(request, error.status_code, _OF_STATUS.get(error.status_code, "bad_request"))

    @app.exception_handler(Transient)
    def _away(request: Request, _error: Transient) -> JSONResponse:
        return _answer(request, 503, "unavailable", {"Retry-After": "2"})

    @app.exception_handler(DataError)
    def _no_value(request: Request, _error: DataError) -> JSONResponse:
        return _answer(request, 422, "bad_request")

    @app.exception_handler(SQLAlchemyError)
    def _database(request: Request, _error: SQLAlchemyError) -> JSONResponse:
        return _answer(request, 503, "unavailable")


def _answer(request: Request, status: int, code: str, headers: dict[str, str] | None = None) -> JSONResponse:
    key = f"error.{code}"
    words = words_of(request)
    message = words.text(key if key in words.texts else "error.bad_request")
    return JSONResponse(models.ErrorOut(code=code, message=message).model_dump(), status, headers)
