"""When the manifest is generated again, and what happens if that fails. dbt itself is tested in the DAG tests."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from include import settings
from local.errors import PlatformError
from local.services import dbt_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.unit


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project with old files, and a replacement for dbt that copies one of them."""
    folder = tmp_path / "project"
    (folder / "models").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text("name: small\n")
    (folder / "models" / "one.sql").write_text("SELECT 1\n")
    (folder / "models" / "old.sql").write_text("SELECT 0\n")
    (tmp_path / "requirements.txt").write_text("dbt-core\n")
    for path in (*folder.rglob("*"), folder, tmp_path / "requirements.txt"):
        os.utime(path, (1_000, 1_000))
    monkeypatch.setattr(dbt_manifest, "DBT_PROJECT", folder)
    monkeypatch.setattr(dbt_manifest, "REPOSITORY", tmp_path)
    programs = tmp_path / "bin"
    programs.mkdir()
    dbt = programs / "dbt"
    dbt.write_text(
        '#!/bin/sh\nwhile [ "$1" != --target-path ]; do shift; done\n'
        f'if grep -q BROKEN {folder}/models/one.sql; then echo "no such column"; exit 2; fi\n'
        f'cp {folder}/models/one.sql "$2/manifest.json"\n'
    )
    dbt.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    return folder


def test_manifest_is_made_once(project: Path, tmp_path: Path) -> None:
    target = tmp_path / "made" / "manifest.json"
    assert dbt_manifest.prepare(target)
    assert target.read_text() == "SELECT 1\n"
    assert not dbt_manifest.prepare(target)


def touch(project: Path) -> None:
    os.utime(project / "models" / "one.sql", (2_000, 2_000))


def add(project: Path) -> None:
    (project / "models" / "two.sql").write_text("SELECT 2\n")


def remove(project: Path) -> None:
    (project / "models" / "old.sql").unlink()


def upgrade(project: Path) -> None:
    os.utime(project.parent / "requirements.txt", (2_000, 2_000))


@pytest.mark.parametrize("change", [touch, add, remove, upgrade])
def test_manifest_is_made_again_after_a_change(project: Path, tmp_path: Path, change: Callable[[Path], None]) -> None:
    target = tmp_path / "manifest.json"
    dbt_manifest.prepare(target)
    change(project)
    assert dbt_manifest.prepare(target)


def test_what_dbt_writes_is_no_change(project: Path, tmp_path: Path) -> None:
    target = project / "target" / "manifest.json"
    dbt_manifest.prepare(target)
    (project / "target" / "run_results.json").write_text("{}")
    assert not dbt_manifest.prepare(target)


def test_mistake_keeps_the_old_manifest_and_shows_dbts_output(project: Path, tmp_path: Path) -> None:
    target = tmp_path / "made" / "manifest.json"
    dbt_manifest.prepare(target)
    (project / "models" / "one.sql").write_text("BROKEN")
    with pytest.raises(PlatformError, match="no such column"):
        dbt_manifest.prepare(target)
    assert target.read_text() == "SELECT 1\n"
    assert [path.name for path in target.parent.iterdir()] == ["manifest.json"]


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        pytest.param("", "project/target/manifest.json", id="not set"),
        pytest.param("kept/m.json", "kept/m.json", id="relative to the checkout"),
        pytest.param("/var/m.json", "/var/m.json", id="absolute"),
    ],
)
def test_path_of_the_manifest(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, expected: str
) -> None:
    monkeypatch.setattr(settings, "_REPOSITORY", tmp_path)
    monkeypatch.setattr(settings, "DBT_PROJECT", project)
    monkeypatch.setenv("DBT_MANIFEST", variable)
    assert settings.dbt_manifest() == tmp_path / expected
