"""docs/sources.md and the words of a definition on its DAG's page."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from include.contracts.model import ContractStatus
from include.sources.__main__ import BUCKET_EXAMPLE, DATABASE_EXAMPLE, EXAMPLE, PAGE, page
from include.sources.definition import RestSource
from include.sources.describe import describe
from include.sources.keys import every_key, keys_of, parts_of
from tests.unit.sources.source_files import ORDERS, TOPIC, read, request

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


def test_page_is_generated_from_the_models() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: .venv/bin/python -m include.sources"


def test_page_is_short() -> None:
    assert len(re.findall(r"\S*[a-zA-Z0-9]\S*", page())) < 1600


def test_page_has_every_key_with_its_meaning() -> None:
    def named(part: type, seen: set[str]) -> set[str]:
        for key, field in keys_of(part).items():
            seen.add(key)
            for inner in parts_of(field):
                named(inner, seen)
        return seen

    table = page().partition("## Keys")[2]
    listed = {word for code in re.findall(r"`([^`]+)`", table) for word in re.findall(r"\w+", code)}
    assert named(RestSource, set()) <= listed
    assert {"zip", "names", "last_value", "oauth2", "optional", "step"} <= listed
    assert [key.path for key in every_key() if not key.meaning] == []
    paths = [(key.path, key.choice) for key in every_key()]
    assert len(set(paths)) == len(paths)


@pytest.mark.parametrize(
    "text",
    [
        "| `name` | required | ",
        "| `requests[].path` | required | ",
        "| `limits.pages` | `1000` | ",
        "| `pagination` | `single_page` | ",
        " `offsetParam` (`offset`): ",
        " `totalPath` (optional): ",
        " `in` (`header`): ",
        " `in`: ",
        "| `conditional` | `false` | ",
        "| `keepRaw` |  | ",
    ],
)
def test_key_has_its_default(text: str) -> None:
    assert text in page()


def test_page_shows_the_example() -> None:
    assert re.findall(r"```yaml\n(.*?)```", page(), flags=re.DOTALL) == [EXAMPLE, DATABASE_EXAMPLE, BUCKET_EXAMPLE]


# In words


def described(folder: Path, contract: Any = ORDERS, **changes: Any) -> dict[str, str]:
    """The lines of the overview by their names."""
    text = describe(read(folder, contract, **changes), contract)
    return dict(re.findall(r"(?m)^\| ([A-Z][\w ]*) \| (.*) \|$", text))


def test_example_in_words(tmp_path: Path) -> None:
    text = describe(read(tmp_path, description="Orders of\nboth shops."), ORDERS)
    assert text.startswith("# shop_orders\n\nOrders of both shops.\n\n| | |\n|---|---|\n")
    assert described(tmp_path) == {
        "From": "the API of the connection `source_shop`, with a token from `/oauth/token` for its login and password",
        "When": "`@hourly`, in UTC",
        "Pages": "the value at `meta.next` is the next `cursor`",
        "Records": "at `data` of the answer",
        "New records": "by `updated_at`, asked for with `updated_since`, at first from `2024-01-01T00:00:00Z`; 10m "
        "behind the newest one are read again",
        "Unchanged answers": "are read again",
        "Rows go to": "`incoming/shop_orders/`, from which `ingest_shop_orders` loads `raw.shop_orders`",
        "Answers": "kept as `s3://raw-data/shop-orders/{date}/{time}-{page}.json`",
        "Limits": "500 pages, 1,000,000 records, 1,800 seconds, 500,000,000 bytes of each element in a run; the next "
        "run reads on",
        "Request": "For each | Headers",
    }
    assert text.endswith("| `GET /shops/{shop}/orders?limit=100` | `shop`: north, south |  |\n")


@pytest.mark.parametrize(
    ("changes", "line", "words"),
    [
        ({"schedule": None}, "When", "when a user starts a run"),
        ({"keepRaw": ...}, "Answers", "not kept"),
        ({"conditional": True}, "Unchanged answers", "are not read again (ETag)"),
        ({"auth": ...}, "From", "the API of the connection `source_shop`, without a login"),
        ({"auth": {"type": "bearer"}}, "From", "with its password as bearer token"),
        ({"auth": {"type": "basic"}}, "From", "with its login and password"),
        (
            {"auth": {"type": "api_key", "in": "header", "name": "X-Key", "optional": True}},
            "From", "with its password in the header `X-Key`, if it has one",
        ),
        ({"incremental": ...}, "New records", "each run reads everything"),
        (
            {"incremental": {"cursor": "at", "lag": "90s"}},
            "New records", "by `at`; those younger than 90s are left to a later run",
        ),
        ({"records": ...}, "Records", "the answer itself: a list, or one record"),
        (
            {"records": {"zip": ["hourly.time", "hourly.rain"], "names": ["at", "rain"]}},
            "Records", "arrays side by side: `at` from `hourly.time`, `rain` from `hourly.rain`",
        ),
        ({"pagination": ...}, "Pages", "one answer has all records"),
        ({"pagination": {"type": "link_header"}}, "Pages", "the header Link names the next one"),
        ({"pagination": {"type": "json_link", "nextPath": "next"}}, "Pages", "the next address is at `next`"),
        (
            {"pagination": {"type": "header_cursor", "header": "X-Next", "param": "after"}},
            "Pages", "the header `X-Next` is the next `after`",
        ),
        (
            {"pagination": {"type": "offset", "limit": 1000}},
            "Pages", "`offset` counts the records, 1,000 a page (`limit`)",
        ),
        (
            {"pagination": {"type": "page_number", "first": 0}},
            "Pages", "`page` counts the pages from 0, until one is empty or not found (404)",
        ),
        (
            {"pagination": {"type": "last_value", "path": "0", "param": "startTime", "limit": 500}},
            "Pages", "`0` of the last record, plus 1, is the next `startTime`; 500 records a page",
        ),
    ],
    ids=str,
)  # fmt: skip
def test_choice_in_words(tmp_path: Path, changes: dict[str, Any], line: str, words: str) -> None:
    assert described(tmp_path, **changes)[line].endswith(words)


def test_topic_and_draft_in_words(tmp_path: Path) -> None:
    assert described(tmp_path, TOPIC, deliver="topic")["Rows go to"] == (
        "the topic `shop.orders`, from which `consume_shop.orders` loads `raw.shop_orders`"
    )
    draft = replace(ORDERS, status=ContractStatus.DRAFT)
    assert described(tmp_path, draft)["Rows go to"].endswith("; its contract is a draft: files wait until it is active")


def test_long_lists_are_cut_and_headers_have_no_values(tmp_path: Path) -> None:
    many = request(forEach={"shop": list(range(30))}, headers={"Accept": "application/x"}, params={"all": True})
    text = describe(read(tmp_path, requests=[many]), ORDERS)
    last = text.splitlines()[-1]
    assert last.startswith("| `GET /shops/{shop}/orders?all=true` | `shop`: 0, 1, ")
    assert last.endswith(", 19 and 10 more | `Accept` |")
