"""The sources in `filegate status`: their table, remarks and next runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from include.settings import source_settings
from local.commands.source_status import source_remarks, source_table, sources_with_next_run
from tests.unit.sources.source_files import document, written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.unit

NOW = datetime(2026, 12, 1, 10, 30, tzinfo=UTC)
ROW: dict[str, Any] = {
    "name": "shop", "status": "failed", "last_run": NOW - timedelta(minutes=25), "read": 1200, "written": 1100,
    "failed": 3, "error": "source-unavailable", "error_message": "The API of shop\nanswers 503.",
    "failed_elements": ["/north", "/south"], "stand_in": False, "next_run": "in 5 min",
}  # fmt: skip
NEW = {**ROW, **dict.fromkeys(("status", "last_run", "read", "written", "failed", "error", "next_run")), "name": "new"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the definitions, with the source `shop`."""
    definitions = tmp_path / "sources"
    definitions.mkdir()
    written(definitions, document(name="shop", dataset="sales"), "shop.yaml")
    monkeypatch.setenv("SOURCES_DIR", str(definitions))
    source_settings.cache_clear()
    yield definitions
    source_settings.cache_clear()


def lines(*rows: dict[str, Any]) -> list[str]:
    console = Console(width=80, color_system=None)
    with console.capture() as captured:
        console.print(source_table(rows, NOW, plain=True))
    return [line.rstrip() for line in captured.get().splitlines()]


def dag(*, paused: bool = False) -> dict[str, Any]:
    return {
        "dag_id": "collect_shop", "is_paused": paused, "timetable_summary": "@hourly",
        "next_dagrun_run_after": (NOW + timedelta(minutes=5)).isoformat(),
    }  # fmt: skip


def test_table_shows_the_last_and_the_next_run() -> None:
    invalid = {**NEW, "name": "odd", "error": "source-invalid"}
    running = {**ROW, "name": "busy", "status": "running", "next_run": "paused"}
    heading, *shown = (line.split() for line in lines(ROW, NEW, invalid, running))
    assert heading == ["SOURCE", "LAST", "RUN", "STATUS", "READ", "WRITTEN", "FAILED", "NEXT", "RUN"]
    assert shown == [
        ["shop", "25", "min", "ago", "failed", "1,200", "1,100", "3", "in", "5", "min"],
        ["new", "never", "-", "-", "-", "-", "-"],
        ["odd", "never", "invalid", "-", "-", "-", "-"],
        ["busy", "25", "min", "ago", "running", "1,200", "1,100", "3", "paused"],
    ]


def test_table_fits_80_columns() -> None:
    long = {**ROW, "name": "a_name_of_forty_one_letters_" + "x" * 13, "read": 123_456_789, "written": 123_456_789}
    assert max(map(len, lines(long, ROW))) <= 80


def test_remarks_name_error_elements_and_stand_ins() -> None:
    assert source_remarks([ROW, NEW, {**NEW, "name": "weather", "stand_in": True}]) == [
        "shop: source-unavailable in /north, /south: The API of shop answers 503.",
        "answered by a stand-in, not by the real API: weather",
    ]


@pytest.mark.parametrize(
    ("dags", "expected"),
    [
        pytest.param([dag()], (False, "2026-12-01T10:35:00+00:00", "in 5 min"), id="scheduled"),
        pytest.param([dag(paused=True)], (True, None, "paused"), id="paused"),
        pytest.param([], (None, None, None), id="airflow-does-not-answer"),
        pytest.param([{**dag(), "dag_id": "ingest_shop"}], (None, None, None), id="no-dag-of-this-source"),
    ],
)
def test_next_run_is_that_of_its_dag(folder: Path, dags: list[dict[str, Any]], expected: tuple[Any, ...]) -> None:
    [row] = sources_with_next_run(None, dags, NOW)
    assert (row["name"], row["dataset"], row["status"]) == ("shop", "sales", None)
    assert (row["paused"], row["next_run_at"], row["next_run"]) == expected


def test_invalid_definition_is_listed(folder: Path) -> None:
    written(folder, "a: [", "odd.yaml")
    rows = sources_with_next_run(None, [], NOW)
    assert [(row["name"], row["error"]) for row in rows] == [("odd", "source-invalid"), ("shop", None)]
    assert source_remarks(rows)[0].startswith("odd: source-invalid: ")
