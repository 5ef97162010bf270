"""A route that validates the body directly from bytes, and serialises the answer with orjson.

FastAPI would parse the JSON into Python objects first and validate these, which takes three times as long. The
documentation that FastAPI makes from the signature is unchanged.
"""

from __future__ import annotations

from http import HTTPStatus
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import HTTPException, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from fastapi import Request

MAX_BODY_BYTES = 8 * 1024**2  # a thousand transactions, each with the longest text in the widest characters

_GONE = 499  # for the metrics only, as in nginx: the client has closed the connection


class JsonRoute(APIRoute):
    """For endpoints, async or not, that take one model as their body and return what orjson can serialise."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler: it reads and validates the body, calls the endpoint and serialises the answer.

        Raises:
            TypeError: the endpoint does not take exactly one body.
        """
        if self.body_field is None or self._embed_body_fields:
            raise TypeError(f"{self.name} must take one model as its body")
        endpoint, is_async = self.endpoint, iscoroutinefunction(self.endpoint)
        model: Any = self.body_field.field_info.annotation
        adapter: TypeAdapter[Any] = TypeAdapter(model)

        async def handle(request: Request) -> Response:
            try:
                body = adapter.validate_json(await _read(request))
            except ValidationError as error:
                return _refused(error)
            except ClientDisconnect:
                return Response(status_code=_GONE)
            return _json(await endpoint(body) if is_async else endpoint(body))

        return handle


async def _read(request: Request) -> bytes:
    """Read the whole body; refuse it with 413 if it is too large. The bytes are counted, not Content-Length."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise HTTPException(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the body is larger than {MAX_BODY_BYTES:,} bytes: send fewer transactions at once, or fewer commits",
            )
        chunks.append(chunk)
    return b"".join(chunks)


def _refused(error: ValidationError) -> Response:
    """Return the locations and reasons in FastAPI's form, without the values, which are personal data."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    detail = [{"type": one["type"], "loc": ("body", *one["loc"]), "msg": one["msg"]} for one in found]
    return _json({"detail": detail}, HTTPStatus.UNPROCESSABLE_ENTITY)


def _json(content: Any, status: int = HTTPStatus.OK) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
