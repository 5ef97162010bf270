"""Every feature of every shipped view against an independent computation, over random worlds at several times."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from expected_features import Expected
from project_world import T0, World
from psycopg.rows import dict_row

from include.features.build import sample
from include.features.compiler import query

if TYPE_CHECKING:
    from datetime import datetime

    from feature_warehouse import Warehouse
    from project_world import Rows

    from include.features.compiler import FeatureView

pytestmark = pytest.mark.integration

TIMES = [T0, T0 - timedelta(days=1), T0 + timedelta(hours=5), T0 - timedelta(days=30), T0 - timedelta(days=195)]
TIMES += [T0 + timedelta(microseconds=1)]
VIEWS = ("users", "tasks", "projects", "teams")


def differences(found: list[dict[str, Any]], wanted: dict[str, dict[str, Any]], key: str) -> list[str]:
    by_key = {row[key]: row for row in found}
    assert len(by_key) == len(found)
    if set(by_key) != set(wanted):
        return [f"rows {sorted(set(by_key) ^ set(wanted))}"]
    return [
        f"{name}.{feature}: {by_key[name][feature]} is not {value}"
        for name, row in wanted.items()
        for feature, value in row.items()
        if not same(by_key[name][feature], value)
    ]


def same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, float):
        return isinstance(found, float) and found == pytest.approx(wanted, rel=1e-9, abs=1e-9)
    return type(found) is type(wanted) and found == wanted


def compare(warehouse: Warehouse, view: FeatureView, rows: Rows, at: datetime) -> list[str]:
    return differences(sample(warehouse.transform, view, at), Expected(rows, at).view(view.name), view.key)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_features_are_those_of_the_independent_computation(
    warehouse: Warehouse, views: dict[str, FeatureView], seed: int
) -> None:
    rows = World(seed).rows
    warehouse.load(rows)
    for at in TIMES:
        for name in VIEWS:
            assert compare(warehouse, views[name], rows, at) == [], f"{name} at {at}"


def test_world_has_every_feature_with_and_without_a_value() -> None:
    found: dict[tuple[str, str], set[bool]] = {}
    for seed in (1, 2, 3, 4):
        for at in TIMES:
            expected = Expected(World(seed).rows, at)
            for name in VIEWS:
                for row in expected.view(name).values():
                    for feature, value in row.items():
                        found.setdefault((name, feature), set()).add(bool(value))
    assert [name for name, values in found.items() if values != {True, False}] == []


@pytest.mark.parametrize("name", VIEWS)
def test_features_do_not_change_with_later_rows(warehouse: Warehouse, views: dict[str, FeatureView], name: str) -> None:
    """Rows at T and later have no effect. They are the leak that a wrong condition makes."""
    rows = World(5).rows
    known = {
        one: [row for row in records if row.get("updated_at", row.get("occurred_at")) < T0]
        for one, records in rows.items()
    }
    warehouse.load(known)
    before = sample(warehouse.transform, views[name], T0)
    warehouse.load(rows)
    assert sum(map(len, rows.values())) > sum(map(len, known.values()))
    assert sample(warehouse.transform, views[name], T0) == before


@pytest.mark.parametrize("wrong", ["<=", "IS NOT NULL OR NULL <"])
def test_leak_is_noticed(warehouse: Warehouse, views: dict[str, FeatureView], wrong: str) -> None:
    """With rows at T itself, or with the condition removed, every view differs from the independent computation."""
    rows = with_rows_at(World(1).rows, T0)
    warehouse.load(rows)
    for name in VIEWS:
        expected = Expected(rows, T0).view(name)
        text = query(views[name], T0)
        for time in ("updated_at", "occurred_at"):
            text = text.replace(f'"{time}" < timestamptz', f'"{time}" {wrong} timestamptz')
        leaked = warehouse.transform.cursor(row_factory=dict_row).execute(text.encode()).fetchall()
        assert differences(leaked, expected, views[name].key) != [], name
        assert compare(warehouse, views[name], rows, T0) == [], name


def with_rows_at(rows: Rows, at: datetime) -> Rows:
    """The rows, and another state of each entity from `at` on."""
    later = {
        "users": {"is_active": True, "team_id": "team-0"}, "tasks": {"status": "todo"},
        "projects": {"status": "active"}, "teams": {},
    }  # fmt: skip
    made = dict(rows)
    for name, changed in later.items():
        key = f"{name[:-1]}_id"
        last = {row[key]: row for row in sorted(rows[name], key=lambda one: one["updated_at"])}
        new = [row | changed | {"updated_at": at} for row in last.values()]
        made[name] = [row for row in rows[name] if row["updated_at"] != at] + new
    made["teams"] = [*made["teams"], {"team_id": "team-9", "updated_at": at, "name": None}]
    return made
