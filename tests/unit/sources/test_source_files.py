"""Keys of sources' files and raw copies, and the spool file."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from include.errors import Code
from include.sources.definition import KeepRaw
from include.sources.deliver import RawCopies, element_slug, file_stem, numbered
from include.sources.spool import JsonSpool
from include.stores.object_store import ConditionFailedError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

AT = datetime(2026, 12, 1, 23, 59, 58, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("/shops/north/orders", "shops-north-orders"),
        ("public.users", "public.users"),
        ("/Shops/north_1", "Shops-north_1"),
        ("/shops/north-sea", "shops-north-sea~8ed36fb0bc"),
        ("/orders?city=K%C3%B6ln", "orders-city-K-C3-B6ln~"),
        ("/orders#2", "orders-2~"),
        ("/a//b", "a-b~"),
        ("/a/", "a~"),
        ("/", "~"),
        ("/../x", "..-x"),
        ("/" + "a" * 101, "a" * 100 + "~"),
        ("/ü/ \0", "~"),
    ],
)
def test_slug_of_an_element_is_readable_and_fits_a_key(name: str, slug: str) -> None:
    found = element_slug(name)
    assert found.partition("~")[0] == slug.partition("~")[0]
    assert ("~" in found) == ("~" in slug)
    assert len(found.encode()) <= 111
    assert "/" not in found


def test_two_elements_never_have_one_slug() -> None:
    names = ["/a/b", "/a-b", "/a_b", "/a.b", "/A/b", "/a/b#2", "/a//b", "/a/b/", "/a?b", "/a b", "//a/b", "a-b", "/a~b"]
    assert len({element_slug(name) for name in names}) == len(names)


def test_slug_of_a_long_name_is_made_at_once() -> None:
    assert len(element_slug("/" + "a" * 100_000 + "!")) == 111


def test_key_has_the_time_in_utc_and_a_counter_before_the_ending() -> None:
    stem = file_stem("incoming/orders/shop/", "/orders", AT)
    assert stem == "incoming/orders/shop/orders_20261201T215958Z"
    assert [numbered(stem, number, ".ndjson")[len(stem) :] for number in (1, 2, 1000)] == [
        ".ndjson", "-002.ndjson", "-1000.ndjson",
    ]  # fmt: skip


# --- raw copies


class Bucket:
    """Keys that are taken, and a count of the calls."""

    def __init__(self, *taken: str) -> None:
        self.taken, self.calls = set(taken), 0
        self.kinds: dict[str, str] = {}

    def put_new(self, bucket: str, key: str, body: bytes, content_type: str) -> None:
        self.calls += 1
        if key in self.taken:
            raise ConditionFailedError(Code.OBJECT_REPLACED, "taken")
        self.taken.add(key)
        self.kinds[key] = content_type


def copies(bucket: Any, key: str, **values: str) -> RawCopies:
    return RawCopies(bucket, KeepRaw(bucket="raw", key=key), values, lambda: AT)


@pytest.mark.parametrize(
    ("template", "key"),
    [
        ("orders/{date}/{time}.json", "orders/2026-12-01/21-59-58.json"),
        ("{run}/{page}", "manual__2026-12-01T10-00-00+00-00/4"),
        ("{shop}.d/{page}", "north-sea.d/4"),
        ("{unknown}-{Date}", "{unknown}-{Date}"),
        (".json", ".json"),
    ],
)
def test_key_of_a_raw_copy(template: str, key: str) -> None:
    values = {"run": "manual__2026-12-01T10:00:00+00:00", "shop": "north/sea"}
    assert copies(Bucket(), template, **values).keep(b"[]", 4) == key


def test_taken_key_gets_a_counter_before_its_ending() -> None:
    bucket = Bucket("a.d/x.json", "a.d/x-002.json", "a.d/y")
    assert copies(bucket, "a.d/x.json").keep(b"1", 1) == "a.d/x-003.json"
    assert copies(bucket, "a.d/y").keep(b"1", 1) == "a.d/y-002"
    assert bucket.kinds == {"a.d/x-003.json": "application/json", "a.d/y-002": "application/octet-stream"}


def test_thousand_answers_of_one_second_are_stored_in_a_thousand_calls() -> None:
    bucket = Bucket()
    kept = copies(bucket, "{time}.json")
    keys = [kept.keep(b"1", page) for page in range(1, 1001)]
    assert len(set(keys)) == bucket.calls == 1000
    assert keys[-1] == "21-59-58-1000.json"


def test_key_that_would_be_too_long_is_shortened_and_still_unique() -> None:
    kept = copies(Bucket(), "{shop}.json", shop="s" * 2000)
    keys = [kept.keep(b"1", page) for page in range(3)]
    assert len(set(keys)) == 3
    assert max(len(key.encode()) for key in keys) <= 1024


# --- the spool file


def test_spool_file_is_complete_hashed_and_gone_at_the_end(tmp_path: Path) -> None:
    with JsonSpool(tmp_path / "spool", None) as spool:
        for record in (b"{}", b'{"a":1}'):
            spool.take(record)
        spool.keep(b"an answer", 1)
        assert spool.file().read() == b'{}\n{"a":1}\n'
        assert list(spool.lines()) == [b"{}", b'{"a":1}']
        assert (spool.records, spool.size_bytes) == (2, 11)
        assert spool.sha256 == hashlib.sha256(b'{}\n{"a":1}\n').hexdigest()
        assert not any((tmp_path / "spool").iterdir()), "a killed process leaves nothing"


def test_clock_is_read_for_each_answer() -> None:
    times = iter([datetime(2026, 12, 1, tzinfo=UTC), datetime(2026, 12, 2, tzinfo=UTC)])
    kept = RawCopies(Bucket(), KeepRaw(bucket="raw", key="{date}"), {}, lambda: next(times))  # type: ignore[arg-type]
    assert [kept.keep(b"", 1), kept.keep(b"", 2)] == ["2026-12-01", "2026-12-02"]
