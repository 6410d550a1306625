"""Refusals over HTTP: problem documents (RFC 9457) and a limit to what is read."""

from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ufgraphfr.core.errors import InputError

MOST_BYTES = 256 * 1024
"""Of a request's body."""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
HEADERS = {
    "Content-Security-Policy": f"{_POLICY}; connect-src 'self'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""Of every answer."""
_TYPE = "application/problem+json"
_DOCUMENT = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}
DOCUMENTED: dict[int | str, dict[str, Any]] = {
    status: {"description": what, "content": {_TYPE: {"schema": _DOCUMENT}}}
    for status, what in (
        (404, "Nothing has this address"),
        (413, "Too large"),
        (422, "Not valid, or it cannot be answered"),
    )
}
"""What the description of the service says of refusals."""


def _problem(status: int, title: str, detail: str, **more: Any) -> JSONResponse:
    """A problem document; ``about:blank`` says that the status tells the kind."""
    facts = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return JSONResponse(facts, status, HEADERS, media_type=_TYPE)


def add_problems(app: FastAPI) -> None:
    """Every error as a problem document; none repeats what was sent, but a name to look up."""

    @app.exception_handler(InputError)
    async def refused(_: Request, error: InputError) -> JSONResponse:
        return _problem(422, "Cannot be answered", str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        found = [
            {"pointer": "/" + "/".join(map(str, each["loc"][1:])), "detail": each["msg"]}
            for each in error.errors()
        ]
        said = "; ".join(f"{each['pointer']}: {each['detail']}" for each in found[:5])
        return _problem(422, "Not a valid request", said, errors=found)

    @app.exception_handler(StarletteError)
    async def known(_: Request, error: HTTPException) -> JSONResponse:
        answer = _problem(error.status_code, str(error.detail), str(error.detail))
        # which methods there are, if it was another
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Exception)
    async def unknown(_: Request, _error: Exception) -> JSONResponse:
        return _problem(500, "Internal error", "this is a fault of the service")


class LimitedBody:
    """Refuses bodies of more than `MOST_BYTES`, whether or not they say how long they are."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI: the body is read before the application sees any of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > MOST_BYTES:
                said = f"a body has at most {MOST_BYTES:,} bytes"
                await _problem(413, "Too large", said)(scope, receive, send)
                return
        whole: Message = {"type": "http.request", "body": bytes(body), "more_body": False}
        told = False

        async def once() -> Message:
            nonlocal told
            if told:
                return await receive()
            told = True
            return whole

        await self._app(scope, once, send)
