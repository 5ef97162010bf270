"""A route whose body goes from bytes to models in one step, and whose answer goes to bytes in one.

FastAPI would make Python objects of the JSON first and validate those: three times the work. What it reads from the
signature, for the documentation, stays as it is.
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

_GONE = 499  # nobody reads it but the metrics; the number that nginx uses


class JsonRoute(APIRoute):
    """For endpoints, waiting or not, that take one model as their body and return what orjson can write."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Read, validate, call the endpoint, write.

        Raises:
            TypeError: the endpoint does not take exactly one body.
        """
        if self.body_field is None or self._embed_body_fields:
            raise TypeError(f"{self.name} must take one model as its body")
        endpoint, waits = self.endpoint, iscoroutinefunction(self.endpoint)
        model: Any = self.body_field.field_info.annotation
        adapter: TypeAdapter[Any] = TypeAdapter(model)

        async def handle(request: Request) -> Response:
            try:
                body = adapter.validate_json(await _read(request))
            except ValidationError as error:
                return _refused(error)
            except ClientDisconnect:
                return Response(status_code=_GONE)
            return _json(await endpoint(body) if waits else endpoint(body))

        return handle


async def _read(request: Request) -> bytes:
    """The whole body, unless it is too large: whatever its header promises, the bytes are counted."""
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
    """The places and reasons in FastAPI's form, without the values: they are somebody's account."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    detail = [{"type": one["type"], "loc": ("body", *one["loc"]), "msg": one["msg"]} for one in found]
    return _json({"detail": detail}, HTTPStatus.UNPROCESSABLE_ENTITY)


def _json(content: Any, status: int = HTTPStatus.OK) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
