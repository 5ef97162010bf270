"""An HTTP API on loopback that a test scripts: it gives the answers of the test, and records the requests.

    with ScriptedApi() as api:
        api.answers = [Reply({"data": [1]}), Reply(status=503), ...]      # one for each request, in order
        api.answers = lambda asked: Reply([asked.params["page"]])         # or made of the request

What belongs here: the server. What does not: the behaviour of one real API.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

# The API's clock, unless an answer has another Date.
DATE = "Tue, 01 Dec 2026 10:00:00 GMT"


@dataclass(frozen=True)
class Reply:
    """An answer. A body that is neither bytes nor text is sent as JSON. A header that is None is left out."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str | None] = field(default_factory=dict)

    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


@dataclass(frozen=True)
class Asked:
    """A request that came. `target` is path and query; names of headers are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def params(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))


class ScriptedApi(ThreadingHTTPServer):
    """Serves while its context lasts. `answers` is a list, which is used up, or a function of the request.

    A list that is used up is answered with 500, which says so.
    """

    daemon_threads = True

    def __init__(self) -> None:
        self.answers: list[Reply] | Callable[[Asked], Reply] = []
        self.requests: list[Asked] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        self._thread = Thread(target=self.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def targets(self) -> list[str]:
        return [asked.target for asked in self.requests]

    def answer(self, asked: Asked) -> Reply:
        self.requests.append(asked)
        if callable(self.answers):
            return self.answers(asked)
        return self.answers.pop(0) if self.answers else Reply("the test has no answer for this request", 500)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedApi

    def log_message(self, *_: object) -> None:
        """Write no log."""

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): ", ".join(self.headers.get_all(name) or []) for name in self.headers}
        reply = self.server.answer(Asked(self.command, self.path, headers, self.rfile.read(length)))
        content = reply.content()
        sent = {"Date": DATE, "Content-Type": "application/json", "Content-Length": str(len(content)), **reply.headers}
        self.send_response_only(reply.status)
        for name, text in sent.items():
            if text is not None:
                self.send_header(name, text)
        self.end_headers()
        if reply.status not in {204, 304}:
            self.wfile.write(content)

    do_POST = do_GET  # noqa: N815
