"""The model `task_delay` from raw tasks to a prediction: real warehouse, Feast, bucket, MLflow and ML service."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from feast_world import TODAY, OnlineStore
from feature_warehouse import Warehouse
from own_platform import own_platform

from include.feature_store import environment
from include.features.tables import create_ready_view, fit
from include.ml.champion import promote, train
from include.ml.delay_model import DelayExamples, delay_examples, too_few
from include.ml.model_file import CHAMPION, DELAY_MODEL
from include.ml.tracking import Tracking
from include.settings import TrainingSettings
from include.stores.warehouse import connect
from local.services import mlflow, postgres
from local.supervisor.platform import MLFLOW, POSTGRES, S3
from ml_api.app import create_app
from ml_api.settings import MlApiSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.features.compiler import FeatureView
    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
CREATED = TODAY - 25 * DAY
SETTINGS = {"min_rows": 50, "trees": 20, "folds": 2}


def row(task: str, at: Any, due: Any, status: str = "todo", **values: Any) -> dict[str, Any]:
    basics = {"estimate_hours": 8, "priority": "medium", "skills": ["backend"], "depends_on": []}
    return {"task_id": task, "updated_at": at, "status": status, "due_at": due, **basics, **values}


def many_tasks() -> list[dict[str, Any]]:
    """Tasks of 25 days ago. Those with a large estimate are late, most of them are still open."""
    draw, rows = random.Random(7), []
    for number in range(240):
        task, late = f"task-{number:03}", number % 2 == 0
        due = TODAY - draw.randint(2, 18) * DAY + draw.randint(0, 20) * HOUR
        values = {
            "estimate_hours": draw.choice([20, 30, 40]) if late else draw.choice([1, 2, 4]),
            "priority": draw.choice(["low", "high", None]),
        }
        rows.append(row(task, CREATED + number * HOUR / 60, due, **values))
        if not late:
            rows.append(row(task, due - HOUR, due, "done", **values))
        elif number % 6 == 0:
            rows.append(row(task, due + HOUR, due, "done", **values))
    return rows


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    environment.make(print)
    with own_platform((POSTGRES, S3, MLFLOW)) as found:
        yield found


@pytest.fixture
def store(platform: Platform, views: dict[str, FeatureView]) -> Iterator[OnlineStore]:
    ingest, transform = platform.warehouse_config("ingest"), platform.warehouse_config("transform")
    with connect(ingest) as one, connect(transform) as other:
        warehouse = Warehouse(platform, one, other)
        warehouse.empty()
        found = OnlineStore(warehouse, views)
        tasks = views["tasks"]
        found.views = {"tasks": replace(tasks, file=tasks.file.model_copy(update={"history": 26}))}
        yield found


def examples_of(store: OnlineStore) -> DelayExamples:
    return delay_examples(
        store.warehouse.platform.warehouse_config("transform"), store.config, store.views["tasks"]
    )  # fmt: skip


def test_example_is_the_first_row_before_a_deadline_that_passed(store: OnlineStore) -> None:
    due, soon = TODAY - 3 * DAY, TODAY + 10 * DAY
    cases: dict[str, tuple[list[tuple[Any, Any, str]], tuple[Any, bool] | None]] = {
        "in-time": ([(0, due, "todo"), (2, due, "done")], (CREATED + DAY, False)),
        "open": ([(0, due, "todo")], (CREATED + DAY, True)),
        "done-at-the-deadline": ([(0, due, "todo"), (22, due, "done")], (CREATED + DAY, False)),
        "done-after-it": ([(0, due, "todo"), (22.01, due, "done")], (CREATED + DAY, True)),
        "reopened": ([(0, due, "todo"), (2, due, "done"), (3, due, "todo")], (CREATED + DAY, True)),
        "cancelled": ([(0, due, "todo"), (2, due, "cancelled")], (CREATED + DAY, True)),
        "not-yet-due": ([(0, soon, "todo")], None),
        "without-a-deadline": ([(0, None, "todo")], None),
        "deadline-set-later": ([(0, None, "todo"), (4.5, due, "todo")], (CREATED + 5 * DAY, True)),
        "deadline-moved-to-the-future": ([(0, due, "todo"), (4, soon, "todo")], (CREATED + DAY, True)),
        "known-after-its-deadline": ([(23, due, "todo")], None),
    }
    for name, (states, _) in cases.items():
        rows = [row(name, CREATED + days * DAY, until, status) for days, until, status in states]
        store.warehouse.insert("tasks", rows)
    store.build()
    frame = examples_of(store).labels()
    found = {one["task_id"]: (one["event_timestamp"], one["is_late"]) for one in frame.to_dict("records")}
    assert found == {name: expected for name, (_, expected) in cases.items() if expected is not None}
    assert "training needs 50" in str(too_few(frame, TrainingSettings(**SETTINGS)))


def test_prediction_comes_from_online_features_and_the_parameters_of_the_training(
    store: OnlineStore, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in mlflow.variables(platform.settings, platform.credentials).items():
        monkeypatch.setenv(name, value)
    settings = TrainingSettings(**SETTINGS)
    store.warehouse.insert("tasks", many_tasks())
    store.build()
    store.materialize()

    trained = train(examples_of(store), settings)
    assert (trained.rows, trained.reused) == (240, False)
    promoted = promote(trained.run_id, examples_of(store), settings)
    assert promoted.moved, promoted.reason
    tracking = Tracking(settings, examples_of(store).subject)
    run = tracking.run(trained.run_id)
    assert run.parameters["parameter_version"] == "1"
    assert run.metrics["roc_auc"] > 0.9
    assert tracking.champion() == (promoted.version, trained.run_id)
    again = train(examples_of(store), settings)
    assert (again.run_id, again.reused, again.decided) == (trained.run_id, True, True)

    # Raw features through the model's first step are those of features.tasks_ready, of the version at its training.
    pipeline = tracking.load(promoted.version)
    names = list(pipeline[0].names)
    raw = store.warehouse.rows("SELECT * FROM features.tasks ORDER BY event_timestamp, task_id")
    ready = store.warehouse.rows("SELECT * FROM features.tasks_ready ORDER BY event_timestamp, task_id")
    step = pipeline[0].transform(table(raw, names))
    assert np.allclose(step.to_numpy(), np.array([[one[name] for name in names] for one in ready], dtype=float))
    fit(store.warehouse.transform, store.views["tasks"], TODAY - 10 * DAY)
    create_ready_view(store.warehouse.transform, store.views["tasks"])
    assert examples_of(store).subject.parameters == {"parameter_version": 2}
    kept = tracking.load(promoted.version)[0]
    assert (kept.parameter_version, kept.bases) == (1, pipeline[0].bases)

    for name, value in mlflow.reader_variables(platform.settings, platform.credentials).items():
        monkeypatch.setenv(name, value)
    with service(platform) as client:
        offline = store.offline("tasks")
        assert len(offline) > 50
        for task, row_of_task in list(offline.items())[:20]:
            answer = client.get(f"/features/tasks/{task}").json()
            assert answer["features"] == pytest.approx({name: row_of_task[name] for name in answer["features"]})
            predicted = client.get(f"/task-delay/{task}").json()
            expected = pipeline.predict_proba(table([row_of_task], names))[0, 1]
            assert predicted["probability"] == pytest.approx(expected)
            assert predicted["is_late"] == (expected >= 0.5)
            assert predicted["model_version"] == str(promoted.version)
        assert client.get("/task-delay/unknown").status_code == 404
        assert client.get("/features/nothing/task-001").status_code == 404
        assert client.get("/health").json()["delay_model"] == {"version": str(promoted.version), "problem": None}
    with service(platform, token="wrong") as client:
        assert client.get("/task-delay/task-000").status_code == 401
        assert client.get("/features/tasks/task-000").status_code == 401
    assert (DELAY_MODEL, CHAMPION) == ("task_delay", "champion")


def table(rows: list[dict[str, Any]], names: list[str]) -> Any:
    import pandas as pd

    return pd.DataFrame([[row[name] for name in names] for row in rows], columns=names, dtype="float64")


def service(platform: Platform, token: str | None = None) -> TestClient:
    """The ML service. It reads MLflow with the login in the environment."""
    settings = MlApiSettings(
        token=platform.credentials.ml_api_token,
        online_store=postgres.online_store(platform.settings, platform.credentials),
    )
    sent = token or platform.credentials.ml_api_token
    return TestClient(create_app(settings), headers={"Authorization": f"Bearer {sent}"})
