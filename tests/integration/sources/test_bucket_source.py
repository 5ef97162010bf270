"""Sources of buckets: each version of each object arrives in incoming/ once, whatever happens meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bucket_world import BucketWorld

pytestmark = pytest.mark.integration


@pytest.fixture
def world(bucket_world: BucketWorld) -> BucketWorld:
    return bucket_world


# --- which objects


def test_new_objects_are_copied_and_loaded(world: BucketWorld) -> None:
    bodies = {name: world.put(name) for name in ("a.csv", "2026/01/b.csv", "2026/02/b.csv")}
    world.put("c.txt")
    world.put(".hidden.csv")
    world.put("x/.hidden/d.csv")
    world.put("A.CSV")
    world.put("e.csv", prefix="exports2/")
    done = world.collect()
    assert world.incoming == bodies
    assert (done.records_read, done.records_written, done.records_failed) == (3, 3, 0)
    assert not done.is_unfinished
    assert world.collect().records_read == 0
    entries = world.load()
    assert [entry["status"] for entry in entries] == ["archived"] * 3
    assert world.loaded == dict.fromkeys(bodies, 1)
    assert world.collect().records_read == 0, "after the copies were moved"
    assert world.incoming == {}


def test_object_that_arrives_late_with_an_earlier_key_is_copied(world: BucketWorld) -> None:
    world.put("m.csv")
    world.collect()
    world.put("a.csv")
    world.put("z.csv")
    assert world.collect().records_written == 2
    assert sorted(world.incoming) == ["a.csv", "m.csv", "z.csv"]


def test_later_version_is_another_copy(world: BucketWorld) -> None:
    first = world.put("a.csv")
    world.collect()
    second = world.put("a.csv", "id,n\na.csv,2\n")
    done = world.collect()
    assert (done.records_read, done.records_written) == (1, 1)
    assert world.incoming == {"a.csv": first, "~2/a.csv": second}
    world.load()
    assert world.loaded == {"a.csv": 2}
    third = world.put("a.csv", "id,n\na.csv,3\n")
    world.collect()
    assert world.incoming == {"~3/a.csv": third}
    [row] = world.rows
    assert (row["object_key"], row["version_no"], row["copied_at"] is not None) == ("exports/a.csv", 3, True)


def test_empty_objects_and_folder_markers_are_skipped_and_counted(world: BucketWorld) -> None:
    world.put("empty.csv", b"")
    world.put("folder/", b"")
    world.put("a.csv")
    done = world.collect()
    assert (done.records_read, done.empty, done.markers) == (1, 1, 1)
    assert "skipped 1 empty objects, skipped 1 folder markers" in str(done)
    [run] = world.runs
    assert (run["records_read"], run["records_written"], run["records_skipped"]) == (1, 1, 2)
    world.put("empty.csv", "id,n\nfilled,1\n")
    assert world.collect().records_written == 1
