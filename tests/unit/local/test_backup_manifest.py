"""A backup is accepted only if it has exactly the files of its manifest with their checksums."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from local.commands import backup_manifest
from local.commands.backup_manifest import Manifest, read_verified
from local.commands.file_copy import checksum
from local.errors import PlatformError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.unit

OBJECT = "s3/data/a.dat"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"secrets.env": "A=b", "postgres/PG_VERSION": "18", OBJECT: "a"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    names = ["secrets.env", "postgres/PG_VERSION", OBJECT]
    manifest = Manifest(
        format=3, made_at=datetime(2026, 1, 1, tzinfo=UTC), server="PostgreSQL 18 (x86_64)", folders=[],
        files={name: checksum(tmp_path / name) for name in names},
    )  # fmt: skip
    backup_manifest.write(tmp_path, manifest)
    return tmp_path


def test_complete_backup_is_accepted(folder: Path) -> None:
    assert list(read_verified(folder).files) == ["secrets.env", "postgres/PG_VERSION", OBJECT]
    assert (folder / "manifest.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(lambda path: (path / OBJECT).write_text("b"), "is damaged: .*a.dat differs from", id="changed"),
        pytest.param(lambda path: (path / OBJECT).write_text("aa"), "is damaged: .*a.dat differs from", id="longer"),
        pytest.param(lambda path: (path / OBJECT).unlink(), "is damaged: .*a.dat is missing", id="missing"),
        pytest.param(lambda path: (path / "new").touch(), "is damaged: new is not in the manifest", id="added"),
        pytest.param(lambda path: (path / "secrets.env").unlink(), "lacks secrets.env: copy the", id="secrets"),
        pytest.param(lambda path: (path / "manifest.json").unlink(), "is no backup: it has no", id="no manifest"),
        pytest.param(lambda path: (path / "manifest.json").write_text("{"), "cannot be read", id="cut manifest"),
    ],
)
def test_a_damaged_backup_is_refused_and_the_damage_is_named(
    folder: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(folder)
    with pytest.raises(PlatformError, match=message):
        read_verified(folder)


@pytest.mark.parametrize("number", [1, 2])
def test_a_backup_with_dumps_is_refused_and_its_version_named(tmp_path: Path, number: int) -> None:
    (tmp_path / "manifest.json").write_text(f'{{"format": {number}, "postgresql": 18, "rows": {{}}, "files": {{}}}}')
    with pytest.raises(PlatformError, match=r"an earlier version, with dumps .*git checkout 7a941a2"):
        read_verified(tmp_path)
