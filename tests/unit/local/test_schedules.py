"""The formatting of `filegate schedules` and of the table of a run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from local.commands.runs import seconds_between, shown
from local.commands.schedules import duration, every, names, next_run, schedules, table

pytestmark = pytest.mark.unit

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.42, "0.4 s"),
        (9, "9 s"),
        (30, "30 s"),
        (119, "119 s"),
        (180, "3 min"),
        (7200, "2 h"),
        (172_800, "2 d"),
    ],
    ids=str,
)
def test_duration_is_formatted(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("summary", "text"),
    [
        ("0:00:30", "every 30 s"),
        ("0:15:00", "every 15 min"),
        ("1 day, 0:00:00", "every 1 d"),
        ("0 4 * * *", "0 4 * * *"),
    ],
)
def test_interval_is_formatted(summary: str, text: str) -> None:
    assert every(summary) == text


def test_the_assets_of_an_expression_are_named_in_their_order() -> None:
    def asset(name: str) -> dict[str, Any]:
        return {"asset": {"uri": f"postgres://x/{name}", "name": name, "group": "raw"}}

    assert names({"any": [asset("raw.sales"), {"all": [asset("raw.commits"), asset("raw.issues")]}]}) == [
        "raw.sales", "raw.commits", "raw.issues"
    ]  # fmt: skip
    assert names(None) == []


@pytest.mark.parametrize(
    ("dag", "text"),
    [
        pytest.param({"is_paused": True, "next_dagrun_run_after": None}, "paused", id="paused"),
        pytest.param({"is_paused": False, "next_dagrun_run_after": None}, "", id="manual"),
        pytest.param({"is_paused": False, "next_dagrun_run_after": "2026-03-02T10:05:00Z"}, "in 5 min", id="later"),
        pytest.param({"is_paused": False, "next_dagrun_run_after": "2026-03-02T09:59:00Z"}, "now", id="due"),
        pytest.param(
            {"is_paused": False, "next_dagrun_run_after": "2026-03-02T10:05:00Z", "timetable_summary": "@continuous"},
            "",
            id="continuous",
        ),
    ],
)
def test_next_run_of_a_time_schedule(dag: dict[str, Any], text: str) -> None:
    assert next_run(dag, NOW) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(None, "", id="nothing"),
        pytest.param({"rows": 10, "key": "", "files": 0}, "rows 10, files 0", id="empty-parts-are-left-out"),
        pytest.param({"auc": 0.912345678, "by": {"a": 1}}, "auc 0.9123, by a 1", id="numbers-and-nesting"),
        pytest.param([1, 2], "[1, 2]", id="list"),
        pytest.param("moved", "moved", id="text"),
    ],
)
def test_return_value_is_formatted(value: object, text: str) -> None:
    assert shown(value) == text


def test_run_without_an_end_has_no_duration() -> None:
    assert seconds_between("2026-03-02T10:00:00Z", None) is None
    assert seconds_between("2026-03-02T10:00:00Z", "2026-03-02T10:00:01.5Z") == 1.5


class Dags:
    """Airflow's answers about three DAGs: the longest name of a dataset, one without runs, one on a schedule."""

    def dags(self) -> list[dict[str, Any]]:
        free: dict[str, Any] = {"is_paused": False, "next_dagrun_run_after": None}
        return [
            {"dag_id": f"ingest_{'a_long_name_' * 5}x", "timetable_summary": "@continuous", **free},
            {"dag_id": "transform_warehouse", "timetable_summary": "Asset", **free},
            {
                "dag_id": "check_quality",
                "timetable_summary": "0:15:00",
                "is_paused": False,
                "next_dagrun_run_after": "2026-03-02T10:05:00Z",
            },
        ]

    def runs(self, dag_id: str, most: int) -> list[dict[str, Any]]:
        if dag_id == "transform_warehouse":
            return []
        run = {"start_date": "2026-03-02T09:00:00Z", "end_date": "2026-03-02T09:00:30Z"}
        return [run | {"state": state} for state in ("failed", *["success"] * (most - 1))]

    def expression(self, dag_id: str) -> Any:
        uris = ("raw.commits", "raw.transactions_of_all_the_shops", "raw.issues", "raw.events", "raw.sales")
        return {"any": [{"asset": {"name": name}} for name in uris]}


def test_table_of_schedules_fits_80_columns_and_cuts_no_name(capsys: pytest.CaptureFixture[str]) -> None:
    Console(width=80).print(table(schedules(Dags()), NOW))  # type: ignore[arg-type]
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    width = lines[0].index("STARTS")
    assert f"ingest_{'a_long_name_' * 5}x" in "".join(line[:width].strip() for line in lines[1:])
    assert not any("…" in line for line in lines)


def test_rows_of_schedules_have_whole_values() -> None:
    long, asset, timed = (one.as_row for one in schedules(Dags()))  # type: ignore[arg-type]
    assert (long["starts"], long["last_state"], long["took_seconds"]) == (
        "always: waits for files or messages", "failed", 30.0
    )  # fmt: skip
    assert long["last_states"] == ["success"] * 7 + ["failed"]
    assert (asset["last_state"], asset["last_started_at"], asset["last_states"]) == (None, None, [])
    assert asset["starts"] == "event of raw.commits | raw.transactions_of_all_the_shops | raw.issues and 2 more"
    assert (timed["starts"], timed["next_run_at"], timed["paused"]) == ("every 15 min", "2026-03-02T10:05:00Z", False)
