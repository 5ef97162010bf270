"""The final checks of a torture run: each kind of damage fails the check for it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from proof.torture.checks import Checker, FinalCheck, _compare
from proof.torture.expectation import Judged
from proof.torture.workload import Drop, Sort

pytestmark = pytest.mark.unit

EARLY, LATE = (datetime(2026, 1, 1, tzinfo=UTC), "early"), (datetime(2026, 1, 2, tzinfo=UTC), "late")


@pytest.mark.parametrize(
    ("rows", "detail"),
    [
        ([(("a",), LATE), (("b",), EARLY)], ""),
        ([(("a",), LATE)], "b is missing"),
        ([(("a",), EARLY), (("b",), EARLY)], "a differs"),
        ([(("a",), LATE), (("b",), EARLY), (("c",), EARLY)], "c is not expected"),
    ],
    ids=["equal", "missing", "older", "unexpected"],
)
def test_compare_names_the_row_that_is_wrong(rows: list[Any], detail: str) -> None:
    check = _compare("sales", {("a",): LATE, ("b",): EARLY}, rows)
    assert (check.ok, check.detail) == (not detail, detail)


def drop(name: str, etag: str, sort: Sort = Sort.GOOD) -> Drop:
    return Drop(1, sort, "sales", f"incoming/sales/{name}", Path(name), etag, 1)


def entry(of: Drop, status: str = "archived", code: str | None = None, **changes: Any) -> dict[str, Any]:
    settled = f"{'failed' if status.endswith('failed') else 'processed'}/{of.name}"
    found = {"file_id": 1, "object_key": of.key, "etag": of.etag, "status": status, "error_code": code}
    return found | {"settled_at": 1, "settled_key": settled, "rows_read": 10, "rows_rejected": 2} | changes


class Judges:
    """Refuses each file whose name begins with `bad`."""

    def of(self, drop: Drop) -> Judged:
        return Judged("png" if drop.name.startswith("bad") else "", 10, 2, {})


def checked(
    drops: list[Drop], entries: list[dict[str, Any]], objects: list[str] | None = None
) -> dict[str, FinalCheck]:
    platform: Any = SimpleNamespace()
    messages: Any = SimpleNamespace()
    judges: Any = Judges()
    checker = Checker(platform, {}, drops, messages, judges)
    keys = [entry["settled_key"] for entry in entries] if objects is None else objects
    return {check.name: check for check in (*checker._files(entries), *checker._bucket(keys, entries))}


GOOD, COPY, BAD = drop("good.csv", "1"), drop("copy.csv", "1", Sort.COPY), drop("bad.csv", "2", Sort.BAD)
UNMATCHED = drop("unmatched.txt", "3", Sort.UNMATCHED)
ENTRIES = [
    entry(GOOD), entry(COPY, "duplicate"), entry(BAD, "validation_failed", "png"),
    entry(UNMATCHED, "validation_failed", "unknown-dataset"),
]  # fmt: skip
OBJECTS = [
    *(str(one["settled_key"]) for one in ENTRIES), "failed/bad.csv.report.json", "failed/unmatched.txt.report.json"
]  # fmt: skip


def test_checks_pass_for_the_expected_state() -> None:
    found = checked([GOOD, COPY, BAD, UNMATCHED], ENTRIES, OBJECTS)
    assert [check for check in found.values() if not check.ok] == []


@pytest.mark.parametrize(
    ("drops", "entries", "name"),
    [
        ([GOOD, BAD], [entry(GOOD)], "files with exactly one ledger entry"),
        ([GOOD], [entry(GOOD), entry(GOOD, "duplicate")], "files with exactly one ledger entry"),
        ([], [entry(GOOD)], "entries of files that were not dropped"),
        ([GOOD], [entry(GOOD, settled_at=None)], "entries that are not settled"),
        ([GOOD], [entry(GOOD, "loading_failed", "disk-full")], "files that ended as the oracle says"),
        ([GOOD], [entry(GOOD, rows_rejected=3)], "files that ended as the oracle says"),
        ([GOOD, COPY], [entry(GOOD), entry(COPY)], "files that ended as the oracle says"),
        ([GOOD, COPY], [entry(GOOD, "duplicate"), entry(COPY, "duplicate")], "files that ended as the oracle says"),
        ([BAD], [entry(BAD)], "files that ended as the oracle says"),
        ([BAD], [entry(BAD, "validation_failed", "no-rows")], "files that ended as the oracle says"),
        ([UNMATCHED], [entry(UNMATCHED)], "files that ended as the oracle says"),
    ],
    ids=["no entry", "two entries", "not dropped", "unsettled", "not loaded", "counts", "loaded twice", "never loaded",
         "bad file loaded", "other code", "unmatched file loaded"],
)  # fmt: skip
def test_checks_of_files_fail_for_damage(drops: list[Drop], entries: list[dict[str, Any]], name: str) -> None:
    assert not checked(drops, entries)[name].ok


@pytest.mark.parametrize(
    ("objects", "name"),
    [
        ([*OBJECTS, "incoming/sales/left.csv"], "objects under incoming/"),
        ([*OBJECTS, "staging/sales/1/rejects.csv"], "objects under staging/"),
        ([key for key in OBJECTS if key != "processed/good.csv"], "files under the key of their entry"),
        ([*OBJECTS, "processed/other.csv"], "objects without an entry"),
        ([key for key in OBJECTS if key != "failed/bad.csv.report.json"], "refused files without a report"),
    ],
    ids=["incoming", "staged", "missing", "orphan", "without report"],
)
def test_checks_of_the_bucket_fail_for_damage(objects: list[str], name: str) -> None:
    found = checked([GOOD, COPY, BAD, UNMATCHED], ENTRIES, objects)
    assert [check.name for check in found.values() if not check.ok][:1] == [name]
