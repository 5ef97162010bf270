"""Copies of files: with checksum and time, readable by their owner only."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from local.commands.file_copy import checksum, copy_file, copy_files, names_below

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


def test_copy_has_the_checksum_and_the_time_and_is_for_the_owner_alone(tmp_path: Path) -> None:
    source, target = tmp_path / "a.csv", tmp_path / "copy" / "below" / "a.csv"
    source.write_text("a")
    assert copy_file(source, target) == sha256(b"a").hexdigest() == checksum(target)
    assert target.stat().st_mtime_ns == source.stat().st_mtime_ns
    assert target.stat().st_mode & 0o777 == 0o600


def test_copy_replaces_an_older_one(tmp_path: Path) -> None:
    source, target = tmp_path / "a.csv", tmp_path / "copy.csv"
    target.write_text("older")
    source.write_text("newer")
    copy_file(source, target)
    assert target.read_text() == "newer"
    assert names_below(tmp_path) == ["a.csv", "copy.csv"]


def test_names_leave_out_links_and_sockets(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.csv").touch()
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "a.csv")
    assert names_below(tmp_path) == ["folder/a.csv"]


def test_a_tree_is_copied_with_its_empty_folders_and_is_for_the_owner_alone(tmp_path: Path) -> None:
    source, target = tmp_path / "home", tmp_path / "copy"
    (source / "data" / "pg_notify").mkdir(parents=True)
    (source / "data" / "a").write_text("a")
    copied = copy_files(source, target, ["data", "data/pg_notify"], ["data/a"])
    assert copied == {"data/a": sha256(b"a").hexdigest()}
    assert sorted(path.relative_to(target).as_posix() for path in target.rglob("*")) == [
        "data",
        "data/a",
        "data/pg_notify",
    ]
    assert {path.stat().st_mode & 0o777 for path in (target, target / "data", target / "data" / "pg_notify")} == {0o700}
