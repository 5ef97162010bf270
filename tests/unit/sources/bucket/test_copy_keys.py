"""The keys of copies: the whole path stays, two versions never share one, and every S3 server takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from include.ingestion.object_keys import MAX_KEY_BYTES
from include.sources.bucket.copies import KnownObject, NewObject, choose, copy_key, stored_key
from include.sources.bucket.definition import BucketSource
from include.stores.object_store import ObjectInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

pytestmark = pytest.mark.unit

SOURCE = BucketSource.model_validate(
    {"name": "partner", "kind": "bucket", "connection": "source_partner", "schedule": None, "dataset": "orders",
     "bucket": "exports", "prefix": "out/"}
)  # fmt: skip
FOLDER = "incoming/orders/partner/"


@pytest.mark.parametrize(
    ("key", "number", "expected"),
    [
        ("out/a.csv", 1, "a.csv"),
        ("out/2026/01/a.csv.gz", 1, "2026/01/a.csv.gz"),
        ("out/2026/01/a.csv.gz", 2, "~2/2026/01/a.csv.gz"),
        ("out/out/a.csv", 1, "out/a.csv"),
        ("out//a.csv", 1, "_/a.csv"),
        ("out/a//b.csv", 1, "a/_/b.csv"),
        ("out/../../raw/a.csv", 1, "%2E%2E/%2E%2E/raw/a.csv"),
        ("out/./a.csv", 1, "%2E/a.csv"),
        ("out/.a.csv", 1, ".a.csv"),
        ("out/a\0b\n.csv", 1, "a%00b%0A.csv"),
        ("out/a b%ä+.csv", 1, "a b%ä+.csv"),
        ("out/a\u202eb.csv", 1, "a%E2%80%AEb.csv"),
    ],
)
def test_copy_key_keeps_the_path(key: str, number: int, expected: str) -> None:
    assert copy_key(SOURCE, key, number) == FOLDER + expected


@pytest.mark.parametrize(
    "key",
    [
        "out/" + "n" * 300 + ".csv", "out/" + "ü/" * 500 + "a.csv", "out/" + "d/" * 505 + "a.csv",
        "out/" + "d/" * ((724 - len(FOLDER)) // 2) + "m" * 254 + "/" + "k" * 150 + "a.csv",
    ],
)  # fmt: skip
def test_long_keys_are_shortened_and_differ(key: str) -> None:
    made = {copy_key(SOURCE, key.replace("a.csv", f"{letter}.csv").replace("n.csv", f"{letter}.csv"), number)
            for letter in "ab" for number in (1, 2)}  # fmt: skip
    assert len(made) == 4
    for one in made:
        assert one.startswith(FOLDER)
        assert one.endswith(".csv")
        assert len(one.encode()) <= MAX_KEY_BYTES
        assert max(len(name.encode()) for name in one.split("/")) <= 255


def new(key: str, etag: str = "e1", **known: Any) -> NewObject:
    row = KnownObject(**{
        "key": key, "etag": "e1", "target_key": copy_key(SOURCE, key, 1), "version_no": 1, "full_run_id": None,
        "is_copied": True, **known,
    }) if known else None  # fmt: skip
    return NewObject(ObjectInfo(key, etag, 3), row)


def free(*taken: str) -> Callable[[Collection[str]], set[str]]:
    return lambda keys: {key for key in keys if key.removeprefix(FOLDER) in taken}


@pytest.mark.parametrize(
    ("objects", "taken", "expected"),
    [
        pytest.param([new("out/a")], [], ["a"], id="first version"),
        pytest.param([new("out/a", "e2", is_copied=True)], [], ["~2/a"], id="later version"),
        pytest.param([new("out/a", "e1", is_copied=True)], [], ["~2/a"], id="all again"),
        pytest.param([new("out/a", "e1", is_copied=False)], ["a"], ["a"], id="unfinished copy of this version"),
        pytest.param([new("out/a", "e2", is_copied=False)], [], ["~2/a"], id="unfinished copy of another version"),
        pytest.param(
            [new("out/a", "e1", is_copied=False, target_key="incoming/old/partner/a")], [], ["~2/a"],
            id="unfinished copy for another dataset",
        ),
        pytest.param([new("out/a")], ["a", "~2/a"], ["~3/a"], id="keys of other files"),
        pytest.param([new("out//a"), new("out/_/a")], [], ["_/a", "~2/_/a"], id="one key for two objects"),
        pytest.param(
            [new("out/a", "e1", is_copied=False), new("out/~2/b"), new("out/b", "e2", is_copied=True)], [],
            ["a", "~2/b", "~3/b"], id="a folder like a version",
        ),
    ],
)  # fmt: skip
def test_choose_takes_the_first_free_key(objects: list[NewObject], taken: list[str], expected: list[str]) -> None:
    copies = choose(SOURCE, objects, free(*taken))
    assert [copy.target_key.removeprefix(FOLDER) for copy in copies] == expected
    assert [copy.version for copy in copies] == [one.version for one in objects]


def test_key_with_nul_can_be_stored() -> None:
    assert stored_key("a\0b") == "a\u2400b"
