"""Files that travel while they are copied: where the snapshot of the ledger wants them, and nowhere else."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from local.dumps import open_snapshot
from local.landing_copy import LandingCopy
from local.mirror import Mirror
from local.postgres import WAREHOUSE, superuser_connection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psycopg

    from local.platform import Platform
    from local.postgres import Row

pytestmark = pytest.mark.integration

DATASET = "landing_copy"


class Landing:
    """A folder as the bucket, ledger entries without a pipeline, and the three moments of a backup."""

    def __init__(self, folder: Path, now: psycopg.Connection[Row], snapshot: psycopg.Connection[Row]) -> None:
        self.bucket, self.now, self.snapshot = folder.name, now, snapshot
        self.source = folder / "bucket"
        self.source.mkdir()
        self.mirror = Mirror(self.source, folder / "copy")

    def drop(self, name: str, text: str = "rows") -> str:
        key = f"incoming/{DATASET}/{name}"
        self._put(key, text)
        return key

    def claim(self, key: str) -> int:
        text = (self.source / key).read_bytes()
        row = self.now.execute(
            "INSERT INTO ops.file_ingestion_log (dataset, bucket, object_key, sha256) VALUES (%s, %s, %s, %s) "
            "RETURNING file_id",
            [DATASET, self.bucket, key, sha256(text).hexdigest()],
        ).fetchone()
        assert row is not None
        return int(str(row[0]))

    def settle(self, key: str, file_id: int, place: str = "failed/validation_failed") -> str:
        """Moved to quarantine with its report, and noted: a load would need rows that balance, and says no more."""
        target = f"{place}/{DATASET}/{file_id}/{key.rsplit('/', maxsplit=1)[-1]}"
        self._put(f"{target}.report.json", "why")
        self.move(key, target)
        self.now.execute(
            "UPDATE ops.file_ingestion_log SET status = 'validation_failed', error_code = 'bad', settled_key = %s, "
            "settled_at = clock_timestamp() WHERE file_id = %s",
            [target, file_id],
        )
        return target

    def move(self, key: str, target: str) -> None:
        (self.source / target).parent.mkdir(parents=True, exist_ok=True)
        (self.source / key).rename(self.source / target)

    def first_copy(self) -> None:
        self.mirror.refresh(self.mirror.names())

    def complete(self) -> list[str]:
        LandingCopy(self.mirror, self.bucket, self.snapshot, self.now).complete()
        copied = {path.relative_to(self.mirror.target).as_posix() for path in self.mirror.target.rglob("*.*")}
        assert copied == set(self.mirror.sums)
        return sorted(copied)

    def _put(self, key: str, text: str) -> None:
        (self.source / key).parent.mkdir(parents=True, exist_ok=True)
        (self.source / key).write_text(text)


@pytest.fixture
def landing(platform: Platform, tmp_path: Path) -> Iterator[Landing]:
    reach = (platform.settings, platform.credentials, WAREHOUSE)
    with superuser_connection(*reach) as now, superuser_connection(*reach) as snapshot:
        made = Landing(tmp_path, now, snapshot)
        yield made
        now.execute("DELETE FROM ops.file_ingestion_log WHERE bucket = %s", [made.bucket])


def test_a_file_that_came_after_the_first_copy_is_in_it(landing: Landing) -> None:
    landing.first_copy()
    key = landing.drop("a.csv")
    open_snapshot(landing.snapshot)
    assert landing.complete() == [key]


def test_a_file_that_is_settled_for_the_snapshot_lies_where_it_was_settled(landing: Landing) -> None:
    key = landing.drop("a.csv")
    landing.first_copy()
    target = landing.settle(key, landing.claim(key))
    open_snapshot(landing.snapshot)
    assert landing.complete() == [target, f"{target}.report.json"]


@pytest.mark.parametrize("copied_first", [True, False], ids=["copied before", "not copied before"])
@pytest.mark.parametrize("claimed_first", [True, False], ids=["claimed before", "unknown to the snapshot"])
def test_a_file_that_was_settled_after_the_snapshot_waits_in_incoming(
    landing: Landing, *, claimed_first: bool, copied_first: bool
) -> None:
    if not copied_first:
        landing.first_copy()
    key = landing.drop("a.csv")
    if copied_first:
        landing.first_copy()
    file_id = landing.claim(key) if claimed_first else 0
    open_snapshot(landing.snapshot)
    landing.settle(key, file_id or landing.claim(key))
    assert landing.complete() == [key]


def test_a_file_that_was_moved_and_not_noted_yet_waits_in_incoming(landing: Landing) -> None:
    key = landing.drop("a.csv")
    file_id = landing.claim(key)
    landing.move(key, f"processed/{DATASET}/{file_id}/a.csv")
    landing.first_copy()
    open_snapshot(landing.snapshot)
    assert landing.complete() == [key]


def test_a_file_that_was_put_back_after_the_snapshot_lies_in_quarantine_too(landing: Landing) -> None:
    key = landing.drop("a.csv")
    target = landing.settle(key, landing.claim(key))
    landing.first_copy()
    open_snapshot(landing.snapshot)
    landing.move(target, key)
    assert landing.complete() == [target, f"{target}.report.json", key]


def test_a_file_that_was_put_back_before_the_snapshot_waits_in_incoming(landing: Landing) -> None:
    key = landing.drop("a.csv")
    file_id = landing.claim(key)
    target = landing.settle(key, file_id)
    landing.first_copy()
    landing.move(target, key)
    (landing.source / f"{target}.report.json").unlink()
    landing.now.execute("UPDATE ops.file_ingestion_log SET settled_key = NULL WHERE file_id = %s", [file_id])
    open_snapshot(landing.snapshot)
    assert landing.complete() == [key]


def test_a_file_that_was_put_back_and_settled_again_around_the_snapshot_waits_in_incoming(landing: Landing) -> None:
    key = landing.drop("a.csv")
    file_id = landing.claim(key)
    target = landing.settle(key, file_id)
    landing.move(target, key)
    (landing.source / f"{target}.report.json").unlink()
    landing.now.execute("UPDATE ops.file_ingestion_log SET settled_key = NULL WHERE file_id = %s", [file_id])
    landing.first_copy()
    open_snapshot(landing.snapshot)
    landing.settle(key, file_id)
    assert landing.complete() == [key]


def test_of_two_files_of_one_name_the_snapshot_gets_the_one_it_knows(landing: Landing) -> None:
    key = landing.drop("a.csv", "first")
    file_id = landing.claim(key)
    landing.first_copy()
    open_snapshot(landing.snapshot)
    landing.settle(key, file_id)
    landing.drop("a.csv", "second")
    assert landing.complete() == [key]
    assert (landing.mirror.target / key).read_text() == "first"


def test_the_same_name_with_new_content_is_not_taken_for_the_settled_one(landing: Landing) -> None:
    key = landing.drop("a.csv", "first")
    target = landing.settle(key, landing.claim(key))
    landing.drop("a.csv", "second")
    landing.first_copy()
    open_snapshot(landing.snapshot)
    landing.settle(key, landing.claim(key))
    assert landing.complete() == [target, f"{target}.report.json", key]
    assert (landing.mirror.target / key).read_text() == "second"
