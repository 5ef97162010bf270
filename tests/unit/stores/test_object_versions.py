"""Which versions of a key are deleted: those replaced long ago, and markers without versions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from include.stores.object_versions import Version, expired

pytestmark = pytest.mark.unit

BEFORE = datetime(2026, 1, 10, tzinfo=UTC)


def versions(*days: int, marker: bool = False) -> list[Version]:
    """Versions of one key, the newest first, written on these days of January; the newest may be a delete marker."""
    first = datetime(2026, 1, 1, tzinfo=UTC) - timedelta(days=1)
    return [
        Version("a.csv", f"v{day}", first + timedelta(days=day), is_latest=at == 0, is_marker=marker and at == 0)
        for at, day in enumerate(days)
    ]


@pytest.mark.parametrize(
    ("found", "gone"),
    [
        pytest.param(versions(1), [], id="current, however old"),
        pytest.param(versions(5, 1), ["v1"], id="replaced long ago"),
        pytest.param(versions(12, 1), [], id="replaced lately, however old"),
        pytest.param(versions(12, 5, 1), ["v1"], id="one lately, one long ago"),
        pytest.param(versions(5, 1, marker=True), ["v1", "v5"], id="deleted long ago: the marker goes last"),
        pytest.param(versions(12, 1, marker=True), [], id="deleted lately"),
        pytest.param(versions(5, marker=True), ["v5"], id="a marker alone"),
        pytest.param(versions(12, marker=True), [], id="a young marker alone"),
    ],
)
def test_expired_versions(found: list[Version], gone: list[str]) -> None:
    assert [version.version_id for version in expired(found[::-1], BEFORE)] == gone
    assert [version.version_id for version in expired(found, BEFORE)] == gone
