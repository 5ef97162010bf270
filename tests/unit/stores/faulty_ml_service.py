"""A stand-in for the ML service, on loopback, that fails on command.

with FaultyMlService() as service:
    service.mode = Mode.DOWN  # from here on; may be changed at any time

It accepts any `id` that is a UUID and answers `category_of(id)`. When healthy it answers as ml_api does.
"""

import json
import socket
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable

CATEGORIES = ("groceries", "transport", "housing", "health", "income")


class Mode(StrEnum):
    HEALTHY = "healthy"
    SLOW = "slow"  # right, after delay_seconds or once the mode is another
    EVERY_THIRD_FAILS = "every third fails"  # 500
    FAILING = "failing"  # 500, always
    BUSY = "busy"  # 503 with Retry-After
    THROTTLING = "throttling"  # 429 with Retry-After
    DOWN = "down"  # nothing listens
    REFUSING = "refusing"  # 422 about the amount of the fourth transaction
    TOO_LARGE = "too large"  # 413
    NOT_FOUND = "not found"  # 404, not even JSON
    WRONG_TOKEN = "wrong token"  # 401
    GARBAGE = "garbage"  # 200, not JSON
    OTHER_JSON = "other JSON"  # 200, not the expected structure
    WRONG_ORDER = "wrong order"
    ONE_TOO_FEW = "one too few"
    NO_CATEGORY = "no category"
    HANGING = "hanging"  # takes the request, never answers
    DRIBBLING = "dribbling"  # a byte from time to time, for ever
    DROPPING = "dropping"  # closes the connection inside the answer


def category_of(transaction_id: object) -> str:
    """What the stand-in answers for an id."""
    return CATEGORIES[UUID(str(transaction_id)).int % len(CATEGORIES)]


class FaultyMlService:
    """`calls` counts requests that arrived; `most_at_once` those that were under way at the same time."""

    def __init__(self, mode: Mode = Mode.HEALTHY) -> None:
        self.delay_seconds = 0.05
        self.retry_after = "1"
        self.calls = 0
        self.most_at_once = 0
        self.connections = 0
        self.last_request: Any = None
        self.last_authorization: str | None = None
        self._mode = mode
        self._running = 0
        self._lock = Lock()
        self._mode_changed = Event()
        self._server: _Server | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def mode(self) -> Mode:
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        """Release requests that wait in the old mode: they are answered if it was SLOW, else dropped."""
        with self._lock:
            self._mode = mode
            self._mode_changed.set()
            self._mode_changed = Event()
        if mode is Mode.DOWN:
            self._stop()
        elif self._server is None:
            self._start()

    def __enter__(self) -> Self:
        self._start()
        if self._mode is Mode.DOWN:
            self._stop()
        return self

    def __exit__(self, *_: object) -> None:
        self._mode_changed.set()
        self._stop()

    def _start(self) -> None:
        self._server = _Server(self, self._port)
        self._port = self._server.server_address[1]
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def _stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.hang_up()
            self._server.server_close()
            self._server = None

    def arrived(self, request: Any) -> int:
        with self._lock:
            self.calls += 1
            self._running += 1
            self.most_at_once = max(self.most_at_once, self._running)
            self.last_request = request
            return self.calls

    def left(self) -> None:
        with self._lock:
            self._running -= 1

    def now(self) -> tuple[Mode, Event]:
        """The mode, and the event that is set when it ends."""
        with self._lock:
            return self._mode, self._mode_changed


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True
    request_queue_size = 64

    def __init__(self, service: FaultyMlService, port: int) -> None:
        self.service = service
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        self.service.connections += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        for connection in tuple(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client was faster

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors of clients that close their connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        known = self.path == "/health"
        self.answer(200 if known else 404, {"status": "ok"} if known else {"detail": "Not Found"})

    def do_POST(self) -> None:
        service = self.server.service
        service.last_authorization = self.headers["Authorization"]
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/predict/batch":
            self.answer(404, {"detail": "Not Found"})
            return
        request = json.loads(raw)
        call = service.arrived(request)
        try:
            ids = [transaction["id"] for transaction in request["transactions"]]
            self.misbehave(service, call, [{"id": one, "category": category_of(one)} for one in ids])
        finally:
            service.left()

    def misbehave(self, service: FaultyMlService, call: int, predictions: list[dict[str, str]]) -> None:
        right = {"predictions": predictions}
        wait = {"Retry-After": service.retry_after}
        mode, ended = service.now()
        answers: dict[Mode, Callable[[], object]] = {
            Mode.HEALTHY: lambda: self.answer(200, right),
            Mode.SLOW: lambda: (ended.wait(service.delay_seconds), self.answer(200, right)),
            Mode.EVERY_THIRD_FAILS: lambda: self.answer(200, right) if call % 3 else self.answer(500, {}),
            Mode.FAILING: lambda: self.answer(500, {"detail": "Internal Server Error"}),
            Mode.BUSY: lambda: self.answer(503, {"detail": "busy"}, wait),
            Mode.THROTTLING: lambda: self.answer(429, {"detail": "slow down"}, wait),
            Mode.REFUSING: lambda: self.answer(422, _REFUSAL),
            Mode.TOO_LARGE: lambda: self.answer(413, {"detail": "the body is larger than 2,097,152 bytes"}),
            Mode.WRONG_TOKEN: lambda: self.answer(401, {"detail": "send the service's token"}),
            Mode.NOT_FOUND: lambda: self.answer(404, "<html>nothing here"),
            Mode.GARBAGE: lambda: self.answer(200, "<html>welcome to the proxy"),
            Mode.OTHER_JSON: lambda: self.answer(200, {"predictions": [one["category"] for one in predictions]}),
            Mode.WRONG_ORDER: lambda: self.answer(200, {"predictions": predictions[::-1]}),
            Mode.ONE_TOO_FEW: lambda: self.answer(200, {"predictions": predictions[:-1]}),
            Mode.NO_CATEGORY: lambda: self.answer(
                200, {"predictions": [one | {"category": ""} for one in predictions]}
            ),
            Mode.HANGING: lambda: self.hang(ended),
            Mode.DRIBBLING: lambda: self.dribble(ended),
            Mode.DROPPING: lambda: self.drop(right),
            Mode.DOWN: lambda: self.hang(ended),
        }
        answers[mode]()

    def answer(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def hang(self, ended: Event) -> None:
        ended.wait()
        self.close_connection = True

    def dribble(self, ended: Event) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        while not ended.wait(0.01):
            self.wfile.write(b" ")
        self.close_connection = True

    def drop(self, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2])
        self.close_connection = True


_REFUSAL = {
    "detail": [
        {"loc": ["body", "transactions", 3, "amount"], "msg": "Input should be a valid decimal", "type": "decimal"},
        {"loc": ["body", "transactions", 5, "side"], "msg": "Input should be 'debit' or 'credit'", "type": "literal"},
    ]
}
