"""Which page is requested next: smaller pages that start at the same record, and no circular links."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from include.errors import PermanentError
from include.sources.github.client import Answer
from include.sources.github.endpoints import ENDPOINTS
from include.sources.github.pages import Reading, check_difference, check_progress, smaller_page

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("target", "smaller"),
    [
        ("/c?per_page=100", "/c?per_page=50"),
        ("/c?per_page=100&page=1", "/c?per_page=50&page=1"),
        ("/c?per_page=100&page=3", "/c?per_page=50&page=5"),
        ("/c?per_page=25&page=3", "/c?per_page=5&page=11"),
        ("/c?per_page=7&page=2", "/c?per_page=1&page=8"),
        ("/c?since=2026-01-01T00%3A00%3A00Z&per_page=2&page=2", "/c?since=2026-01-01T00%3A00%3A00Z&per_page=1&page=3"),
        ("/c?per_page=100&after=Y3Vyc29y", "/c?per_page=50&after=Y3Vyc29y"),
        ("/c?page=2", "/c?page=3&per_page=15"),
        ("/c?per_page=1&page=9", None),
    ],
    ids=["first", "page 1", "page 3", "odd", "prime", "since", "cursor", "no size", "one record"],
)
def test_smaller_page_begins_where_the_larger_one_does(target: str, smaller: str | None) -> None:
    assert smaller_page(target) == smaller


@pytest.mark.parametrize("size", range(2, 101))
@pytest.mark.parametrize("page", [1, 2, 7])
def test_smaller_pages_reach_one_record_at_the_same_position(size: int, page: int) -> None:
    target: str | None = f"/c?per_page={size}&page={page}"
    last = ""
    while target is not None:
        last, target = target, smaller_page(target)
    assert last == f"/c?per_page=1&page={(page - 1) * size + 1}"


def answer(target: str, following: str | None = None, body: bytes = b'[{"sha":"a"}]') -> Answer:
    return Answer(target, 200, None, body, following)


@pytest.mark.parametrize(
    ("following", "read"),
    [("/c?page=2", set()), ("/c?page=1", {"/c?page=1", "/c?page=2"})],
    ids=["the same page", "one that was read"],
)
def test_link_that_leads_back_is_refused(following: str, read: set[str]) -> None:
    with pytest.raises(PermanentError, match="leads back"):
        check_progress(answer("/c?page=2", following), read)


def test_link_to_an_unread_page_is_accepted() -> None:
    check_progress(answer("/c?page=2", "/c?page=3"), {"/c?page=1", "/c?page=2"})


def test_next_page_with_the_same_records_is_refused_and_an_empty_one_is_not() -> None:
    with pytest.raises(PermanentError, match="same records"):
        check_difference(answer("/c?page=1"), answer("/c?page=2"))
    check_difference(answer("/c?page=1", body=b"[]"), answer("/c?page=2", body=b"[]"))
    check_difference(answer("/c?page=1"), answer("/c?page=2", body=b'[{"sha":"b"}]'))


@pytest.mark.parametrize("date", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "0999-12-31T00:00:00Z"])
def test_time_before_1970_is_no_watermark(date: str) -> None:
    reading = Reading(ENDPOINTS["commits"], "harbour/ledger")
    record = {"sha": "a", "commit": {"committer": {"date": date}}}
    answer = Answer("/commits", 200, '"tag"', b"[]", None, datetime(2026, 1, 1, tzinfo=UTC))

    reading.take(answer, [record])

    assert len(reading.lines) == 1
    assert reading.newest_at is None


def test_time_out_of_range_in_utc_is_none_without_a_date_header() -> None:
    reading = Reading(ENDPOINTS["commits"], "harbour/ledger")
    record = {"sha": "a", "commit": {"committer": {"date": "9999-12-31T23:59:59-01:00"}}}

    reading.take(Answer("/commits", 200, None, b"[]", None), [record])

    assert len(reading.lines) == 1
