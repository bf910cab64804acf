"""Every error over HTTP, in one shape: `{"error": {"code", "message", "request"}}`.

`gateway/errors.py` says what each of our errors means; this module adds what only HTTP knows (no such route, a method
not allowed, a body that does not parse) and keeps everything else inside: a defect gives its request id and no more.
"""

import asyncio
import json
import logging
import traceback
from collections import Counter
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.datastructures import ResponseSpec

from gateway.errors import BadRequestError, QuotaExceededError, translate
from gateway.requests import request_id

_log = logging.getLogger(__name__)
MAX_BODY_BYTES = 1_000_000
"""The largest request body taken: a long conversation is some tens of kilobytes."""
_LONG_BODY_BYTES = 16_000
"""A body of this size is looked through in some milliseconds at worst, when it is all small objects."""
RETRY_AFTER_SECONDS = 5
"""What a caller is told to wait after 429 and 503 where nothing better is known: about the time a question takes."""
_LIMITED = frozenset({"requests", "tokens"})
"""What OpenAI has headers for."""
_MESSAGE_CHARACTERS = 500
_BAD_REQUEST, _UNAUTHORISED, _CONFLICT, _TOO_MANY, _DEFECT, _UNAVAILABLE = 400, 401, 409, 429, 500, 503
_HTTP_ERRORS: dict[int, tuple[str, str]] = {
    401: ("not_authenticated", "This needs an API key or a session. Send `Authorization: Bearer KEY`, or sign in."),
    403: ("not_allowed", "You may not do this."),
    404: ("not_found", "There is nothing at this address. /schema lists what there is."),
    405: ("method_not_allowed", "This address does not take that method; the header Allow names those it takes."),
    410: ("conversation_unreadable", "The conversation can no longer be read. Start a new conversation."),
    413: ("too_large", f"The request is larger than {MAX_BODY_BYTES} bytes. Send less."),
    429: ("too_many_requests", "There are too many requests now. Wait a little and try again."),
    503: ("not_ready", "The service is not ready. Try again in a moment."),
}
"""The codes and texts of errors that the web framework raises."""


class ErrorDetail(msgspec.Struct, frozen=True):
    """What went wrong: a stable code, a sentence on what happened and what to do, and the request's id."""

    code: str
    message: str
    request: str


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of every response with a status from 400 on."""

    error: ErrorDetail


def describe_error(error: Exception, request: str) -> tuple[int, ErrorBody]:
    """The status and body an error is answered with; a defect is told only as that."""
    if (row := translate(error)) is not None:
        return row.status, _body(row.code, row.public or str(error), request)
    if isinstance(error, HTTPException) and error.status_code < _DEFECT:
        code, message = _HTTP_ERRORS.get(error.status_code, ("bad_request", _complaint(error)))
        return error.status_code, _body(code, message, request)
    message = f"Something went wrong in the service. Its log tells more under {request}; give that id to the operator."
    return _DEFECT, _body("internal_error", message, request)


def log_error(error: Exception, request: str) -> None:
    """Log what the service, not its caller, has to answer for."""
    row = translate(error)
    if row is None and not isinstance(error, HTTPException):
        # Frames without the error's text: a text may quote a question or a document.
        frames = "".join(traceback.format_tb(error.__traceback__))
        _log.error("request_defect request=%s error=%s\n%s", request, type(error).__name__, frames)
    elif row is not None and (row.status >= _DEFECT or row.public is not None):
        _log.error("request_failed request=%s code=%s reason=%s", request, row.code, error)


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[ErrorBody]:
    """The exception handler of the application."""
    log_error(error, request_id(request.scope))
    status, body = describe_error(error, request_id(request.scope))
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if status == _UNAUTHORISED:
        headers["WWW-Authenticate"] = "Bearer"
    if status in {_TOO_MANY, _UNAVAILABLE}:
        headers["Retry-After"] = str(getattr(error, "retry_after_seconds", None) or RETRY_AFTER_SECONDS)
    if isinstance(error, QuotaExceededError) and error.what in _LIMITED:
        # As OpenAI names them, for clients that heed these.
        headers |= {f"X-RateLimit-Limit-{error.what.title()}": str(error.most)}
        headers |= {f"X-RateLimit-Remaining-{error.what.title()}": str(error.left)}
        headers |= {f"X-RateLimit-Reset-{error.what.title()}": f"{error.retry_after_seconds}s"}
    return Response(body, status_code=status, headers=headers, media_type="application/json")


async def require_no_body(_: Request[Any, Any, Any]) -> None:
    """Ask for no body, where the address says everything; instead of `require_json`."""


async def require_json(request: Request[Any, Any, Any]) -> None:
    """Refuse a body before it is parsed when it is empty, not UTF-8, malformed, nested without end, or ambiguous.

    Raises:
        BadRequestError: The body is one of these.
    """
    if request.method != "POST":
        return
    body = await request.body()
    try:
        body.decode()
        msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        what = "is nested too deeply" if isinstance(error, RecursionError) else f"is not valid JSON: {error}"
        message = f"The request's body {what}. Send a JSON object." if body else "The request has no body. Send JSON."
        raise BadRequestError(message) from error
    # A long body that is all small objects would hold up everybody else's requests.
    twice = await asyncio.to_thread(_named_twice, body) if len(body) > _LONG_BODY_BYTES else _named_twice(body)
    if twice is not None:
        message = f"The request's body names {twice[:80]!r} twice in one object. Send each name once."
        raise BadRequestError(message)


def _named_twice(body: bytes) -> str | None:
    """A name that stands twice in an object of a JSON text; none if there is no such name.

    What reads the body takes the last of two, and what stands before us, a filter for example, may take the first.

    Raises:
        BadRequestError: It is nested too deeply to be looked through.
    """
    twice: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        if len({name for name, _ in pairs}) < len(pairs):
            twice.extend(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)

    try:
        json.loads(body, object_pairs_hook=look)
    except RecursionError as error:
        message = "The request's body is nested too deeply. Send a JSON object."
        raise BadRequestError(message) from error
    return twice[0] if twice else None


def error_responses(*statuses: int) -> dict[int, ResponseSpec]:
    """For a route's documentation: the errors it answers with besides those every route has."""
    every = (_BAD_REQUEST, _UNAUTHORISED, 403, _DEFECT, _UNAVAILABLE)
    return {
        status: ResponseSpec(ErrorBody, generate_examples=False, description=_description(status))
        for status in sorted({*every, *statuses})
    }


def _description(status: int) -> str:
    descriptions = {
        _BAD_REQUEST: "The request cannot be understood.",
        _CONFLICT: "The thing is in a state that forbids this.",
        _DEFECT: "A defect in the service.",
    }
    return descriptions.get(status) or _HTTP_ERRORS[status][1]


def _complaint(error: HTTPException) -> str:
    """What a failed validation has to say: the first place and what was expected there."""
    extra = error.extra if isinstance(error, ValidationException) else None
    if isinstance(extra, list) and extra and isinstance(extra[0], dict):
        place, expected = str(extra[0].get("key", "")), str(extra[0].get("message", ""))
        where = "the body" if place in {"", "data"} else f"`{place}`"
        return f"The request is not as expected at {where}: {expected}. Correct that and send it again."
    return f"The request is not as expected: {error.detail}. Correct that and send it again."


def _body(code: str, message: str, request: str) -> ErrorBody:
    return ErrorBody(ErrorDetail(code, message[:_MESSAGE_CHARACTERS], request))
