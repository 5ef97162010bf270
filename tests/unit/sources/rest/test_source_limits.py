"""How long to wait, and what is left, according to headers and words of an API."""

from __future__ import annotations

import httpx
import pytest

from include.sources.rest.limits import pause, poll_interval, remaining, reset_at, used_up, used_weight
from include.stores.http_response import Response

pytestmark = pytest.mark.unit

NOW = 1_764_583_200.0  # 2025-12-01 10:00:00
SENT, LATER = "Mon, 01 Dec 2025 10:00:00 GMT", "Mon, 01 Dec 2025 10:01:30 GMT"
SECONDARY = b'{"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}'


def left(remaining: str, reset: str = "1764583230") -> dict[str, str]:
    return {"X-RateLimit-Remaining": remaining, "X-RateLimit-Reset": reset}


def response(status: int, headers: dict[str, str], body: bytes = b"") -> Response:
    return Response("GET /", httpx.URL("http://api"), status, httpx.Headers(headers), body)


@pytest.mark.parametrize(
    ("status", "headers", "body", "seconds"),
    [
        pytest.param(429, {"Retry-After": "7"}, b"", 7.0, id="429, seconds"),
        pytest.param(429, {"Retry-After": LATER, "Date": SENT}, b"", 90.0, id="429, date"),
        pytest.param(429, {"Retry-After": LATER}, b"", 90.0, id="429, date, no clock of the API"),
        pytest.param(429, {}, b"", 60.0, id="429 alone"),
        pytest.param(429, {"Retry-After": "soon"}, b"", 60.0, id="429, in words"),
        pytest.param(429, {"Retry-After": "9" * 400}, b"", 1e8, id="429, beyond any date"),
        pytest.param(429, left("0"), b"", 31.0, id="429, reset"),
        pytest.param(403, left("0"), b"", 31.0, id="403, reset"),
        pytest.param(403, left("0") | {"Retry-After": "50"}, b"", 50.0, id="the longer of both"),
        pytest.param(403, left("9"), SECONDARY, 60.0, id="403, by its words"),
        pytest.param(403, {}, b'{"error": {"errors": [{"reason": "userRateLimitExceeded"}]}}', 60.0, id="one word"),
        pytest.param(403, {}, b'{"message": "no right"}', None, id="403, no right"),
        pytest.param(418, {"Retry-After": "120"}, b"", 120.0, id="418, ban"),
        pytest.param(418, {}, b"", None, id="418, a teapot"),
        pytest.param(404, left("0"), b"", None, id="another refusal"),
        pytest.param(200, left("0"), SECONDARY, None, id="an answer"),
    ],
)
def test_pause_is_the_wait_that_the_api_asks_for(
    status: int, headers: dict[str, str], body: bytes, seconds: float | None
) -> None:
    assert pause(response(status, headers, body), NOW) == seconds


def test_418_after_429_is_a_limit() -> None:
    assert pause(response(418, {}), NOW, was_limited=True) == 60.0


def test_only_a_pause_that_the_api_does_not_ask_for_grows() -> None:
    assert pause(response(403, {}, SECONDARY), NOW, 2) == 240.0
    assert pause(response(429, {"Retry-After": "7"}), NOW, 2) == 7.0


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        pytest.param("1764583230", 30.0, id="seconds since 1970"),
        pytest.param("1764583230500", 30.5, id="milliseconds since 1970"),
        pytest.param("1764583230.5", 30.5, id="with a fraction"),
        pytest.param("30", 30.0, id="seconds from now"),
        pytest.param("2025-12-01T10:00:30Z", 30.0, id="ISO 8601"),
        pytest.param("2025-12-01T10:00:30", 30.0, id="ISO 8601 without a zone"),
        pytest.param(LATER, 90.0, id="HTTP date"),
        pytest.param("1764583000", -200.0, id="in the past"),
        pytest.param("9" * 15, 1e8, id="far in the future"),
        pytest.param("9999-12-31T23:59:59Z", 1e8, id="ISO 8601 far in the future"),
        pytest.param("0001-01-01T00:00:00+14:00", -NOW, id="before the first date"),
        pytest.param("soon", None, id="in words"),
        pytest.param("-5", None, id="negative"),
        pytest.param("9" * 400, None, id="endless"),
    ],
)
def test_reset_is_read_in_each_of_its_forms(reset: str, seconds: float | None) -> None:
    at = reset_at(httpx.Headers(left("1", reset)), NOW)
    assert at == (None if seconds is None else NOW + seconds)


@pytest.mark.parametrize("prefix", ["X-RateLimit-", "X-Rate-Limit-", "RateLimit-"])
def test_headers_have_several_names(prefix: str) -> None:
    headers = httpx.Headers({f"{prefix}Remaining": "0", f"{prefix}Reset": "1764583230"})
    assert (remaining(headers), used_up(headers, NOW)) == (0, 31.0)


def test_limit_is_used_up_at_zero_alone() -> None:
    assert used_up(httpx.Headers(left("1")), NOW) is None
    assert used_up(httpx.Headers(), NOW) is None
    assert used_up(httpx.Headers(left("0", "soon")), NOW) == 60.0
    assert used_up(httpx.Headers(left("0", "1764583000")), NOW) == 0.0, "it was reset"
    assert used_up(httpx.Headers(left("0", "Fri, 31 Dec 9999 23:59:59 GMT")), NOW) == 1e8


def test_weights_and_intervals_are_read() -> None:
    headers = httpx.Headers({"X-MBX-USED-WEIGHT-1M": "12", "x-mbx-used-weight": "7", "X-Poll-Interval": "60"})
    assert (used_weight(headers), poll_interval(headers)) == (12, 60.0)
    assert (used_weight(httpx.Headers()), poll_interval(httpx.Headers({"X-Poll-Interval": "now"}))) == (None, None)


@pytest.mark.parametrize("asked", ["86401", "999999999999999"])
def test_interval_is_at_most_a_day(asked: str) -> None:
    assert poll_interval(httpx.Headers({"X-Poll-Interval": asked})) == 86_400.0
