"""The copy of a bucket's folder: what changed is copied again, what is still being written is not."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from local.mirror import Mirror, names_below

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "bucket"
    (folder / "incoming").mkdir(parents=True)
    (folder / "incoming" / "a.csv").write_text("a")
    return folder


@pytest.fixture
def mirror(source: Path, tmp_path: Path) -> Mirror:
    return Mirror(source, tmp_path / "copy")


def test_a_file_is_copied_with_its_checksum_and_its_time_for_the_owner_alone(mirror: Mirror) -> None:
    mirror.refresh(mirror.names())
    copy, original = mirror.target / "incoming" / "a.csv", mirror.source / "incoming" / "a.csv"
    assert mirror.sums == {"incoming/a.csv": sha256(b"a").hexdigest()}
    assert copy.read_text() == "a"
    assert copy.stat().st_mtime_ns == original.stat().st_mtime_ns
    assert copy.stat().st_mode & 0o777 == 0o600


def test_only_what_changed_is_copied_again(mirror: Mirror) -> None:
    (mirror.source / "b.csv").write_text("b")
    mirror.refresh(mirror.names())
    kept = (mirror.target / "b.csv").stat().st_ino
    (mirror.source / "incoming" / "a.csv").write_text("other")
    mirror.refresh(mirror.names())
    assert (mirror.target / "incoming" / "a.csv").read_text() == "other"
    assert (mirror.target / "b.csv").stat().st_ino == kept


def test_a_file_that_is_still_being_written_is_left_out_until_it_is_whole(mirror: Mirror) -> None:
    with (mirror.source / "incoming" / "late.csv").open("w") as writing:
        writing.write("half")
        writing.flush()
        mirror.refresh(mirror.names())
        assert mirror.arriving == {"incoming/late.csv"}
        assert names_below(mirror.target) == ["incoming/a.csv"]
        writing.write(" and half")
    mirror.refresh(mirror.names())
    assert mirror.arriving == set()
    assert (mirror.target / "incoming" / "late.csv").read_text() == "half and half"


def test_a_file_that_is_only_read_is_copied(mirror: Mirror) -> None:
    with (mirror.source / "incoming" / "a.csv").open():
        mirror.refresh(mirror.names())
    assert set(mirror.sums) == {"incoming/a.csv"}


def test_a_file_that_is_gone_when_its_turn_comes_is_no_trouble(mirror: Mirror) -> None:
    mirror.refresh(["incoming/gone.csv", "incoming/a.csv"])
    assert set(mirror.sums) == {"incoming/a.csv"}
    assert mirror.arriving == set()


def test_a_moved_file_takes_the_place_of_the_one_that_bore_the_name(mirror: Mirror) -> None:
    (mirror.source / "b.csv").write_text("b")
    mirror.refresh(mirror.names())
    mirror.move("b.csv", "incoming/a.csv")
    assert mirror.sums == {"incoming/a.csv": sha256(b"b").hexdigest()}
    assert names_below(mirror.target) == ["incoming/a.csv"]
    assert (mirror.target / "incoming" / "a.csv").read_text() == "b"


def test_a_link_is_no_object(mirror: Mirror) -> None:
    (mirror.source / "link").symlink_to("/etc/hostname")
    assert mirror.names() == ["incoming/a.csv"]
