"""How long to wait according to headers and messages of the API."""

import httpx
import pytest

from include.sources.github.client import pause, used_up

pytestmark = pytest.mark.unit

NOW = 1_000_000.0
SECONDARY = b'{"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}'

SENT, DATE = "Mon, 12 Jan 1970 13:47:40 GMT", "Mon, 12 Jan 1970 13:48:10 GMT"  # 60 and 90 seconds after NOW


def left(remaining: str, reset: str = "1000030") -> dict[str, str]:
    return {"X-RateLimit-Remaining": remaining, "X-RateLimit-Reset": reset}


@pytest.mark.parametrize(
    ("status", "headers", "body", "seconds"),
    [
        pytest.param(403, left("0"), b"", 31.0, id="primary, as 403"),
        pytest.param(429, left("0"), b"", 31.0, id="primary, as 429"),
        pytest.param(403, left("0", "999000"), b"", 0.0, id="reset has passed"),
        pytest.param(403, left("0", "soon"), b"", 60.0, id="reset cannot be read"),
        pytest.param(403, {"Retry-After": "7"}, SECONDARY, 7.0, id="secondary, with Retry-After"),
        pytest.param(429, {"Retry-After": "7"}, b"", 7.0, id="429, with Retry-After"),
        pytest.param(403, left("0") | {"Retry-After": "50"}, b"", 50.0, id="both: the longer"),
        pytest.param(403, left("4000"), SECONDARY, 60.0, id="secondary, by its words"),
        pytest.param(403, {}, b"abuse detection mechanism", 60.0, id="its older words"),
        pytest.param(429, {}, b"", 60.0, id="429 alone"),
        pytest.param(403, left("0", "9" * 400), b"", 1e8, id="reset beyond any date"),
        pytest.param(429, {"Retry-After": "9" * 400}, b"", 1e8, id="Retry-After beyond any date"),
        pytest.param(403, {"Retry-After": DATE}, b"", 90.0, id="by a date"),
        pytest.param(429, {"Retry-After": DATE, "Date": SENT}, b"", 30.0, id="by a date, of the API's own clock"),
        pytest.param(429, {"Retry-After": SENT, "Date": DATE}, b"", 0.0, id="by a date that has passed"),
        pytest.param(429, {"Retry-After": "soon"}, b"", 60.0, id="in words"),
        pytest.param(403, {}, b'{"message": "API rate limit exceeded for 1.2.3.4."}', 60.0, id="primary, by its words"),
        pytest.param(403, left("4000"), b'{"message": "Resource not accessible"}', None, id="no right"),
        pytest.param(404, left("0"), b"", None, id="another refusal"),
        pytest.param(200, left("0"), b"secondary rate limit", None, id="an answer"),
        pytest.param(500, {"Retry-After": "7"}, b"", None, id="a failure"),
    ],
)
def test_pause_is_the_wait_that_the_response_requests(
    status: int, headers: dict[str, str], body: bytes, seconds: float | None
) -> None:
    assert pause(status, httpx.Headers(headers), body, NOW) == seconds


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        pytest.param({"Retry-After": "7"}, SECONDARY, 7.0, id="secondary, with Retry-After"),
        pytest.param(left("0"), b"", 31.0, id="primary"),
        pytest.param(left("4000"), SECONDARY, 240.0, id="secondary, without Retry-After"),
    ],
)
def test_only_a_pause_without_a_requested_wait_grows(headers: dict[str, str], body: bytes, seconds: float) -> None:
    assert pause(403, httpx.Headers(headers), body, NOW, turn=2) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"), [(left("0"), 31.0), (left("1"), None), ({}, None)], ids=["last", "one left", "no header"]
)
def test_used_up_detects_the_last_allowed_response(headers: dict[str, str], seconds: float | None) -> None:
    assert used_up(httpx.Headers(headers), NOW) == seconds
