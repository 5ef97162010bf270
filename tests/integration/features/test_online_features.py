"""The online store against the tables of features, and historical features against what was known at their time."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from feast_world import TODAY, OnlineStore, world_of_today

from include.feature_store import calls, environment
from include.feature_store.repository import write_repository
from include.stores.warehouse import connect

if TYPE_CHECKING:
    from pathlib import Path

    from feature_warehouse import Warehouse

    from include.feature_store.changes import DueView
    from include.features.compiler import FeatureView

pytestmark = pytest.mark.integration

DAY = timedelta(days=1)
VIEWS = ("projects", "tasks", "teams", "users")


@pytest.fixture(scope="module", autouse=True)
def _feast() -> None:
    """Feast's virtualenv: about 600 MB, made once in FEAST_DIR."""
    environment.make(print)


@pytest.fixture
def store(warehouse: Warehouse, views: dict[str, FeatureView]) -> OnlineStore:
    """Tables of features of six days, and an empty online store."""
    warehouse.load(world_of_today(5))
    found = OnlineStore(warehouse, views)
    with connect(found.config.store) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
        for (name,) in connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'online' AND tableowner = 'feast'"
        ).fetchall():
            connection.execute(f"DROP TABLE online.{name}".encode())
    found.build()
    return found


def assert_online_equals_offline(store: OnlineStore, name: str, *, gone: tuple[str, ...] = ()) -> None:
    offline = store.offline(name)
    entities = [*offline, "unknown", *gone]
    empty = dict.fromkeys((one.name for one in store.views[name].features), None)
    expected = [offline.get(entity, {store.views[name].key: entity, **empty}) for entity in entities]
    assert store.online(name, entities) == [pytest.approx(row, nan_ok=False) for row in expected]


def test_online_values_follow_the_tables_of_features(store: OnlineStore) -> None:
    assert store.materialize() == {name: len(store.offline(name)) for name in VIEWS}
    for name in VIEWS:
        assert len(store.offline(name)) > 3
        assert_online_equals_offline(store, name)
    assert store.changes().due == ()

    # A late row changes a task, one of two days ago ends another: both are found, and no other view is due for them.
    late, ended = list(store.offline("tasks"))[:2]
    changed = {"updated_at": TODAY - timedelta(hours=3), "status": "todo", "estimate_hours": 77, "skills": ["devops"]}
    done = {"updated_at": TODAY - timedelta(days=5), "status": "done", "estimate_hours": None, "skills": None}
    store.warehouse.insert("tasks", [{"task_id": late, **changed}])
    before = store.warehouse.rows("SELECT * FROM raw.tasks WHERE task_id = %s ORDER BY updated_at DESC LIMIT 1", ended)
    with connect(store.warehouse.platform.warehouse_config("owner")) as owner:
        owner.execute(
            "DELETE FROM raw.tasks WHERE task_id = %s AND updated_at >= %s", (ended, TODAY - timedelta(days=5))
        )
    assert before
    store.warehouse.insert("tasks", [{"task_id": ended, **done}])
    store.build()
    assert ended not in store.offline("tasks")
    assert "tasks" in {one.view for one in store.changes().due}
    store.materialize()
    assert_online_equals_offline(store, "tasks", gone=(ended,))
    assert store.online("tasks", [late])[0]["estimated_hours"] == 77
    assert store.changes().due == ()


def test_due_view_begins_at_the_first_changed_time(store: OnlineStore) -> None:
    store.materialize()
    task = next(iter(store.offline("tasks")))
    row = {"task_id": task, "updated_at": TODAY - timedelta(hours=1), "status": "blocked"}
    store.warehouse.insert("tasks", [row])
    store.build()
    due: dict[str, DueView] = {one.view: one for one in store.changes().due}
    assert due["tasks"].since == TODAY.isoformat()
    assert "users" not in due or due["users"].since == TODAY.isoformat()


def leaks(store: OnlineStore, repository: Path) -> list[tuple[str, Any]]:
    """Entities and times for which Feast gives other features than the newest row before that time has.

    The times lie between the midnights, at one, and a microsecond before one.
    """
    view = store.views["tasks"]
    features = [one.name for one in view.features]
    rows = store.warehouse.rows("SELECT * FROM features.tasks ORDER BY event_timestamp, task_id")
    offsets = (timedelta(0), timedelta(hours=13), DAY - timedelta(microseconds=1))
    questions = [(row["task_id"], row["event_timestamp"] + offset) for row in rows for offset in offsets]
    known = {(row["task_id"], row["event_timestamp"]): row for row in rows}
    found = calls.historical(store.config, repository, [f"tasks:{name}" for name in features], "task_id", questions)
    assert found.num_rows == len(questions) > 100
    wrong = []
    for row in found.to_pylist():
        asked = row["event_timestamp"].astimezone(UTC)
        expected = known[row["task_id"], asked.replace(hour=0, minute=0, second=0, microsecond=0)]
        if {name: row[name] for name in features} != pytest.approx({name: expected[name] for name in features}):
            wrong.append((row["task_id"], asked))
    return wrong


def test_historical_features_are_those_known_at_their_time(store: OnlineStore, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    write_repository(repository, store.views.values())
    assert leaks(store, repository) == []


def test_a_join_that_sees_the_future_is_found(store: OnlineStore, tmp_path: Path) -> None:
    """The same comparison fails when rows claim to be known a day before they were."""
    repository = tmp_path / "repository"
    write_repository(repository, store.views.values())
    file = repository / "definitions.py"
    text, early = file.read_text(), "\"event_timestamp\" - interval '1 d' AS event_timestamp"
    broken = text.replace('"event_timestamp", "complexity_score"', f'{early}, "complexity_score"').replace(
        'query=\'SELECT "task_id"', "query='''SELECT \"task_id\""
    )
    broken = broken.replace('FROM "features"."tasks"\'', 'FROM "features"."tasks"\'\'\'')
    assert broken != text
    file.write_text(broken)
    assert leaks(store, repository) != []


def test_roles_reach_only_what_they_need(store: OnlineStore) -> None:
    store.materialize()
    platform = store.warehouse.platform
    reader = store.config.store.model_copy(
        update={"user": "feast_reader", "password": platform.warehouse_config("reader").password}
    )
    secret = type(reader.password)(platform.credentials.warehouse_feast_reader_password)
    with connect(reader.model_copy(update={"password": secret})) as connection:
        assert connection.execute("SELECT count(*) > 0 FROM online.filegate_tasks").fetchone() == (True,)
        for refused in ("SELECT * FROM public.projects", "DELETE FROM online.filegate_tasks"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(refused.encode())
    with connect(store.config.warehouse) as connection:
        for refused in ("SELECT * FROM raw.tasks", "SELECT * FROM ops.file", "DELETE FROM features.tasks"):
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable)):
                connection.execute(refused.encode())
    text = "".join(path.read_text() for path in environment.repository().iterdir() if path.is_file())
    assert platform.credentials.warehouse_feast_password not in text
