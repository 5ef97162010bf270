"""One request: failures, rate limits, redirects, conditional requests, and what requests cost."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from shop_reader import Shop, make_source

from include.errors import Code, PermanentError, PipelineError, RetryableError
from include.sources.listing import Position
from tests.scripted_api import Asked, Reply

if TYPE_CHECKING:
    from tests.scripted_api import ScriptedApi

pytestmark = pytest.mark.unit

GOOD = Reply([{"id": 1}])
SECONDARY = {"message": "You have exceeded a secondary rate limit"}
LIMITED = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "30"}


def failed(shop: Shop, **keys: Any) -> PipelineError:
    error = shop.read(make_source(**keys)).error
    assert error is not None
    return error


def test_headers_of_the_definition_are_sent(shop: Shop, api: ScriptedApi) -> None:
    api.answers = [GOOD, GOOD]
    shop.read(make_source())
    headers = {"X-Shop": "{shop}", "ACCEPT": "text/json"}
    shop.read(make_source(request={"headers": headers, "forEach": {"shop": ["north"]}}))
    first, second = (asked.headers for asked in api.requests)
    assert (first["accept"], first["user-agent"], first["accept-encoding"]) == ("application/json", "filegate", "gzip")
    assert (second["accept"], second["x-shop"]) == ("text/json", "north")


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 202])
def test_failure_that_may_pass_is_tried_again(shop: Shop, api: ScriptedApi, status: int) -> None:
    api.answers = [Reply("busy", status), Reply("busy", status), GOOD]
    assert shop.read(make_source()).error is None
    assert (shop.traffic.requests, shop.traffic.retries, len(shop.slept)) == (3, 2, 2)
    assert shop.traffic.waited_seconds == sum(shop.slept)
    assert shop.traffic.bytes == len(b'[{"id": 1}]')


def test_lasting_failure_is_a_retryable_error(shop: Shop, api: ScriptedApi) -> None:
    api.answers = lambda _: Reply({"reason": "maintenance"}, 503)
    error = failed(shop)
    assert isinstance(error, RetryableError)
    assert error.code is Code.SOURCE_UNAVAILABLE
    assert "The API of shop_orders did not return a valid response" in error.message
    assert "status 503: maintenance" in error.message
    assert len(api.requests) == 5


@pytest.mark.parametrize("status", [400, 403, 404, 410, 418, 422])
def test_refusal_is_raised_at_once(shop: Shop, api: ScriptedApi, status: int) -> None:
    api.answers = [Reply({"error": {"errors": [{"message": "no\nsuch shop"}]}}, status)]
    error = failed(shop)
    assert isinstance(error, PermanentError)
    assert error.code is Code.SOURCE_REFUSED
    assert rf"refuses GET /orders with status {status}: no\nsuch shop. " in error.message
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"message": "m", "error": "e"}, "m"),
        ({"error": True, "reason": "r"}, "r"),
        ({"status": {"error_code": 10002, "error_message": "key missing"}}, "key missing"),
        ({"errors": [{"detail": "d"}]}, "d"),
        ({"code": -1121, "msg": "Invalid symbol."}, "Invalid symbol"),
        ({"x": 1}, '{"x": 1}'),
        ("<html>", "<html>"),
        ("[" * 5000, "[[["),
        ("", "(empty answer)"),
    ],
)
def test_reason_is_found_in_the_usual_bodies(shop: Shop, api: ScriptedApi, body: Any, reason: str) -> None:
    api.answers = [Reply(body, 400)]
    assert f"with status 400: {reason}" in failed(shop).message


# An answer that cannot be used


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"error": "limit of today"}, 'its answer has no records at \'data\': {"error": "limit of today"}'),
        ({"data": [], "error": "limit of today"}, "its answer is an error"),
        ({"data": None}, "its answer has no records at 'data'"),
        ("<html>Sorry</html>", "its answer is not JSON at its character 1: <html>Sorry</html>"),
        ('{"data": [{"id": 1}', "its answer is cut off"),
        ("", "its answer is empty: (empty answer)"),
    ],
)
def test_answer_without_records_is_tried_again_and_then_an_error(
    shop: Shop, api: ScriptedApi, body: Any, why: str
) -> None:
    api.answers = [Reply(body), Reply({"data": [{"id": 1}]})]
    assert shop.read(make_source(records="data")).error is None
    assert (shop.sunk.ids, shop.traffic.retries, len(shop.sunk.answers)) == ([1], 1, 1)
    api.answers = lambda _: Reply(body)
    api.requests.clear()
    error = failed(shop, records="data", request={"params": {"limit": 100}})
    assert isinstance(error, RetryableError)
    assert error.code is Code.SOURCE_UNAVAILABLE
    assert why in error.message
    assert len(api.requests) == 5, "a smaller page would have no records either"
    assert (shop.sunk.lines, shop.sunk.answers) == ([], [])


def test_no_content_is_an_empty_page(shop: Shop, api: ScriptedApi) -> None:
    api.answers = [Reply(status=204)]
    listing = shop.read(make_source(records="data"))
    assert (listing.error, listing.records_read, listing.position) == (None, 0, Position())


# Rate limits


@pytest.mark.parametrize(
    ("reply", "seconds"),
    [
        pytest.param(Reply("", 429, {"Retry-After": "7"}), 7.0, id="seconds"),
        pytest.param(
            Reply("", 429, {"Retry-After": "Tue, 01 Dec 2026 10:00:09 GMT"}), 9.0, id="date by the API's clock"
        ),
        pytest.param(Reply("", 403, dict(LIMITED)), 31.0, id="X-RateLimit"),
        pytest.param(Reply("", 429, {**LIMITED, "X-RateLimit-Reset": "1796119230"}), 31.0, id="by the API's clock"),
        pytest.param(Reply(SECONDARY, 403), 60.0, id="secondary, by its words"),
        pytest.param(Reply("", 429), 60.0, id="no wait named"),
        pytest.param(Reply("", 418, {"Retry-After": "120"}), 120.0, id="ban"),
    ],
)
def test_limit_is_waited_for(shop: Shop, api: ScriptedApi, reply: Reply, seconds: float) -> None:
    api.answers = [reply, GOOD]
    assert shop.read(make_source()).error is None
    assert shop.slept == [seconds]
    assert (shop.traffic.waited_seconds, shop.traffic.retries, shop.traffic.requests) == (seconds, 1, 2)


def test_ban_after_a_limit_is_a_limit(shop: Shop, api: ScriptedApi) -> None:
    api.answers = [Reply("", 429, {"Retry-After": "1"}), Reply("banned", 418), GOOD]
    assert shop.read(make_source()).error is None
    assert shop.slept == [1.0, 120.0], "the second refusal names no wait"


def test_no_request_is_sent_while_none_is_left(shop: Shop, api: ScriptedApi) -> None:
    api.answers = lambda asked: Reply([{"id": asked.params["page"]}], 200, dict(LIMITED))
    shop.read(make_source(pagination={"type": "page_number"}, limits={"pages": 3}))
    assert shop.slept == [31.0, 31.0]


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "999999999999"}, {"Retry-After": "86401"}, {"Retry-After": "Fri, 31 Dec 2027 23:59:59 GMT"},
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9999999999"},
    ],
    ids=str,
)  # fmt: skip
def test_limit_of_more_than_a_day_is_named(shop: Shop, api: ScriptedApi, headers: dict[str, str]) -> None:
    api.answers = [Reply([{"id": 1}]), Reply("", 429, headers)]
    listing = shop.read(make_source(pagination={"type": "page_number"}))
    assert isinstance(listing.error, RetryableError)
    assert listing.error.details["is_long"] is True
    assert "That is more than a day: ask the operator of the API" in listing.error.message
    assert listing.position.next_page is not None, "the next run continues"


def test_long_limit_ends_the_run_and_keeps_what_came(shop: Shop, api: ScriptedApi) -> None:
    source = make_source(pagination={"type": "page_number"})
    api.answers = [Reply([{"id": 1}]), Reply([{"id": 2}]), Reply("", 429, {"Retry-After": "1700"})]
    listing = shop.read(source)
    assert isinstance(listing.error, RetryableError)
    assert listing.error.code is Code.RATE_LIMITED
    assert "used up until 2026-12-01 09:58:20 UTC. That is in 1700 s" in listing.error.message
    assert shop.traffic.limit_resets_at == datetime(2026, 12, 1, 9, 58, 20, tzinfo=UTC), "the run's row has it"
    assert listing.error.details["is_long"] is False
    assert (shop.slept, shop.sunk.ids) == ([], [1, 2])
    api.answers = [Reply([{"id": 3}]), Reply([])]
    assert shop.read(source, listing.position).error is None
    assert shop.sunk.ids == [3]
    assert [asked.params["page"] for asked in api.requests] == ["1", "2", "3", "3", "4"]


def test_all_waits_count_together(shop: Shop, api: ScriptedApi) -> None:
    api.answers = lambda _: Reply("", 429, {"Retry-After": "140"})
    error = failed(shop)
    assert "a run waits at most 300 s and has already waited 280 s" in error.message
    assert shop.slept == [140.0, 140.0]


def test_waits_are_no_longer_than_the_time_of_a_run(shop: Shop, api: ScriptedApi) -> None:
    api.answers = lambda _: Reply("", 429, {"Retry-After": "20"})
    assert "a run waits at most 10 s" in failed(shop, limits={"seconds": 10}).message
    assert shop.slept == []


def test_limit_that_never_ends_is_given_up(shop: Shop, api: ScriptedApi) -> None:
    api.answers = lambda _: Reply("", 429, {"Retry-After": "1"})
    error = failed(shop)
    assert error.code is Code.RATE_LIMITED
    assert "It refused 5 times" in error.message
    assert len(api.requests) == 5


def test_503_with_retry_after_is_waited_for(shop: Shop, api: ScriptedApi) -> None:
    api.answers = [Reply("", 503, {"Retry-After": "45"}), GOOD]
    assert shop.read(make_source()).error is None
    assert 45 <= shop.slept[0] < 46


def test_limits_weights_and_intervals_are_counted(shop: Shop, api: ScriptedApi) -> None:
    headers = {"X-RateLimit-Remaining": "17", "X-RateLimit-Reset": "90", "X-Poll-Interval": "60"}
    headers["X-MBX-USED-WEIGHT-1M"] = "5999"
    api.answers = [Reply([{"id": 1}], 200, {**headers}), Reply([])]
    shop.read(make_source(pagination={"type": "page_number"}))
    traffic = shop.traffic
    assert (traffic.limit_remaining, traffic.used_weight, traffic.poll_interval_seconds) == (17, 5999, 60.0)
    assert traffic.limit_resets_at == datetime(2026, 12, 1, 10, 1, 30, tzinfo=UTC), "by the clock of the API"
    assert shop.slept == [], "a weight is recorded only"


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_on_the_same_server_is_followed(
    shop: Shop, api: ScriptedApi, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    shop.password = "t0ken"
    api.answers = [Reply("", status, {"Location": "/v2/orders?x=1"}), GOOD]
    source = make_source(auth={"type": "bearer"}, conditional=True)
    listing = shop.read(source)
    assert listing.error is None
    assert api.targets == ["/orders", "/v2/orders?x=1"]
    assert api.requests[1].headers["authorization"] == "Bearer t0ken"
    assert "/orders has moved to /v2/orders: change the path in the definition of the source shop_orders" in caplog.text


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:1/orders", "//evil.example/orders", "https://127.0.0.1/", "", "http://u:p@{own}/"]
)
def test_redirect_to_another_server_is_refused(shop: Shop, api: ScriptedApi, location: str) -> None:
    shop.password = "t0ken"
    own = api.url.removeprefix("http://")
    api.answers = [Reply("", 302, {"Location": location.format(own=own)})]
    error = failed(shop, auth={"type": "bearer"})
    assert isinstance(error, PermanentError)
    assert "links to another server. The link is not followed: the token is only for this one" in error.message
    assert len(api.requests) == 1


def test_redirects_in_a_circle_end(shop: Shop, api: ScriptedApi) -> None:
    api.answers = lambda _: Reply("", 302, {"Location": "/orders"})
    assert "redirects too often" in failed(shop).message
    assert len(api.requests) == 4


def test_key_is_sent_to_the_new_address_once(shop: Shop, api: ScriptedApi) -> None:
    shop.password = "k3y"
    api.answers = [Reply("", 301, {"Location": "/new?a=1&key=k3y"}), GOOD]
    assert shop.read(make_source(auth={"type": "api_key", "in": "query", "name": "key"})).error is None
    assert api.targets == ["/orders?key=k3y", "/new?a=1&key=k3y"]


# Conditional requests


def with_etag(asked: Asked) -> Reply:
    if asked.headers.get("if-none-match") == '"one"':
        return Reply(status=304, headers={"X-Poll-Interval": "90"})
    return Reply([{"id": 1}], 200, {"ETag": '"one"'})


def test_etag_of_the_last_run_is_sent_and_304_reads_nothing(shop: Shop, api: ScriptedApi) -> None:
    api.answers = with_etag
    source = make_source(conditional=True, request={"params": {"a": 1}})
    first = shop.read(source)
    assert first.position == Position(None, "/orders?a=1", '"one"')
    second = shop.read(source, first.position)
    assert (second.not_modified, second.position, second.error) == (True, first.position, None)
    assert (second.pages, second.records_read, shop.sunk.lines, shop.sunk.answers) == (0, 0, [], [])
    assert shop.traffic.poll_interval_seconds == 90.0


def test_etag_is_of_the_whole_address(shop: Shop, api: ScriptedApi) -> None:
    api.answers = with_etag
    first = shop.read(make_source(conditional=True, request={"params": {"a": 1}}))
    listing = shop.read(make_source(conditional=True, request={"params": {"a": 2}}), first.position)
    assert (listing.not_modified, listing.position.address) == (False, "/orders?a=2")


def test_without_conditional_no_etag_is_kept_or_sent(shop: Shop, api: ScriptedApi) -> None:
    api.answers = with_etag
    assert shop.read(make_source()).position == Position()
    listing = shop.read(make_source(), Position(None, "/orders", '"one"'))
    assert (listing.not_modified, listing.records_read) == (False, 1)


def test_not_modified_without_an_etag_is_refused(shop: Shop, api: ScriptedApi) -> None:
    api.answers = [Reply(status=304)]
    assert "status 304" in failed(shop, conditional=True).message


@pytest.mark.parametrize("etag", ["é", ""], ids=["not ASCII", "empty"])
def test_etag_that_cannot_be_sent_is_not_kept(shop: Shop, api: ScriptedApi, etag: str) -> None:
    api.answers = [Reply([{"id": 1}], 200, {"ETag": etag})]
    assert shop.read(make_source(conditional=True)).position == Position()


def test_address_that_is_not_valid_names_the_connection(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shop.path = "/?key=s3cret"
    with pytest.raises(PermanentError, match="The host of the connection source_shop must be an address") as refusal:
        shop.read(make_source())
    assert "s3cret" not in str(refusal.value) + caplog.text
