"""What the stand-ins for APIs share: a server inside a test, injected failures, and a record of the requests.

What belongs here: what depends on no API. What does not: answers (`stand_ins`).
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import uvicorn
from starlette.responses import Response

from local.settings import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from starlette.requests import Request
    from starlette.types import ASGIApp


@dataclass
class Fault:
    """A failure that replaces the next `times` answers to paths that contain `path_contains`.

    `delay` in seconds comes before the answer; `truncate` closes the connection in the middle of the body; with a
    status of None the answer is the usual one (after the delay, with `headers` added).
    """

    status: int | None = 500
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"message":"Server Error"}'
    path_contains: str = ""
    delay: float = 0.0
    truncate: bool = False

    def answer(self) -> Response:
        """The answer that replaces the usual one."""
        headers = dict(self.headers)
        if self.truncate:
            headers["content-length"] = str(len(self.body) + 1000)
        return Response(self.body, self.status or 500, headers, "application/json; charset=utf-8")


def next_fault(faults: Iterable[Fault], path: str) -> Fault | None:
    """Return the first fault for this path, and count it as used once."""
    for fault in faults:
        if fault.times > 0 and fault.path_contains in path:
            fault.times -= 1
            return fault
    return None


@dataclass(frozen=True)
class Asked:
    """A received request. Header names are in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]

    @classmethod
    def of(cls, request: Request) -> Asked:
        """The record of a request."""
        return cls(request.method, request.url.path, dict(request.query_params), dict(request.headers))


class ServedApi:
    """An application inside a test, on a free port of the loopback interface. Use as a context manager."""

    def __init__(self, app: ASGIApp) -> None:
        self._port = free_ports(1)[0]
        settings = uvicorn.Config(
            app, "127.0.0.1", self._port,
            log_level="critical", lifespan="off", timeout_keep_alive=1, date_header=False,
        )  # fmt: skip
        self._server = uvicorn.Server(settings)
        self._thread = threading.Thread(target=self._server.run, name="served-api", daemon=True)

    @property
    def url(self) -> str:
        """The address of the server."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the server did not start")
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)
