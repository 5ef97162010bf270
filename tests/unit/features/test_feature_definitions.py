"""Reading features/*.yaml: the shipped views are sound, and every problem has its place and remedy."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from include.contracts.catalog import read_catalog
from include.features.__main__ import PAGE, page
from include.features.compiler import query
from include.features.reader import FeatureError, read_features, read_shared, read_view
from include.settings import CONTRACTS_DIR, FEATURES_DIR

if TYPE_CHECKING:
    from pathlib import Path

    from include.features.compiler import FeatureView

pytestmark = pytest.mark.unit

AT = datetime(2026, 3, 1, tzinfo=UTC)
SHARED = """
datasets:
  tasks: {kind: history, key: task_id, time: updated_at}
  activity: {kind: events, key: activity_id, time: occurred_at}
steps:
  - {name: blocked, description: d, reads: [tasks], sql: SELECT task_id FROM tasks WHERE status = 'blocked'}
"""
VIEW = """
view: small
description: A small view.
owner: test
entity: task
joinKey: task_id
steps:
  - {name: logged, description: d, reads: [activity], sql: "SELECT task_id, 1.5 AS hours FROM activity"}
rows:
  reads: [tasks, tasks_history, logged]
  sql: SELECT t.task_id, l.hours FROM tasks AS t LEFT JOIN logged AS l USING (task_id)
features:
  - {name: hours, type: double, description: d, source: s, sql: hours}
  - {name: "is_{kind}", forEach: {kind: [one, two]}, type: int, description: "{kind}", source: s, sql: "'{kind}'"}
"""


def read(folder: Path, view: str = VIEW, shared: str = SHARED) -> FeatureView:
    (folder / "shared.yaml").write_text(shared)
    (folder / "small.yaml").write_text(view)
    return read_view(folder / "small.yaml", read_shared(folder / "shared.yaml"))


def problems(folder: Path, view: str = VIEW, shared: str = SHARED) -> list[str]:
    with pytest.raises(FeatureError) as refused:
        read(folder, view, shared)
    return [str(problem) for problem in refused.value.problems]


def test_shipped_views_are_sound_and_read_tables_by_the_contracts_keys_and_times() -> None:
    catalog = read_features(FEATURES_DIR)
    assert catalog.broken == ()
    assert {name: len(view.features) for name, view in catalog.views.items()} == {
        "users": 13, "tasks": 14, "projects": 8, "teams": 6
    }  # fmt: skip
    contracts = read_catalog(CONTRACTS_DIR)
    for name, dataset in catalog.views["users"].datasets.items():
        contract = contracts.find(name)
        key = (dataset.key, dataset.time) if dataset.kind == "history" else (dataset.key,)
        assert (contract.key, contract.newest_by) == (key, dataset.time)


def test_for_each_makes_a_feature_of_each_value(tmp_path: Path) -> None:
    view = read(tmp_path)
    assert [(one.name, one.description, one.sql) for one in view.features][1:] == [
        ("is_one", "one", "'one'"), ("is_two", "two", "'two'")
    ]  # fmt: skip


def test_query_has_only_the_steps_that_are_read_and_each_raw_table_with_its_condition(tmp_path: Path) -> None:
    view = read(tmp_path)
    text = query(view, AT, "it's")
    assert view.sources == ("activity", "tasks")
    assert "blocked" not in text
    assert text.count('"raw".') == text.count("< timestamptz '2026-03-01T00:00:00+00:00'") == 3
    assert "WHERE \"task_id\" = 'it''s'" in text
    assert ":T " not in text


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("owner: test", "owner: test\nhistroy: 3", "histroy: unknown key. Remedy: write 'history', or remove it."),
        ("owner: test\n", "", "'owner' is missing. Remedy: add 'owner'."),
        ("type: double", "type: float", 'features[0].type: "float" is not known. Remedy: use one of bigint, double, '
         "int, text."),
        ("sql: hours}", "sql: hours, missing: medain}", "features[0].missing: \"medain\" is not known. Remedy: write "
         "'median', or remove it."),
        ("sql: hours}", "sql: hours, missing: {constnt: 1}}", "features[0].missing: 'constant' is missing"),
        ("view: small", "view: other", "view: 'other' differs from the file's name. Remedy: rename the file"),
        ("reads: [activity]", "reads: [activty]", "steps[0].reads[0]: there is no dataset or step 'activty'. Remedy: "
         "write 'activity'"),
        ("FROM tasks AS t", "FROM raw.tasks AS t", "rows.sql: a table is named with its schema (raw.). Remedy: read a "
         "dataset by its name alone"),
        ('FROM tasks AS t', 'FROM "raw" . tasks AS t', "rows.sql: a table is named with its schema"),
        ("sql: hours}", "sql: now()}", "features[0].sql: now changes from run to run. "
         "Remedy: use :T"),
        ("name: logged", "name: blocked", "steps[0].name: 'blocked' exists already"),
        ("name: hours", "name: event_timestamp", "features[0].name: 'event_timestamp' is a column of every view"),
        ("kind: [one, two]", "kind: [one, one]", "features[1].name: 'is_one' is another feature"),
        ("type: double", "type: text", "features[0].normalize: a text cannot be normalised"),
        ("joinKey: task_id", "joinKey: Task", 'joinKey: "Task" is not allowed here'),
    ],
)  # fmt: skip
def test_problem_has_its_path_and_remedy(tmp_path: Path, old: str, new: str, problem: str) -> None:
    assert old in VIEW
    found = problems(tmp_path, VIEW.replace(old, new))
    assert any(one.startswith(problem) for one in found), found


def test_steps_that_read_each_other_are_refused(tmp_path: Path) -> None:
    shared = SHARED + "  - {name: one, description: d, reads: [two], sql: SELECT 1}\n"
    shared += "  - {name: two, description: d, reads: [one], sql: SELECT 1}\n"
    assert problems(tmp_path, shared=shared) == [
        "steps: 'one' and a step that it reads read each other. Remedy: let one of them read datasets."
    ]


def test_page_is_generated_from_the_views() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


def test_broken_view_affects_no_other(tmp_path: Path) -> None:
    read(tmp_path)
    (tmp_path / "broken.yaml").write_text("view: broken\n")
    catalog = read_features(tmp_path)
    assert list(catalog.views) == ["small"]
    assert [error.stem for error in catalog.broken] == ["broken"]
