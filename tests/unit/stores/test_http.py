"""The base of HTTP clients against a server on loopback: attempts, deadlines, limits, and errors without secrets."""

from __future__ import annotations

import gzip
import json
import logging
import time
import traceback
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import SecretStr

from include.errors import Code, PermanentError, RetryableError
from include.stores.http import Address, HttpClient, Policy, Service
from include.stores.http_response import FailedAttemptError, next_link, retry_after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.unit

SHOP = Service(
    "The shop", Code.SOURCE_UNAVAILABLE, Code.SOURCE_REFUSED, "SHOP_URL", "SHOP_TOKEN",
    remedies={404: "Check SHOP_URL."}, login_in_address=True,
)  # fmt: skip


@dataclass
class Answer:
    """What the server does with one request; `pause` is in seconds, before each byte of the body."""

    status: int = 200
    body: bytes = b'{"orders": []}'
    headers: dict[str, str] = field(default_factory=dict)
    pause: float = 0.0


class Shop(ThreadingHTTPServer):
    """Answers requests with `answers`, in order, then with 200."""

    daemon_threads = True

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Shop

    def log_message(self, *_: object) -> None:
        """Write no log."""

    def do_GET(self) -> None:
        shop = self.server
        shop.asked.append((self.command, self.path, {name.lower(): text for name, text in self.headers.items()}))
        answer = shop.answers.pop(0) if shop.answers else Answer()
        self.send_response(answer.status)
        for name, text in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, text)
        self.end_headers()
        for byte in answer.body if answer.pause else ():
            time.sleep(answer.pause)
            self.wfile.write(bytes([byte]))
        if not answer.pause:
            self.wfile.write(answer.body)


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def connect(shop: Shop, slept: list[float]) -> Iterator[Callable[..., HttpClient]]:
    clients = []

    def connected(url: str = "", token: str = "", **policy: Any) -> HttpClient:
        values = {"attempts": 3, "backoff_seconds": 0, **policy}
        client = HttpClient(SHOP, Address(url or shop.url, SecretStr(token)), Policy(**values), slept.append)
        clients.append(client)
        return client

    yield connected
    for client in clients:
        client.close()


def test_request_returns_the_response(connect: Any, shop: Shop) -> None:
    response = connect(url=f"{shop.url}/v1/", token="secret").request("GET", "/orders?page=2")
    assert (response.status, response.json()) == (200, {"orders": []})
    [(method, path, headers)] = shop.asked
    assert (method, path) == ("GET", "/v1/orders?page=2")
    assert (headers["user-agent"], headers["authorization"]) == ("filegate", "Bearer secret")
    assert headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("status", [500, 503, 408, 429])
def test_failure_that_may_pass_is_tried_again(connect: Any, shop: Shop, slept: list[float], status: int) -> None:
    shop.answers = [Answer(status), Answer(status)]
    assert connect().request("GET", "/orders").status == 200
    assert (len(shop.asked), len(slept)) == (3, 2)


def test_lasting_failure_names_url_status_attempts_and_reason(connect: Any, shop: Shop) -> None:
    shop.answers = [Answer(503, b'{"why": "closed"}')] * 3
    with pytest.raises(RetryableError, match=r'GET /orders: it answered with status 503: {"why": "closed"}') as failure:
        connect().request("GET", "/orders?key=s3cret")
    assert (failure.value.stage, failure.value.code) == ("", Code.SOURCE_UNAVAILABLE)
    assert failure.value.details == {"url": f"{shop.url}/orders", "status": 503, "attempts": 3}


@pytest.mark.parametrize(
    ("status", "remedy"), [(404, "Check SHOP_URL."), (302, "documentation"), (400, "documentation")]
)
def test_refusal_is_raised_at_once_with_a_remedy(connect: Any, shop: Shop, status: int, remedy: str) -> None:
    shop.answers = [Answer(500), Answer(status, b"no such order")]
    with pytest.raises(PermanentError, match=f"refuses GET /orders with status {status}: no such order. ") as refusal:
        connect().request("GET", "/orders")
    assert remedy in refusal.value.message
    assert refusal.value.code is Code.SOURCE_REFUSED
    assert refusal.value.details == {"url": f"{shop.url}/orders", "status": status, "attempts": 2}
    assert len(shop.asked) == 2


def test_total_time_limits_the_attempts(connect: Any, shop: Shop, slept: list[float]) -> None:
    shop.answers = [Answer(503, headers={"Retry-After": "20"})] * 3
    with pytest.raises(RetryableError) as failure:
        connect(total_seconds=10).request("GET", "/orders")
    assert (failure.value.details["attempts"], slept) == (1, [])


@pytest.mark.parametrize(("asked", "waited"), [("7", 7.0), ("86400", 30.0)], ids=["short", "too long"])
def test_retry_after_is_waited_for_up_to_a_limit(
    connect: Any, shop: Shop, slept: list[float], asked: str, waited: float
) -> None:
    shop.answers = [Answer(429, headers={"Retry-After": asked})]
    connect().request("GET", "/orders")
    assert slept == [waited]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(body=b"x" * 1001), "over 1000 bytes"),
        (Answer(body=gzip.compress(bytes(5000)), headers={"Content-Encoding": "gzip"}), "over 1000 bytes"),
        (Answer(headers={"Content-Encoding": "br"}), "encoding br, expected gzip"),
        (Answer(body=b"x" * 100, pause=0.02), "its answer took over 0.2 seconds"),
        (Answer(body=b"x", pause=2), "no answer within 0.2 seconds"),
        (Answer(headers={"Content-Length": "999"}, body=b"x", pause=0.001), "no answer within 0.2 seconds"),
    ],
    ids=["large", "large when decompressed", "another encoding", "slow", "silent", "cut off"],
)
def test_incomplete_or_large_response_is_a_failed_attempt(
    connect: Any, shop: Shop, answer: Answer, reason: str
) -> None:
    shop.answers = [answer]
    with pytest.raises(FailedAttemptError, match=reason):
        connect(response_bytes=1000, read_seconds=0.2).send("GET", "/orders")


def test_response_that_is_not_json_is_a_failed_attempt(connect: Any, shop: Shop) -> None:
    shop.answers = [Answer(body=b"<html>")]
    with pytest.raises(FailedAttemptError, match="GET /orders: its answer is not JSON"):
        connect().send("GET", "/orders").json()


# Secrets


@pytest.mark.parametrize("login", ["", "me:pass-word@"], ids=["token", "token and login"])
@pytest.mark.parametrize("status", [500, 400])
def test_secrets_are_in_no_error_and_no_log(
    connect: Any, shop: Shop, caplog: pytest.LogCaptureFixture, login: str, status: int
) -> None:
    caplog.set_level(logging.DEBUG)
    body = json.dumps({"token": "tok-en", "session": 's"é', "login": "pass-word"}).encode()
    shop.answers = [Answer(status, body)] * 3
    client = connect(url=shop.url.replace("//", f"//{login}"), token="tok-en")
    client.hide('s"é')
    with pytest.raises((PermanentError, RetryableError)) as failure:
        client.request("GET", "/orders?api_key=tok-en")
    assert shop.asked[0][2]["authorization"] == "Bearer tok-en"
    assert "***" in str(failure.value)
    hidden = ["tok-en", 's\\"', *(["pass-word"] if login else [])]
    assert not [secret for secret in hidden if secret in str(failure.value) + caplog.text]
    assert failure.value.details["url"] == f"{shop.url}/orders"


def test_secret_in_an_invalid_answer_is_in_no_error_log_or_traceback(
    connect: Any, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shop.answers = [Answer(headers={"Echo of Bearer tok-en": "x"})] * 3
    with pytest.raises(RetryableError) as failure:
        connect(token="tok-en").request("GET", "/orders")
    printed = "".join(traceback.format_exception(failure.value)) + caplog.text
    assert "illegal header line" in printed
    assert "Bearer ***" in printed
    assert "tok-en" not in printed.replace('token="tok-en"', "")


def test_login_of_the_address_is_sent_and_not_logged(
    connect: Any, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = connect(url=shop.url.replace("//", "//me:pass%20word@"))
    client.request("GET", "/orders")
    assert shop.asked[0][2]["authorization"] == "Basic bWU6cGFzcyB3b3Jk"
    assert "pass" not in caplog.text
    assert client.url == shop.url


def test_headers_of_answers_are_in_no_log(
    connect: Any, shop: Shop, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "httpx")
    for name in ("httpx", "httpcore"):  # a program that configures logging may have disabled them
        monkeypatch.setattr(logging.getLogger(name), "disabled", False)
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
    shop.answers = [Answer(headers={"Link": "</orders?key=s3cret>", "Set-Cookie": "id=s3cret"})]
    assert connect().request("GET", "/orders?key=s3cret").status == 200
    assert "/orders" in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize("url", ["", "shop", "ftp://shop", "http://", "http://[::1", "http://shop?key=1"])
def test_address_that_is_not_valid_names_its_setting(url: str) -> None:
    with pytest.raises(PermanentError, match="SHOP_URL must be an address") as refusal:
        HttpClient(SHOP, Address(url), Policy())
    assert refusal.value.code is Code.SOURCE_REFUSED


@pytest.mark.parametrize("token", ["se cret", "se\ncret", "secreté"], ids=ascii)
def test_token_that_is_not_valid_is_not_shown(connect: Any, token: str) -> None:
    with pytest.raises(PermanentError, match="SHOP_TOKEN is not a token") as refusal:
        connect(token=token)
    assert "cret" not in str(refusal.value)


# Links and headers


def test_link_of_the_same_server_is_followed_and_another_is_refused(connect: Any, shop: Shop) -> None:
    client = connect()
    here = httpx.URL(f"{shop.url}/orders?page=1")
    assert str(client.linked(here, "?page=2#top")) == f"{shop.url}/orders?page=2"
    with pytest.raises(PermanentError, match="links to another server") as refusal:
        client.linked(here, "http://me:pass@evil.example/orders?key=1")
    assert refusal.value.details == {"url": f"{shop.url}/orders", "link": "http://evil.example/orders"}
    with pytest.raises(PermanentError, match="links to another server"):
        client.send("GET", httpx.URL("http://127.0.0.1:1/orders"))
    assert shop.asked == []


@pytest.mark.parametrize(
    ("header", "target"),
    [('</a?x=1>; rel="last", </b>; rel="prev next"', "/b"), ("</a>; rel=last", None), ("", None)],
    ids=["one of several", "another relation", "none"],
)
def test_next_link_is_found_by_its_relation(header: str, target: str | None) -> None:
    assert next_link({"link": header}) == target


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0),
        (" 12 ", 12),
        ("-1", None),
        ("nonsense", None),
        ("9" * 400, 1e8),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        (format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True), pytest.approx(86400, rel=0.1)),
    ],
    ids=["none", "zero", "seconds", "negative", "nonsense", "beyond any date", "past date", "date"],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header: str | None, seconds: float | None) -> None:
    headers = {} if header is None else {"retry-after": header}
    assert retry_after(headers, time.time()) == seconds
