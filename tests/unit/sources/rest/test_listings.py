"""Listings of several pages: limits, their continuation, the watermark, and lists that change while they are read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from shop_reader import Shop, Sunk, make_source

from include.errors import Code, PermanentError, RetryableError
from include.sources.listing import Position
from tests.scripted_api import Asked, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.scripted_api import ScriptedApi

pytestmark = pytest.mark.unit

NUMBER = {"type": "page_number"}
CURSOR = {"type": "cursor", "cursorPath": "next", "param": "cursor"}


def endless(asked: Asked) -> Reply:
    at = int(asked.params.get("cursor", 0))
    return Reply({"data": [{"id": at * 2}, {"id": at * 2 + 1}], "next": at + 1})


# Limits


@pytest.mark.parametrize(
    ("limits", "ids"),
    [
        pytest.param({"pages": 2}, [0, 1, 2, 3], id="pages"),
        pytest.param({"records": 3}, [0, 1, 2, 3], id="records, with the whole page"),
        pytest.param({"records": 4}, [0, 1, 2, 3], id="records"),
        pytest.param({"bytes": 50}, [0, 1, 2, 3], id="bytes"),
    ],
)
def test_cursor_that_never_ends_is_read_up_to_the_limits(
    shop: Shop, api: ScriptedApi, limits: dict[str, Any], ids: list[int]
) -> None:
    api.answers = endless
    source = make_source(pagination=CURSOR, records="data", limits=limits)
    first = shop.read(source)
    assert (first.error, shop.sunk.ids) == (None, ids)
    second = shop.read(source, first.position)
    assert (second.error, shop.sunk.ids) == (None, [4, 5, 6, 7])
    assert json.loads(second.position.next_page or "")["target"] == "/orders?cursor=4"


def test_time_is_limited_with_the_waits(shop: Shop, api: ScriptedApi) -> None:
    def answer(asked: Asked) -> Reply:
        return Reply(endless(asked).body, 200, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "3"})

    api.answers = answer
    listing = shop.read(make_source(pagination=CURSOR, records="data", limits={"seconds": 10}))
    assert (listing.error, shop.slept) == (None, [4.0, 4.0])
    shop.slept.clear()
    listing = shop.read(make_source(pagination=CURSOR, records="data", limits={"seconds": 8}))
    assert (listing.error, shop.slept, listing.pages) == (None, [4.0], 2), "the wait would take the time of the run"


def test_empty_pages_count_for_the_limit(shop: Shop, api: ScriptedApi) -> None:
    api.answers = lambda _: Reply({"data": [], "next": len(api.requests)})
    listing = shop.read(make_source(pagination=CURSOR, records="data", limits={"pages": 5}))
    assert (listing.error, listing.pages, len(api.requests)) == (None, 0, 5)


def test_limit_at_the_last_page_leaves_nothing(shop: Shop, api: ScriptedApi) -> None:
    api.answers = [Reply([{"id": 1}])]
    assert shop.read(make_source(limits={"pages": 1})).position == Position()


@pytest.mark.parametrize("status", [400, 404, 410, 422])
def test_listing_begins_again_if_the_api_does_not_know_the_page_any_more(
    shop: Shop, api: ScriptedApi, status: int
) -> None:
    source = make_source(pagination=CURSOR, records="data", limits={"pages": 2})
    api.answers = endless
    position = shop.read(source).position
    api.answers = lambda asked: endless(asked) if asked.params.get("cursor") != "2" else Reply("expired", status)
    listing = shop.read(source, position)
    assert isinstance(listing.error, PermanentError), "no run would ever come behind these pages"
    assert "Raise the limits in sources/shop_orders.yaml" in listing.error.message
    assert (shop.sunk.ids, listing.position) == ([0, 1, 2, 3], Position())
    api.answers = lambda asked: Reply("expired", status) if asked.params else Reply({"data": [{"id": 9}]})
    assert shop.read(source, position).error is None
    assert shop.sunk.ids == [9]


def test_refusal_of_the_page_for_another_reason_does_not_begin_again(shop: Shop, api: ScriptedApi) -> None:
    source = make_source(pagination=CURSOR, records="data", limits={"pages": 2})
    api.answers = endless
    position = shop.read(source).position
    api.answers = [Reply("no right", 403)]
    listing = shop.read(source, position)
    assert isinstance(listing.error, PermanentError)
    assert (len(api.requests), listing.position) == (3, Position())


@pytest.mark.parametrize(
    "stored", ["", "{", "[]", '{"first": 1, "target": "/x"}', '{"target": "/x"}', '{"x": 1}', "null"]
)
def test_stored_page_that_cannot_be_read_begins_a_new_listing(shop: Shop, api: ScriptedApi, stored: str) -> None:
    api.answers = [Reply([{"id": 1}])]
    assert shop.read(make_source(), Position(next_page=stored)).error is None
    assert api.targets == ["/orders"]


# Failures


def test_failure_in_mid_listing_keeps_what_came_and_the_next_run_continues(shop: Shop, api: ScriptedApi) -> None:
    source = make_source(pagination=CURSOR, records="data")
    api.answers = lambda asked: endless(asked) if asked.params.get("cursor") != "2" else Reply("down", 503)
    listing = shop.read(source, Position("w", "/a", '"e"'))
    assert isinstance(listing.error, RetryableError)
    assert listing.error.code is Code.SOURCE_UNAVAILABLE
    assert shop.sunk.ids == [0, 1, 2, 3]
    assert (listing.position.watermark, listing.position.address, listing.position.etag) == ("w", "/a", '"e"')
    again = shop.read(source, listing.position)
    assert (again.position, again.records_read) == (listing.position, 0), "still down: it stays where it is"
    api.answers = lambda asked: Reply({"data": [{"id": asked.params["cursor"]}]})
    assert shop.read(source, again.position).error is None
    assert shop.sunk.ids == ["2"]


def test_failure_of_the_first_page_changes_no_position(shop: Shop, api: ScriptedApi) -> None:
    api.answers = lambda _: Reply("down", 503)
    position = Position("2026-11-01", "/orders", '"e"')
    listing = shop.read(make_source(conditional=True), position)
    assert listing.error is not None
    assert listing.position == position


def test_error_of_the_sink_is_raised(shop: Shop, api: ScriptedApi) -> None:
    class Full(Sunk):
        def take(self, record: bytes) -> None:
            raise RetryableError(Code.BUCKET_UNAVAILABLE, "the bucket is away")

    api.answers = [Reply([{"id": 1}])]
    with pytest.raises(RetryableError, match="the bucket is away"):
        shop.read(make_source(), sink=Full())


# Incremental


def stamped(*values: Any) -> Reply:
    return Reply([{"id": number, "at": value} for number, value in enumerate(values)])


def incremental(**keys: Any) -> dict[str, Any]:
    return {"incremental": {"cursor": "at", "startParam": "since", **keys}}


def test_watermark_is_the_newest_value_and_the_start_of_the_next_run(shop: Shop, api: ScriptedApi) -> None:
    source = make_source(**incremental(overlap="10m", initialValue="2024-01-01T00:00:00Z"))
    api.answers = [stamped("2026-12-01T08:00:00.5Z", "2026-12-01T10:30:00.25+01:00", "2026-12-01T09:00:00Z"), stamped()]
    first = shop.read(source)
    assert first.position == Position("2026-12-01T10:30:00.25+01:00"), "as the source wrote it"
    second = shop.read(source, first.position)
    assert second.position == first.position, "nothing new"
    assert [asked.params for asked in api.requests] == [
        {"since": "2024-01-01T00:00:00Z"}, {"since": "2026-12-01T10:20:00.25+01:00"},
    ]  # fmt: skip


def test_watermark_never_goes_back(shop: Shop, api: ScriptedApi) -> None:
    api.answers = [stamped("2026-11-30T09:00:00Z")]
    assert shop.read(make_source(**incremental()), Position("2026-12-01T09:00:00Z")).position.watermark == (
        "2026-12-01T09:00:00Z"
    )


@pytest.mark.parametrize(
    ("unit", "values", "start"),
    [
        ("s", [1796119000, 1796119100, 1796119050], "1796118500"),
        ("ms", [1796119000001, "1796119000002"], "1796118400002"),
    ],
)
def test_numbers_have_a_unit(shop: Shop, api: ScriptedApi, unit: str, values: list[Any], start: str) -> None:
    source = make_source(**incremental(unit=unit, overlap="10m"))
    api.answers = [stamped(*values), stamped()]
    first = shop.read(source)
    assert first.position.watermark == str(values[1])
    shop.read(source, first.position)
    assert api.requests[1].params == {"since": start}


def test_start_replaces_the_parameter_of_the_definition_and_pages_begin_behind_it(shop: Shop, api: ScriptedApi) -> None:
    last = {"type": "last_value", "path": "0", "param": "startTime", "limit": 2}
    source = make_source(
        incremental={"cursor": "0", "startParam": "startTime", "unit": "ms"},
        pagination=last, request={"params": {"startTime": 5, "limit": 2}},
    )  # fmt: skip
    api.answers = [Reply([[10, 1], [20, 1]]), Reply([[30, 1]])]
    assert shop.read(source, Position("10")).position == Position("30")
    assert [asked.params["startTime"] for asked in api.requests] == ["10", "21"]


def test_without_a_start_parameter_all_records_are_read(shop: Shop, api: ScriptedApi) -> None:
    api.answers = [stamped("2026-12-01T08:00:00Z")]
    source = make_source(incremental={"cursor": "at", "initialValue": "x"})
    listing = shop.read(source, Position("2026-12-01T09:00:00Z"))
    assert (api.targets, listing.records_read) == (["/orders"], 1)


def test_value_in_the_future_is_taken_and_does_not_move_the_watermark(shop: Shop, api: ScriptedApi) -> None:
    api.answers = [stamped("2026-12-01T09:59:59Z", "2026-12-01T10:00:01Z", "9999-12-31T23:59:59Z")]
    listing = shop.read(make_source(**incremental()))
    assert (listing.position.watermark, listing.records_read) == ("2026-12-01T09:59:59Z", 3)


@pytest.mark.parametrize("date", ["Mon, 01 Jan 1601 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "soon", ""])
def test_clock_that_is_none_is_not_used(shop: Shop, api: ScriptedApi, date: str) -> None:
    headers = {"Date": date, "X-RateLimit-Remaining": "5", "X-RateLimit-Reset": "90"}
    api.answers = [Reply(stamped("2026-12-01T09:15:00Z", "2026-12-01T09:45:00Z").body, 200, {**headers})]
    listing = shop.read(make_source(**incremental(lag="1m")))
    assert (listing.error, listing.position.watermark) == (None, "2026-12-01T09:15:00Z"), "it is 09:30 here"


def test_clock_of_the_api_decides_and_this_machines_only_without_it(shop: Shop, api: ScriptedApi) -> None:
    values = ("2026-12-01T09:29:00Z", "2026-12-01T09:45:00Z")  # this machine's clock says 09:30
    api.answers = [stamped(*values), Reply(stamped(*values).body, 200, {"Date": None})]
    assert shop.read(make_source(**incremental())).position.watermark == values[1]
    assert shop.read(make_source(**incremental())).position.watermark == values[0]


def test_records_younger_than_the_lag_are_left_to_the_next_run(shop: Shop, api: ScriptedApi) -> None:
    api.answers = [stamped("2026-12-01T09:49:00Z", "2026-12-01T09:50:00Z", "2026-12-01T09:50:01Z", None, "soon")]
    listing = shop.read(make_source(**incremental(lag="10m")))
    assert shop.sunk.ids == [0, 1, 3, 4], "without a readable time it is taken"
    assert (listing.position.watermark, listing.records_read) == ("2026-12-01T09:50:00Z", 4)


@pytest.mark.parametrize("pages", [10, 1], ids=["one run", "a run for each page"])
def test_later_page_does_not_move_the_watermark_past_a_withheld_record(
    shop: Shop, api: ScriptedApi, pages: int
) -> None:
    source = make_source(**incremental(lag="10m"), pagination=NUMBER, limits={"pages": pages})
    answers = [["2026-12-01T09:40:00Z", "2026-12-01T09:50:30Z"], ["2026-12-01T09:50:45Z", "2026-12-01T09:49:00Z"], []]
    api.answers = [
        Reply(stamped(*values).body, 200, {"Date": f"Tue, 01 Dec 2026 10:0{minute}:00 GMT"})
        for minute, values in enumerate(answers)
    ]
    position, ids = Position(), []
    for _ in range(4 - min(pages, 3)):
        position = shop.read(source, position).position
        ids += [json.loads(line)["at"] for line in shop.sunk.lines]
    assert position == Position("2026-12-01T09:49:00Z"), "the next run asks for what was too young"
    assert ids == ["2026-12-01T09:40:00Z", "2026-12-01T09:49:00Z"]


def test_record_that_changes_after_its_page_was_read_is_read_by_the_next_run(shop: Shop, api: ScriptedApi) -> None:
    records = {1: "2026-12-01T09:00:00Z", 2: "2026-12-01T09:10:00Z"}  # a page each, ordered by id

    def answer(asked: Asked) -> Reply:
        since, page = asked.params.get("since", ""), int(asked.params["page"])
        found = [{"id": number, "at": at} for number, at in sorted(records.items()) if at >= since][page - 1 : page]
        if page == 1:
            records.update({1: "2026-12-01T10:00:10Z", 2: "2026-12-01T10:00:20Z"})
        return Reply(found, 200, {"Date": f"Tue, 01 Dec 2026 10:0{page - 1}:00 GMT"})

    api.answers = answer
    source = make_source(**incremental(), pagination=NUMBER)
    first = shop.read(source)
    assert [json.loads(line)["at"] for line in shop.sunk.lines] == ["2026-12-01T09:00:00Z", "2026-12-01T10:00:20Z"]
    shop.read(source, first.position)
    assert [json.loads(line)["at"] for line in shop.sunk.lines] == ["2026-12-01T10:00:10Z", "2026-12-01T10:00:20Z"]


@pytest.mark.parametrize("value", [None, "", "yesterday", 5, {"a": 1}, "2026-02-30"])
def test_value_that_is_no_time_moves_nothing(shop: Shop, api: ScriptedApi, value: Any) -> None:
    api.answers = [stamped(value)]
    listing = shop.read(make_source(**incremental()), Position("2026-01-01"))
    assert (listing.error, listing.records_read, listing.position.watermark) == (None, 1, "2026-01-01")


def test_watermark_moves_when_the_listing_is_complete(shop: Shop, api: ScriptedApi) -> None:
    source = make_source(**incremental(overlap="1h"), pagination=NUMBER, limits={"pages": 1}, conditional=True)
    pages = [["2026-12-01T09:00:00Z"], ["2026-12-01T08:00:00Z"], []]
    api.answers = lambda asked: Reply(stamped(*pages[int(asked.params["page"]) - 1]).body, 200, {"ETag": '"e"'})
    position = Position("2026-12-01T07:00:00Z")
    first = shop.read(source, position)
    second = shop.read(source, first.position)
    assert [first.position.watermark, second.position.watermark] == ["2026-12-01T07:00:00Z"] * 2
    third = shop.read(source, second.position)
    address = "/orders?since=2026-12-01T06%3A00%3A00Z&page=1"
    assert third.position == Position("2026-12-01T09:00:00Z", address, '"e"'), "the newest one was on the first page"


def test_newest_value_of_earlier_runs_counts_when_the_listing_is_complete(shop: Shop, api: ScriptedApi) -> None:
    source = make_source(**incremental(), pagination=NUMBER, limits={"pages": 1})
    api.answers = [stamped("2026-12-01T09:00:00Z"), stamped("2026-12-01T08:00:00Z"), stamped()]
    position = Position("2026-12-01T07:00:00Z")
    for _ in range(3):
        position = shop.read(source, position).position
    assert position == Position("2026-12-01T09:00:00Z")


def test_watermark_stays_if_the_listing_cannot_be_completed(shop: Shop, api: ScriptedApi) -> None:
    api.answers = lambda _: Reply(stamped("2026-12-01T09:00:00Z").body)
    listing = shop.read(make_source(**incremental(), pagination=NUMBER), Position("2026-12-01T07:00:00Z"))
    assert isinstance(listing.error, PermanentError)
    assert (listing.position, listing.records_read) == (Position("2026-12-01T07:00:00Z"), 1)


# Runs that read everything again


def test_full_run_continues_no_listing_but_its_own(shop: Shop, api: ScriptedApi) -> None:
    records = [f"2026-12-01T0{hour}:00:00Z" for hour in range(1, 5)]

    def answer(asked: Asked) -> Reply:
        since, page = asked.params.get("since", ""), int(asked.params["page"])
        return stamped(*[at for at in records if at >= since][page - 1 : page])

    api.answers = answer
    source = make_source(**incremental(), pagination=NUMBER, limits={"pages": 1})
    begun = Position(records[2])
    unfinished = shop.read(source, begun).position
    assert unfinished.next_page is not None

    def begins(position: Position, full_run: str = "") -> tuple[bool, str]:
        asked = shop.read(source, position, full_run=full_run) and api.requests[-1]
        return "since" in asked.params, asked.params["page"]

    assert begins(unfinished) == (True, "2")
    assert begins(unfinished, "full") == (False, "1"), "the listing of another run has new records only"
    first = shop.read(source, unfinished, full_run="full").position
    assert first.watermark is None
    assert begins(first, "full") == (False, "2"), "a retry, or the cleared task"
    assert begins(first, "other") == (False, "1")
    assert begins(first) == (False, "2"), "the next run completes it"


# An ETag that would hide new records


def tagged(pages: list[list[str]]) -> Callable[[Asked], Reply]:
    def answer(asked: Asked) -> Reply:
        if asked.headers.get("if-none-match"):
            return Reply(status=304)
        return Reply(stamped(*pages[int(asked.params["page"]) - 1]).body, 200, {"ETag": '"e"'})

    return answer


def test_etag_of_the_first_page_is_not_kept_if_new_records_come_behind_it(shop: Shop, api: ScriptedApi) -> None:
    source = make_source(**incremental(), pagination=NUMBER, conditional=True)
    api.answers = tagged([["2026-12-01T08:00:00Z"], ["2026-12-01T09:00:00Z"], []])
    assert shop.read(source).position == Position("2026-12-01T09:00:00Z")
    api.answers = tagged([["2026-12-01T09:00:00Z"], ["2026-12-01T08:00:00Z"], []])
    assert shop.read(source).position.etag == '"e"'


@pytest.mark.parametrize("keys", [{}, {"incremental": {"cursor": "absent"}}], ids=["no cursor", "absent cursor"])
def test_etag_is_not_kept_if_nothing_says_where_new_records_come(
    shop: Shop, api: ScriptedApi, keys: dict[str, Any]
) -> None:
    source = make_source(pagination=NUMBER, conditional=True, **keys)
    api.answers = tagged([["2026-12-01T08:00:00Z"], ["2026-12-01T07:00:00Z"], []])
    assert shop.read(source).position == Position()
    api.answers = tagged([["2026-12-01T08:00:00Z"], ["2026-12-01T07:00:00Z", "2026-12-01T06:00:00Z"], []])
    assert shop.read(source, shop.read(source).position).records_read == 3


def test_etag_is_not_kept_if_a_record_was_too_young(shop: Shop, api: ScriptedApi) -> None:
    api.answers = tagged([["2026-12-01T08:00:00Z", "2026-12-01T09:59:00Z"], []])
    source = make_source(**incremental(lag="10m"), pagination=NUMBER, conditional=True)
    assert shop.read(source).position == Position("2026-12-01T08:00:00Z")


# Lists that change while they are read


class Board:
    """Records, newest first, with an ETag and a total; `changes` happen before the request of this number."""

    def __init__(self, count: int, *, with_etag: bool, with_total: bool) -> None:
        self.records = list(range(count, 0, -1))
        self.changes: dict[int, Callable[[], None]] = {}
        self.with_etag, self.with_total, self.count = with_etag, with_total, 0

    def __call__(self, asked: Asked) -> Reply:
        self.count += 1
        self.changes.get(self.count, lambda: None)()
        page = int(asked.params.get("page", 1))
        data = [{"id": number} for number in self.records[(page - 1) * 2 : page * 2]]
        etag = f'"{page}-{hash(str(data))}"'
        if asked.headers.get("if-none-match") == etag:
            return Reply(status=304)
        following = f'</orders?page={page + 1}>; rel="next"' if page * 2 < len(self.records) else None
        headers = {"Link": following, "ETag": etag if self.with_etag else None}
        return Reply({"data": data} | ({"total": len(self.records)} if self.with_total else {}), 200, headers)

    def remove(self) -> None:
        del self.records[0]

    def add(self) -> None:
        self.records.insert(0, self.records[0] + 1)


LINKED = {"pagination": {"type": "link_header"}, "records": "data"}
TOTALLED = {"pagination": {"type": "page_number", "totalPath": "total"}, "records": "data"}


@pytest.mark.parametrize(("keys", "kind"), [(LINKED, "with_etag"), (TOTALLED, "with_total")], ids=["ETag", "total"])
def test_record_that_moved_to_the_first_page_is_read(shop: Shop, api: ScriptedApi, keys: Any, kind: str) -> None:
    board = api.answers = Board(6, **{"with_etag": False, "with_total": False, kind: True})
    board.changes[2] = board.remove
    listing = shop.read(make_source(**keys))
    assert (listing.error, listing.position) == (None, Position())
    assert sorted(shop.sunk.ids, reverse=True) == [6, 5, 4, 3, 2, 1], "4 has moved to the first page"
    assert listing.records_read == 6


@pytest.mark.parametrize(("keys", "kind"), [(LINKED, "with_etag"), (TOTALLED, "with_total")], ids=["ETag", "total"])
def test_record_that_was_added_is_read(shop: Shop, api: ScriptedApi, keys: Any, kind: str) -> None:
    board = api.answers = Board(6, **{"with_etag": False, "with_total": False, kind: True})
    board.changes[3] = board.add
    shop.read(make_source(**keys))
    assert set(shop.sunk.ids) == {7, 6, 5, 4, 3, 2, 1}
    assert [asked.params.get("page", "1") for asked in api.requests] == ["1", "2", "3", "4", "1"]


def test_page_before_a_fallen_total_is_read_again(shop: Shop, api: ScriptedApi) -> None:
    board = api.answers = Board(8, with_etag=False, with_total=True)
    board.changes[4] = board.remove
    assert shop.read(make_source(**TOTALLED)).error is None
    assert set(shop.sunk.ids) == {8, 7, 6, 5, 4, 3, 2, 1}, "2 has moved to the third page"
    assert [asked.params["page"] for asked in api.requests] == ["1", "2", "3", "4", "1", "3"]


def test_list_that_goes_on_changing_is_read_again_once(shop: Shop, api: ScriptedApi) -> None:
    board = api.answers = Board(6, with_etag=True, with_total=False)
    board.changes = dict.fromkeys(range(2, 20), board.add)
    listing = shop.read(make_source(**LINKED, limits={"pages": 9}))
    assert listing.error is None
    pages = [asked.params.get("page", "1") for asked in api.requests]
    assert pages[-1] == "1"
    assert pages.count("1") == 2


@pytest.mark.parametrize("with_etag", [True, False])
def test_list_that_does_not_change_is_read_once(shop: Shop, api: ScriptedApi, with_etag: bool) -> None:
    api.answers = Board(6, with_etag=with_etag, with_total=True)
    shop.read(make_source(**LINKED))
    assert shop.sunk.ids == [6, 5, 4, 3, 2, 1]
    assert len(api.requests) == 3 + with_etag, "the first page is asked for by its ETag"


def test_records_without_an_identity_may_be_equal_on_two_pages(shop: Shop, api: ScriptedApi) -> None:
    pages = [[{"t": 20}, {"t": 21}], [{"t": 20}, {"t": 22}], []]
    api.answers = lambda asked: Reply(pages[int(asked.params["page"]) - 1], 200, {"ETag": '"e"'})
    assert shop.read(make_source(pagination=NUMBER, limits={"pages": 2})).records_read == 4


def test_change_is_noticed_by_the_run_that_completes_the_listing(shop: Shop, api: ScriptedApi) -> None:
    board = api.answers = Board(6, with_etag=True, with_total=False)
    board.changes[2] = board.remove
    source = make_source(**LINKED, limits={"pages": 2})
    first = shop.read(source)
    ids = shop.sunk.ids
    shop.read(source, first.position)
    assert set(ids + shop.sunk.ids) == {6, 5, 4, 3, 2, 1}


# Pages that are checked once more after the next one

CHECKED = {**LINKED, "conditional": True}


@pytest.mark.parametrize("count", [1, 2, 3, 5], ids=["one", "a page", "more than a page", "more than two"])
@pytest.mark.parametrize("request_number", [2, 4, 6], ids=["before page 2", "before page 3", "before page 4"])
def test_records_that_moved_to_a_page_that_was_read_are_read(
    shop: Shop, api: ScriptedApi, request_number: int, count: int
) -> None:
    board = api.answers = Board(12, with_etag=True, with_total=False)
    board.changes[request_number] = lambda: [board.remove() for _ in range(count)]
    listing = shop.read(make_source(**CHECKED))
    assert (listing.error, listing.position.next_page) == (None, None)
    assert set(board.records) <= set(shop.sunk.ids)


def test_check_of_a_list_that_does_not_change_costs_a_request_for_each_page_but_the_last(
    shop: Shop, api: ScriptedApi
) -> None:
    api.answers = Board(6, with_etag=True, with_total=False)
    shop.read(make_source(**CHECKED))
    assert shop.sunk.ids == [6, 5, 4, 3, 2, 1]
    asked = [(asked.params.get("page", "1"), "if-none-match" in asked.headers) for asked in api.requests]
    assert asked == [("1", False), ("2", False), ("1", True), ("3", False), ("2", True), ("1", True)]


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_records_that_are_removed_between_two_runs_hide_no_other(shop: Shop, api: ScriptedApi, count: int) -> None:
    board = api.answers = Board(12, with_etag=True, with_total=False)
    position = shop.read(make_source(**CHECKED, limits={"pages": 2})).position
    ids = set(shop.sunk.ids)
    del board.records[:count]
    listing = shop.read(make_source(**CHECKED), position)
    assert listing.error is None
    assert set(board.records) <= ids | set(shop.sunk.ids)


def test_records_that_are_added_between_two_runs_do_not_begin_the_listing_again(shop: Shop, api: ScriptedApi) -> None:
    board = api.answers = Board(12, with_etag=True, with_total=False)
    position = shop.read(make_source(**CHECKED, limits={"pages": 2})).position
    for _ in range(5):
        board.add()
    api.requests.clear()
    assert shop.read(make_source(**CHECKED), position).error is None
    assert {8, 7, 6, 5, 4, 3, 2, 1} <= set(shop.sunk.ids)
    first = [asked for asked in api.requests if "page" not in asked.params]
    assert all("if-none-match" in asked.headers for asked in first)


def test_page_that_is_gone_when_it_is_checked_begins_the_listing_again(shop: Shop, api: ScriptedApi) -> None:
    board = Board(8, with_etag=True, with_total=False)
    api.answers = board
    position = shop.read(make_source(**CHECKED, limits={"pages": 3})).position
    board.records = [8, 7]
    api.answers = lambda asked: board(asked) if int(asked.params.get("page", 1)) < 2 else Reply("no page", 404)
    assert shop.read(make_source(**CHECKED), position).error is None
    assert shop.sunk.ids == [8, 7]


def test_list_that_changes_faster_than_it_is_read_can_be_retried(shop: Shop, api: ScriptedApi) -> None:
    board = Board(40, with_etag=True, with_total=False)

    def answer(asked: Asked) -> Reply:
        if "page" in asked.params and "if-none-match" not in asked.headers:
            del board.records[:2]
        return board(asked)

    api.answers = answer
    listing = shop.read(make_source(**CHECKED))
    assert isinstance(listing.error, RetryableError)
    assert "changes faster than it is read" in listing.error.message
    assert listing.position == Position()


def test_status_that_means_no_records_is_no_error(shop: Shop, api: ScriptedApi) -> None:
    api.answers = [Reply({"message": "Git Repository is empty."}, 409)] * 2
    listing = shop.read(make_source(emptyStatuses=[409]))
    assert (listing.error, listing.records_read) == (None, 0)
    assert isinstance(shop.read(make_source()).error, PermanentError)


def test_answer_of_a_stand_in_is_noted(shop: Shop, api: ScriptedApi) -> None:
    api.answers = [Reply([]), Reply([], 200, {"X-Stand-In": "true"})]
    noted = [(shop.read(make_source()), shop.traffic.is_stand_in)[1] for _ in range(2)]
    assert noted == [False, True]


def test_failure_of_the_last_check_leaves_the_listing_incomplete(shop: Shop, api: ScriptedApi) -> None:
    board = Board(4, with_etag=True, with_total=False)
    api.answers = lambda asked: board(asked) if "if-none-match" not in asked.headers else Reply("", 503)
    listing = shop.read(make_source(**LINKED), Position("w"))
    assert isinstance(listing.error, RetryableError)
    assert (shop.sunk.ids, listing.position) == ([4, 3, 2, 1], Position("w"))


# Zipped records, with times of their own


def test_arrays_are_read_with_a_watermark(shop: Shop, api: ScriptedApi) -> None:
    times = ["2026-12-01T08:00", "2026-12-01T09:00", "2026-12-01T12:00"]
    api.answers = [Reply({"hourly": {"time": times, "t": [1, 2, 3]}})]
    source = make_source(records={"zip": ["hourly.time", "hourly.t"]}, incremental={"cursor": "time", "lag": "10m"})
    listing = shop.read(source)
    assert shop.sunk.lines == [b'{"time":"2026-12-01T08:00","t":1}', b'{"time":"2026-12-01T09:00","t":2}']
    assert listing.position.watermark == "2026-12-01T09:00"


@pytest.mark.parametrize("body", [{"hourly": {"time": [1, 2], "t": [1]}}, {"hourly": {"time": [1, 2]}}])
def test_arrays_that_do_not_match_refuse_the_whole_answer(shop: Shop, api: ScriptedApi, body: Any) -> None:
    api.answers = lambda _: Reply(body)
    listing = shop.read(make_source(records={"zip": ["hourly.time", "hourly.t"]}))
    assert isinstance(listing.error, RetryableError)
    assert (shop.sunk.lines, len(api.requests)) == ([], 5)
