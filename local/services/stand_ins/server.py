"""The server of the stand-ins: a path for each API, failures on request, and the marks of every answer.

What belongs here: HTTP. What does not: answers (the modules of the APIs). `StandIns` runs the server inside a test,
which can inject failures, inspect the received requests, lower limits and set the clock.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.routing import Route

from local.services.served_api import Asked, ServedApi, next_fault
from local.services.stand_ins import binance, coingecko, github, open_meteo, openweathermap
from local.services.stand_ins.state import RefusedError, State, json_answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from local.services.stand_ins.state import Answer

NOW = datetime(2026, 11, 28, 12, 0, 30, tzinfo=UTC)  # in tests
STAND_IN = "x-stand-in"
# The first part of the path, and the paths behind it, which are those of the real API.
APIS = {api.NAME: api.PATHS for api in (coingecko, binance, github, open_meteo, openweathermap)}


def create_app(state: State) -> ASGIApp:
    """Make the application over a state, which may be changed while it serves."""

    async def index(_: Request) -> Response:
        return json_answer({"stand_ins": sorted(APIS)})

    routes = [
        Route(f"/{name}{path}", _endpoint(state, answer))
        for name, paths in APIS.items()
        for path, answer in paths.items()
    ]
    return _Marked(Starlette(routes=[Route("/", index), *routes]), state)


class StandIns(ServedApi):
    """The stand-ins inside a test, on a free port. Use as a context manager; `now` is their clock."""

    def __init__(self, now: datetime = NOW, seed: int = 0) -> None:
        self.now = now
        self.state = State(seed, self._clock, keep_requests=True)
        super().__init__(create_app(self.state))

    def _clock(self) -> float:
        return self.now.timestamp()

    def reset(self) -> None:
        """Return to the initial state."""
        self.now = NOW
        self.state.reset()


def _endpoint(state: State, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        asked = Asked.of(request)
        if state.keep_requests:
            state.requests.append(asked)
        if state.before:
            state.before(asked)
        fault = next_fault(state.faults, request.url.path)
        if fault is None:
            return _answered(state, request, answer)
        await asyncio.sleep(fault.delay)
        if fault.status is not None:
            return fault.answer()
        found = _answered(state, request, answer)
        found.headers.update(fault.headers)
        return found

    return endpoint


def _answered(state: State, request: Request, answer: Answer) -> Response:
    try:
        return answer(state, request)
    except RefusedError as refusal:
        return refusal.answer


class _Marked:
    """An application whose answers all say that they are invented, and when they were given."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self._app, self._state = app, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = format_datetime(datetime.fromtimestamp(self._state.now(), UTC), usegmt=True)
                marks = [(STAND_IN.encode(), b"true"), (b"date", date.encode())]
                own = message.get("headers", ())
                names = {name for name, _ in own}
                message["headers"] = [*own, *(mark for mark in marks if mark[0] not in names)]
            await send(message)

        await self._app(scope, receive, marked)
