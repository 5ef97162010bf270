"""Each type of pagination against an API that has it, its end, and APIs that contradict themselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from shop_reader import Shop, make_source

from include.errors import Code, PermanentError
from include.sources.listing import Position
from include.sources.rest.pages import smaller_target
from tests.scripted_api import Asked, Reply

if TYPE_CHECKING:
    from tests.scripted_api import ScriptedApi

pytestmark = pytest.mark.unit

ORDERS = [{"id": number} for number in range(7)]


def part(asked: Asked, at: int, size: int = 3) -> list[Any]:
    return ORDERS[at : at + size]


def by_link(asked: Asked) -> Reply:
    at = int(asked.params.get("at", 0))
    link = f'</orders?at=0>; rel="first", </orders?at={at + 3}>; rel="next"' if at + 3 < len(ORDERS) else ""
    return Reply(part(asked, at), 200, {"Link": link})


def by_json_link(asked: Asked) -> Reply:
    at = int(asked.params.get("at", 0))
    links = {"next": f"?at={at + 3}#top"} if at + 3 < len(ORDERS) else {}
    return Reply({"data": part(asked, at), "links": links})


def by_header(asked: Asked) -> Reply:
    at = int(asked.params.get("after", 0))
    return Reply(part(asked, at), 200, {"CB-After": str(at + 3) if at + 3 < len(ORDERS) else None})


def by_cursor(asked: Asked) -> Reply:
    at = int(asked.params.get("cursor", "a+/=0")[4:])
    following = f"a+/={at + 3}" if at + 3 < len(ORDERS) else None
    return Reply({"data": part(asked, at), "meta": {"next": following}})


def by_offset(asked: Asked) -> Reply:
    return Reply(part(asked, int(asked.params["offset"]), int(asked.params["limit"])))


def by_number(asked: Asked) -> Reply:
    return Reply(part(asked, (int(asked.params["page"]) - 1) * 3))


def by_last_value(asked: Asked) -> Reply:
    return Reply([[order["id"], "x"] for order in part(asked, int(asked.params.get("from", 0)))])


CURSOR = {"type": "cursor", "cursorPath": "meta.next", "param": "cursor"}
NUMBER = {"type": "page_number"}
KINDS: dict[str, tuple[Any, dict[str, Any], list[str]]] = {
    "link_header": (by_link, {"pagination": {"type": "link_header"}}, ["", "?at=3", "?at=6"]),
    "json_link": (
        by_json_link, {"pagination": {"type": "json_link", "nextPath": "links.next"}, "records": "data"},
        ["", "?at=3", "?at=6"],
    ),
    "header_cursor": (
        by_header, {"pagination": {"type": "header_cursor", "header": "cb-after", "param": "after"}},
        ["", "?after=3", "?after=6"],
    ),
    "cursor": (
        by_cursor, {"pagination": CURSOR, "records": "data"},
        ["", "?cursor=a%2B%2F%3D3", "?cursor=a%2B%2F%3D6"],
    ),
    "offset": (
        by_offset, {"pagination": {"type": "offset", "limit": 3}},
        ["?limit=3&offset=0", "?limit=3&offset=3", "?limit=3&offset=6", "?limit=3&offset=7"],
    ),
    "page_number": (by_number, {"pagination": NUMBER}, ["?page=1", "?page=2", "?page=3", "?page=4"]),
    "last_value": (
        by_last_value, {"pagination": {"type": "last_value", "path": "-1.0", "param": "from", "limit": 3}},
        ["", "?from=3", "?from=6"],
    ),
    "last_value of the record": (
        by_last_value, {"pagination": {"type": "last_value", "path": "0", "param": "from", "limit": 3}},
        ["", "?from=3", "?from=6"],
    ),
    "single_page": (lambda _: Reply(ORDERS), {}, [""]),
}  # fmt: skip


@pytest.mark.parametrize(("answers", "keys", "queries"), KINDS.values(), ids=KINDS)
def test_all_pages_are_read_once(
    shop: Shop, api: ScriptedApi, answers: Any, keys: dict[str, Any], queries: list[str]
) -> None:
    api.answers = answers
    listing = shop.read(make_source(**keys))
    assert listing.error is None
    assert api.targets == [f"/orders{query}" for query in queries]
    ids = [json.loads(line).get("id", json.loads(line).get("0")) for line in shop.sunk.lines]
    assert ids == list(range(7))
    assert (listing.records_read, listing.pages) == (
        7,
        len(queries) - (keys.get("pagination", {}).get("type") in {"offset", "page_number"}),
    )
    assert [page for page, _ in shop.sunk.answers] == list(range(1, len(queries) + 1))
    assert listing.position == Position()


@pytest.mark.parametrize(("answers", "keys", "queries"), KINDS.values(), ids=KINDS)
def test_run_that_was_stopped_continues(
    shop: Shop, api: ScriptedApi, answers: Any, keys: dict[str, Any], queries: list[str]
) -> None:
    api.answers = answers
    source, position, lines = make_source(**keys, limits={"pages": 1}), Position(), []
    for _ in queries:
        listing = shop.read(source, position)
        assert listing.error is None
        position = listing.position
        lines += shop.sunk.lines
    assert position == Position(), "complete"
    assert api.targets == [f"/orders{query}" for query in queries]
    assert len(lines) == 7


def test_parameters_of_the_definition_stay_on_each_page(shop: Shop, api: ScriptedApi) -> None:
    api.answers = by_cursor
    shop.read(make_source(pagination=CURSOR, records="data", request={"path": "/orders?v=2", "params": {"a": "x y"}}))
    assert api.targets[1] == "/orders?v=2&a=x%20y&cursor=a%2B%2F%3D3"


@pytest.mark.parametrize("end", [{"next": None}, {"next": ""}, {"next": False}, {}, None], ids=repr)
@pytest.mark.parametrize(
    "pagination", [CURSOR, {"type": "json_link", "nextPath": "meta.next"}], ids=["cursor", "json_link"]
)
def test_cursor_ends_with_null_absent_or_empty(shop: Shop, api: ScriptedApi, pagination: Any, end: Any) -> None:
    api.answers = [Reply({"data": ORDERS, "meta": end})]
    listing = shop.read(make_source(pagination=pagination, records="data"))
    assert (listing.error, listing.position, len(api.requests)) == (None, Position(), 1)


def test_cursor_may_be_a_number_and_zero_is_one(shop: Shop, api: ScriptedApi) -> None:
    api.answers = [Reply('{"data": [1], "meta": {"next": 0}}'), Reply('{"data": [2], "meta": {"next": 1.50}}'),
                   Reply('{"data": [3], "meta": {}}')]  # fmt: skip
    assert shop.read(make_source(pagination=CURSOR, records="data")).error is None
    assert api.targets[1:] == ["/orders?cursor=0", "/orders?cursor=1.50"]


def test_empty_page_with_a_cursor_is_not_the_end(shop: Shop, api: ScriptedApi) -> None:
    pages = [{"data": [{"id": 1}], "meta": {"next": "b"}}, {"data": [], "meta": {"next": "c"}},
             {"data": [], "meta": {"next": "d"}}, {"data": [{"id": 2}], "meta": {"next": ""}}]  # fmt: skip
    api.answers = [Reply(page) for page in pages]
    listing = shop.read(make_source(pagination=CURSOR, records="data"))
    assert (listing.error, shop.sunk.ids, listing.pages) == (None, [1, 2], 2)


def refused(shop: Shop, listing: Any, why: str) -> None:
    assert isinstance(listing.error, PermanentError)
    assert listing.error.code is Code.SOURCE_REFUSED
    assert why in listing.error.message
    assert listing.position == Position(), "the next run begins with the first page"


@pytest.mark.parametrize(
    "value",
    [{"a": 1}, [1], True, "x" * 9000, "\U0001f600" * 7000, "\ud800"],
    ids=["object", "list", "true", "long", "long when it is sent", "half of a surrogate pair"],
)
def test_cursor_of_another_type_is_an_error_behind_its_page(shop: Shop, api: ScriptedApi, value: Any) -> None:
    api.answers = [Reply({"data": [{"id": 1}], "meta": {"next": value}})]
    listing = shop.read(make_source(pagination=CURSOR, records="data"))
    refused(shop, listing, "What was read before is delivered")
    assert shop.sunk.ids == [1]


def test_long_cursor_of_a_header_is_an_error_behind_its_page(shop: Shop, api: ScriptedApi) -> None:
    api.answers = [Reply([{"id": 1}], 200, {"X-Next": "/" * 30_000})]
    listing = shop.read(make_source(pagination={"type": "header_cursor", "header": "X-Next", "param": "c"}))
    refused(shop, listing, "What was read before is delivered")
    assert shop.sunk.ids == [1]


# Totals


@pytest.mark.parametrize("kind", ["offset", "page_number"])
@pytest.mark.parametrize(
    ("total", "requests"),
    [
        pytest.param(7, 3, id="right"),
        pytest.param("7", 3, id="text"),
        pytest.param(2, 4, id="smaller than what comes"),
        pytest.param(99, 4, id="larger than what comes"),
        pytest.param(None, 4, id="null"),
        pytest.param("many", 4, id="no number"),
    ],
)
def test_total_ends_the_listing_only_if_it_is_reached(
    shop: Shop, api: ScriptedApi, kind: str, total: Any, requests: int
) -> None:
    get: Any = by_offset if kind == "offset" else by_number
    api.answers = lambda asked: Reply({"data": json.loads(get(asked).content()), "meta": {"total": total}})
    pagination = {"type": kind, "totalPath": "meta.total", **({"limit": 3} if kind == "offset" else {})}
    listing = shop.read(make_source(pagination=pagination, records="data"))
    assert (listing.error, shop.sunk.ids) == (None, list(range(7)))
    assert len(api.requests) == requests, "without a usable total the first empty page is the last"


# 404 behind the last page


def not_found_behind(pages: int, total: int | None = None) -> Any:
    """An API of pages of three orders that answers 404 behind the last one."""

    def answer(asked: Asked) -> Reply:
        page = int(asked.params["page"])
        return Reply({"data": part(asked, (page - 1) * 3), "total": total}) if page <= pages else Reply("no page", 404)

    return answer


@pytest.mark.parametrize("pages", [2, 3], ids=["a full page is the last", "a short page is the last"])
def test_404_behind_a_page_is_the_end(shop: Shop, api: ScriptedApi, pages: int) -> None:
    api.answers = not_found_behind(pages)
    listing = shop.read(make_source(pagination=NUMBER, records="data"))
    assert (listing.error, listing.position.next_page) == (None, None)
    assert shop.sunk.ids == list(range(7))[: pages * 3]
    assert len(api.requests) == pages + 1


@pytest.mark.parametrize(
    ("pages", "keys"),
    [
        pytest.param(0, {"pagination": NUMBER}, id="first page"),
        pytest.param(2, {"pagination": {**NUMBER, "totalPath": "total"}}, id="total not reached"),
        pytest.param(2, {"pagination": {"type": "cursor", "cursorPath": "total", "param": "page"},
                         "request": {"params": {"page": 1}}}, id="cursor"),
    ],
)  # fmt: skip
def test_404_that_may_hide_records_is_an_error(shop: Shop, api: ScriptedApi, pages: int, keys: dict[str, Any]) -> None:
    api.answers = not_found_behind(pages, total=7)
    listing = shop.read(make_source(**keys, records="data"))
    assert isinstance(listing.error, PermanentError)
    assert listing.error.details["status"] == 404


def test_404_at_the_beginning_of_a_run_reads_the_list_again(shop: Shop, api: ScriptedApi) -> None:
    api.answers = not_found_behind(3)
    position = shop.read(make_source(pagination=NUMBER, records="data", limits={"pages": 1})).position
    api.answers = not_found_behind(0)
    listing = shop.read(make_source(pagination=NUMBER, records="data"), position)
    assert isinstance(listing.error, PermanentError), "the whole list is gone, not only its end"
    assert api.targets[-1] == "/orders?page=1"


def test_total_saves_the_empty_page(shop: Shop, api: ScriptedApi) -> None:
    api.answers = lambda asked: Reply({"data": part(asked, int(asked.params["page"]) * 3), "total": 7})
    shop.read(make_source(pagination={"type": "page_number", "first": 0, "totalPath": "total"}, records="data"))
    assert api.targets == ["/orders?page=0", "/orders?page=1", "/orders?page=2"]


def test_offset_goes_on_behind_what_came_if_the_api_gives_fewer_than_the_limit(shop: Shop, api: ScriptedApi) -> None:
    api.answers = lambda asked: Reply({"data": part(asked, int(asked.params["offset"]), 2)})
    pagination = {"type": "offset", "limit": 100, "limitParam": "count"}
    assert shop.read(make_source(pagination=pagination, records="data")).error is None
    assert shop.sunk.ids == list(range(7))
    assert api.targets[1] == "/orders?count=100&offset=2"


def test_given_start_of_the_definition_is_kept(shop: Shop, api: ScriptedApi) -> None:
    api.answers = by_offset
    shop.read(make_source(pagination={"type": "offset", "limit": 3}, request={"params": {"offset": 5}}))
    assert shop.sunk.ids == [5, 6]


# The value of the last record


@pytest.mark.parametrize(
    ("records", "keys", "following"),
    [
        pytest.param([[1, 2], [1764583200000, 5]], {"path": "-1.0"}, "1764583200001", id="of the answer"),
        pytest.param([[1, 2], [7, 5]], {"path": "-1"}, "6", id="last element of the record"),
        pytest.param([{"a": {"id": "41"}}, {"a": {"id": "42"}}], {"path": "a.id"}, "43", id="text"),
        pytest.param([{"id": "a b"}, {"id": "x y"}], {"path": "id", "step": 0}, "x y", id="no number and no step"),
        pytest.param([{"id": -5}, {"id": -3}], {"path": "id", "step": 2}, "-1", id="negative"),
    ],
)
def test_next_start_is_the_last_value_plus_the_step(
    shop: Shop, api: ScriptedApi, records: Any, keys: Any, following: str
) -> None:
    api.answers = [Reply(records), Reply([])]
    shop.read(make_source(pagination={"type": "last_value", "param": "from", "limit": 2, **keys}))
    assert [asked.params for asked in api.requests] == [{}, {"from": following}]


@pytest.mark.parametrize("value", ["2026-12-01", 1.5, None, {"a": 1}, "", True])
def test_last_value_that_cannot_be_used_is_an_error_behind_its_page(shop: Shop, api: ScriptedApi, value: Any) -> None:
    api.answers = [Reply([{"id": 1, "at": value}])]
    listing = shop.read(make_source(pagination={"type": "last_value", "path": "at", "param": "from", "limit": 1}))
    refused(shop, listing, "What was read before is delivered")
    assert shop.sunk.ids == [1]


# An API that contradicts itself


def test_cursor_that_comes_again_ends_the_run_behind_what_came(shop: Shop, api: ScriptedApi) -> None:
    cursors = {None: "a", "a": "b", "b": "a"}
    api.answers = lambda asked: Reply(
        {"data": [{"id": len(api.requests)}], "meta": {"next": cursors[asked.params.get("cursor")]}}
    )
    listing = shop.read(make_source(pagination=CURSOR, records="data"))
    refused(shop, listing, "The cursor or link to the next page comes again")
    assert listing.error is not None
    assert listing.error.details["element"] == "/orders"
    assert shop.sunk.ids == [1, 2, 3]


@pytest.mark.parametrize("pages", [1, 2, 3])
@pytest.mark.parametrize("kind", ["cursors in a circle", "number that the API ignores"])
def test_listing_without_an_end_is_noticed_over_several_runs(
    shop: Shop, api: ScriptedApi, kind: str, pages: int
) -> None:
    circle = {"": "b", "b": "c", "c": "d", "d": "e", "e": "f", "f": "c"}
    keys: dict[str, Any] = {"pagination": {"type": "page_number"}}
    api.answers = lambda _: Reply({"data": [{"id": 1}]})
    if kind == "cursors in a circle":
        keys = {"pagination": {"type": "cursor", "cursorPath": "next", "param": "c"}}
        cursors = lambda asked: asked.params.get("c", "")  # noqa: E731
        api.answers = lambda asked: Reply({"data": [{"id": cursors(asked)}], "next": circle[cursors(asked)]})
    source, position = make_source(**keys, records="data", limits={"pages": pages}), Position()
    for _ in range(20):
        listing = shop.read(source, position)
        position = listing.position
        if listing.error:
            break
    assert isinstance(listing.error, PermanentError)
    assert "come" in listing.error.message
    assert "the listing of the API of shop_orders has no end" in listing.error.message
    assert position == Position()


def test_link_to_the_same_page_ends_the_run(shop: Shop, api: ScriptedApi) -> None:
    api.answers = lambda _: Reply([{"id": len(api.requests)}], 200, {"Link": '</orders>; rel="next"'})
    refused(shop, shop.read(make_source(pagination={"type": "link_header"})), "comes again")
    assert len(api.requests) == 1


def test_page_that_comes_again_ends_the_run(shop: Shop, api: ScriptedApi) -> None:
    api.answers = lambda asked: Reply({"page": asked.params["page"], "data": ORDERS})
    listing = shop.read(make_source(pagination=NUMBER, records="data"))
    refused(shop, listing, "The same records come again")
    assert len(api.requests) == 2
    assert (shop.sunk.ids, listing.records_read) == (list(range(7)), 7)


@pytest.mark.parametrize(
    "link", ["http://127.0.0.1:1/orders", "//evil.example/x", "https://127.0.0.1/", "http://[", "ftp://x/"]
)
@pytest.mark.parametrize("kind", ["link_header", "json_link"])
def test_link_to_another_server_is_not_followed(shop: Shop, api: ScriptedApi, kind: str, link: str) -> None:
    shop.password = "t0ken"
    api.answers = [Reply({"data": ORDERS, "next": link}, 200, {"Link": f'<{link}>; rel="next"'})]
    pagination = {"type": kind, **({"nextPath": "next"} if kind == "json_link" else {})}
    listing = shop.read(make_source(pagination=pagination, records="data", auth={"type": "bearer"}))
    refused(shop, listing, "links to another server")
    assert (shop.sunk.ids, len(api.requests)) == (list(range(7)), 1)


def test_token_is_not_sent_to_another_server(shop: Shop, api: ScriptedApi) -> None:
    from tests.scripted_api import ScriptedApi as Server

    with Server() as other:
        other.answers = lambda _: Reply(ORDERS)
        shop.password = "t0ken"
        api.answers = lambda _: Reply(ORDERS, 200, {"Link": f'<{other.url}/orders>; rel="next"'})
        shop.read(make_source(pagination={"type": "link_header"}, auth={"type": "bearer"}))
        api.answers = lambda _: Reply("", 302, {"Location": f"{other.url}/orders"})
        shop.read(make_source(auth={"type": "bearer"}))
        assert other.requests == []


# Smaller pages


def heavy(answers: Any, most: int, name: str, status: int = 502) -> Any:
    """An API that fails on pages of more than `most` records."""

    def answer(asked: Asked) -> Reply:
        return answers(asked) if int(asked.params[name]) <= most else Reply("too heavy", status)

    return answer


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_page_is_halved_until_the_api_can_give_it(shop: Shop, api: ScriptedApi, status: int) -> None:
    api.answers = heavy(by_offset, 2, "limit", status)
    listing = shop.read(make_source(pagination={"type": "offset", "limit": 8}))
    assert (listing.error, shop.sunk.ids) == (None, list(range(7)))
    sizes = list(dict.fromkeys(asked.params["limit"] for asked in api.requests))
    assert sizes == ["8", "4", "2"]
    assert api.targets[-1] == "/orders?limit=2&offset=7", "later pages stay small"


def test_smaller_pages_by_number_begin_where_the_large_one_did(shop: Shop, api: ScriptedApi) -> None:
    def answer(asked: Asked) -> Reply:
        size, page = int(asked.params["per_page"]), int(asked.params["page"])
        return Reply(part(asked, (page - 1) * size, size)) if page < 2 or size < 3 else Reply("heavy", 502)

    api.answers = answer
    listing = shop.read(make_source(pagination=NUMBER, request={"params": {"per_page": 3}}))
    assert (listing.error, shop.sunk.ids) == (None, list(range(7)))


@pytest.mark.parametrize("name", ["limit", "per_page", "page_size", "pageSize"])
def test_size_is_known_by_its_usual_names(shop: Shop, api: ScriptedApi, name: str) -> None:
    api.answers = heavy(lambda _: Reply(ORDERS), 2, name)
    assert shop.read(make_source(request={"params": {name: 5}})).error is None
    assert [asked.params[name] for asked in api.requests][-1] == "2"


def test_last_value_compares_with_the_smaller_size(shop: Shop, api: ScriptedApi) -> None:
    api.answers = heavy(lambda asked: Reply(part(asked, int(asked.params.get("from", 0)), 2)), 2, "limit")
    pagination = {"type": "last_value", "path": "id", "param": "from", "limit": 4}
    assert shop.read(make_source(pagination=pagination, request={"params": {"limit": 4}})).error is None
    assert shop.sunk.ids == list(range(7))


def test_page_of_one_record_is_the_smallest(shop: Shop, api: ScriptedApi) -> None:
    api.answers = lambda _: Reply("heavy", 502)
    listing = shop.read(make_source(request={"params": {"limit": 3}}))
    assert listing.error is not None
    assert "status 502" in listing.error.message
    assert [asked.params["limit"] for asked in api.requests] == ["3"] * 5 + ["1"] * 5


@pytest.mark.parametrize("status", [202, 408])
def test_failure_of_another_kind_makes_no_page_smaller(shop: Shop, api: ScriptedApi, status: int) -> None:
    api.answers = lambda _: Reply("later", status)
    assert shop.read(make_source(request={"params": {"limit": 3}})).error is not None
    assert [asked.params["limit"] for asked in api.requests] == ["3"] * 5


def test_page_without_a_known_size_is_not_made_smaller(shop: Shop, api: ScriptedApi) -> None:
    api.answers = lambda _: Reply("heavy", 502)
    assert shop.read(make_source(request={"params": {"limit": "all"}})).error is not None
    assert len(api.requests) == 5


@pytest.mark.parametrize(
    ("target", "smaller"),
    [
        ("/a?per_page=100&page=3", "/a?page=5&per_page=50"),
        ("/a?per_page=9&page=2", "/a?page=4&per_page=3"),
        ("/a?per_page=7&page=2", "/a?page=8&per_page=1"),
        ("/a?per_page=1&page=2", None),
        ("/a?page=2", None),
    ],
)
def test_size_of_numbered_pages_divides_the_old_one(target: str, smaller: str | None) -> None:
    pagination = make_source(pagination=NUMBER).pagination
    assert smaller_target(pagination, target) == smaller
