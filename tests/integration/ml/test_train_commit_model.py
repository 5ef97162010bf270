"""From the features' table to the champion, with the real warehouse, bucket and MLflow server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from include.ml.champion import Training, promote_model, train_model
from include.ml.tracking import EXPERIMENT, MODEL, Tracking
from local import bucket

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from include.settings import TrainingSettings
    from local.platform import Platform

pytestmark = pytest.mark.integration

PREDICT = """
import json, sys
import mlflow.sklearn
import pandas as pd
model = mlflow.sklearn.load_model("models:/commit-classifier@champion")
commits = pd.DataFrame({
    "message": ["Merge pull request #7 from ada/mend-totals\\n\\nMend the totals", None],
    "authored_at": pd.to_datetime(["2026-03-02T09:30:00Z", None], utc=True),
    "author_email": ["ada@harbour.example", None],
    "comment_count": [0.0, float("nan")],
    "author_commits_before": [12.0, 0.0],
    "hours_since_author_commit": [3.5, float("nan")],
    "is_company_email": [True, False],
})
known = [name for name in sys.modules if name.split(".")[0] == "include"]
print(json.dumps({"chances": model.predict_proba(commits)[:, 1].tolist(), "project": known}))
"""


def test_models_become_champion_only_by_being_better(
    platform: Platform, fill: Callable[[int], None], settings: TrainingSettings, tmp_path: Path
) -> None:
    """One story, since every step needs the one before: first, the same again, a worse one, and who loads it."""
    warehouse = platform.warehouse_config("transform")

    fill(600)
    first = train_model(warehouse, settings)
    assert (first.rows, first.reused, first.decided) == (600, False, False)
    crowned = promote_model(first.run_id, warehouse, settings)
    assert (crowned.version, crowned.champion_version, crowned.moved) == (1, 1, True)
    assert "first that beats the baseline" in crowned.reason
    assert_written_down(first.run_id, settings, platform)

    # a retry of the promotion, and a run without news
    assert promote_model(first.run_id, warehouse, settings) == crowned
    assert train_model(warehouse, settings) == Training(first.run_id, 600, reused=True, decided=True)

    # a crash after the registration, before the decision
    fill(700)
    worse = settings.model_copy(update={"trees": 1})
    second = train_model(warehouse, worse)
    assert second.run_id != first.run_id
    tracking = Tracking(settings)
    assert tracking.register(tracking.run(second.run_id)) == 2
    assert train_model(warehouse, worse) == replace(second, reused=True, decided=False)
    kept = promote_model(second.run_id, warehouse, worse)
    assert (kept.version, kept.champion_version, kept.moved) == (2, 1, False)
    assert "does not beat version 1" in kept.reason
    assert tracking.champion() == (1, first.run_id)
    decision = tracking.run(second.run_id).decision
    assert decision is not None
    assert decision["candidate_roc_auc"] < decision["champion_roc_auc"]

    assert_predicts_without_the_repository(settings, tmp_path)


def assert_written_down(run_id: str, settings: TrainingSettings, platform: Platform) -> None:
    import mlflow  # after Tracking has set its environment

    client = mlflow.MlflowClient(settings.tracking_uri)
    run = client.get_run(run_id)
    assert client.get_experiment(run.info.experiment_id).name == EXPERIMENT
    assert {"accuracy", "precision", "recall", "f1", "roc_auc", "cv_f1_mean", "cv_f1_std"} <= set(run.data.metrics)
    assert run.data.metrics["roc_auc"] > run.data.metrics["baseline_roc_auc"] == 0.5
    assert run.data.params["trees"] == "40"
    assert run.data.tags["data_rows"] == "600"
    assert len(run.data.tags["data_fingerprint"]) == 64
    info = mlflow.models.get_model_info(f"models:/{MODEL}@champion")
    assert info.signature.inputs.input_names()[:2] == ["message", "authored_at"]
    assert info.saved_input_example_info is not None

    s3 = bucket.client(platform.s3_config)
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket="mlflow")["Contents"]]
    names = {key.rpartition("/")[2] for key in keys}
    assert {"confusion_matrix.png", "feature_importance.png", "roc_curve.png", "model.pkl", "MLmodel"} <= names
    [picture] = [key for key in keys if key.endswith("confusion_matrix.png")]
    assert s3.get_object(Bucket="mlflow", Key=picture)["Body"].read(8) == b"\x89PNG\r\n\x1a\n"


def assert_predicts_without_the_repository(settings: TrainingSettings, folder: Path) -> None:
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment |= {"MLFLOW_TRACKING_URI": settings.tracking_uri, "MLFLOW_DISABLE_TELEMETRY": "true"}
    answer = subprocess.run(
        [sys.executable, "-c", PREDICT], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    assert found["project"] == []
    assert all(0 <= chance <= 1 for chance in found["chances"])
    assert found["chances"][0] > 0.5
