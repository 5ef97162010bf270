"""Generated project data: the five datasets refer to each other, and have what features must cope with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from include.contracts.catalog import read_catalog
from include.samples.project_data import STATES
from include.samples.writer import Sample, write_sample
from include.settings import CONTRACTS_DIR

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

Rows = list[dict[str, Any]]


def made(folder: Path, dataset: str, rows: int = 10_000, version: int = 1) -> Rows:
    path = folder / f"{dataset}-{version}.csv"
    write_sample(Sample(read_catalog(CONTRACTS_DIR).find(dataset), rows, version=version), path)
    found = duckdb.sql(f"SELECT * FROM read_csv('{path}', all_varchar = true)")
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rows]:
    folder = tmp_path_factory.mktemp("world")
    return {dataset: made(folder, dataset) for dataset in STATES}


def ids(rows: Rows, column: str) -> set[str]:
    return {row[column] for row in rows if row[column] is not None}


def test_ids_are_those_of_other_datasets(world: dict[str, Rows]) -> None:
    users, teams = ids(world["users"], "user_id"), ids(world["teams"], "team_id")
    assert ids(world["users"], "team_id") | ids(world["projects"], "team_id") <= teams
    assert ids(world["tasks"], "project_id") <= ids(world["projects"], "project_id")
    assert ids(world["tasks"], "assignee_id") | ids(world["activity"], "user_id") <= users
    assert ids(world["activity"], "target_user_id") <= users
    assert ids(world["activity"], "task_id") <= ids(world["tasks"], "task_id")
    needed = {one for row in world["tasks"] if row["depends_on"] for one in json.loads(row["depends_on"])}
    assert needed - ids(world["tasks"], "task_id") == {"task-unknown"}


@pytest.mark.parametrize(("dataset", "states"), [item for item in STATES.items() if item[0] != "activity"])
def test_histories_have_several_states_of_each_entity(world: dict[str, Rows], dataset: str, states: int) -> None:
    key = f"{dataset[:-1]}_id"
    assert len({(row[key], row["updated_at"]) for row in world[dataset]}) == 10_000
    assert len(ids(world[dataset], key)) == -(-10_000 // states)


def test_tasks_are_reopened_cancelled_and_have_nulls(world: dict[str, Rows]) -> None:
    history: dict[str, list[str]] = {}
    for row in sorted(world["tasks"], key=lambda one: one["updated_at"]):
        history.setdefault(row["task_id"], []).append(row["status"])
    orders = {tuple(states) for states in history.values()}
    assert ("todo", "in_progress", "done", "in_progress", "done") in orders
    assert {order[-1] for order in orders} == {"todo", "in_progress", "blocked", "done", "cancelled"}
    for column in ("project_id", "assignee_id", "priority", "estimate_hours", "skills", "depends_on", "due_at"):
        assert any(row[column] is None for row in world["tasks"]), column
    assert {row["hours"] is None for row in world["activity"] if row["type"] == "work_logged"} == {False}


def test_later_version_has_later_times(world: dict[str, Rows], tmp_path: Path) -> None:
    later = made(tmp_path, "tasks", version=2)
    assert all(
        new["task_id"] == old["task_id"] and new["updated_at"] > old["updated_at"]
        for old, new in zip(world["tasks"], later, strict=True)
    )
