"""From the table of features to the champion, with the real warehouse, bucket and MLflow server."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from sample_commits import sample_commits

from include.errors import Code, PermanentError
from include.ml.champion import Training, promote_model, train_model
from include.ml.examples import Examples, count, held_back, with_text
from include.ml.model_file import MODEL
from include.ml.tracking import EXPERIMENT, RunContent, Tracking
from local.services import bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlflow import MlflowClient

    from include.settings import TrainingSettings
    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

USABLE = with_text(sample_commits(600))
ROWS = len(USABLE)


def test_model_becomes_champion_only_if_it_is_better(
    platform: Platform, fill: Callable[[int], None], settings: TrainingSettings
) -> None:
    """One test, because each step depends on the one before: the first model, the same data again, a worse model."""
    warehouse = platform.warehouse_config("transform")

    fill(600)
    first = train_model(warehouse, settings)
    assert (first.rows, first.reused, first.decided) == (ROWS, False, False)
    assert count(warehouse) == Examples(ROWS, int(USABLE["is_merge"].sum()), 600 - ROWS)
    promoted = promote_model(first.run_id, warehouse, settings)
    assert (promoted.version, promoted.champion_version, promoted.moved) == (1, 1, True)
    assert "first to beat the baseline" in promoted.reason
    assert_written_down(first.run_id, settings, platform)

    # a retry of the promotion, and a run without new data
    assert promote_model(first.run_id, warehouse, settings) == promoted
    assert train_model(warehouse, settings) == Training(first.run_id, ROWS, reused=True, decided=True)

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
    shas = with_text(sample_commits(700))["sha"]
    assert decision["compared_rows"] == held_back(shas, settings.seed, settings.test_share).sum()


@pytest.fixture
def trained(
    platform: Platform, fill: Callable[[int], None], settings: TrainingSettings
) -> Iterator[Callable[[int], Training]]:
    """Return a function that trains on the same commits. No version has the alias before and afterwards."""
    fill(600)

    def train(trees: int) -> Training:
        return train_model(platform.warehouse_config("transform"), settings.model_copy(update={"trees": trees}))

    take_alias(settings)
    yield train
    take_alias(settings)


def take_alias(settings: TrainingSettings) -> None:
    if (champion := Tracking(settings).champion()) is not None:
        client(settings).delete_registered_model_alias(MODEL, "champion")
        assert Tracking(settings).champion() is None, champion


def client(settings: TrainingSettings) -> MlflowClient:
    import mlflow  # after Tracking has set its environment

    return mlflow.MlflowClient(settings.tracking_uri)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        pytest.param({"seed": 42, "test_share": 0.2}, "Version {} .* cannot score .* remove its alias", id="score"),
        pytest.param({}, "Run .* has no valid parameters seed .* remove the alias", id="not-ours"),
    ],
)
def test_a_champion_that_cannot_be_compared_is_named(
    platform: Platform,
    trained: Callable[[int], Training],
    settings: TrainingSettings,
    parameters: dict[str, float],
    words: str,
) -> None:
    """It loads, but requires an input column that does not exist."""
    from sklearn.linear_model import LogisticRegression

    candidate, tracking = trained(5), Tracking(settings)
    example = USABLE[["comment_count"]].head(4).rename(columns={"comment_count": "stars"}).reset_index(drop=True)
    model = LogisticRegression().fit(example, [0, 1, 0, 1])
    run = tracking.log(RunContent("of-old", "old", model, example, parameters, {"roc_auc": 1.0}, {}, {"a.png": b""}))
    version = tracking.register(run)
    tracking.promote(version, None)
    with pytest.raises(PermanentError, match=words.format(version)) as caught:
        promote_model(candidate.run_id, platform.warehouse_config("transform"), settings)
    assert caught.value.code is Code.TRACKING_REFUSED
    assert tracking.champion() == (version, run.run_id)
    assert tracking.run(candidate.run_id).decision is None


@pytest.mark.parametrize("manual", [False, True], ids=["by-the-dag", "manually"])
def test_crash_after_the_promotion_keeps_the_previous_champion_version(
    platform: Platform, trained: Callable[[int], Training], settings: TrainingSettings, manual: bool
) -> None:
    tracking, run = Tracking(settings), trained(7 + manual)
    version = tracking.register(tracking.run(run.run_id))
    if manual:
        client(settings).set_registered_model_alias(MODEL, "champion", str(version))
    else:
        tracking.promote(version, 1)
    decided = promote_model(run.run_id, platform.warehouse_config("transform"), settings)
    assert (decided.champion_version, decided.moved) == (version, True)
    decision = tracking.run(run.run_id).decision
    assert decision is not None
    assert decision["champion_before"] == (None if manual else 1)


def test_unfinished_runs_of_trainings_are_ended(trained: Callable[[int], Training], settings: TrainingSettings) -> None:
    """Also runs on older data; runs that a user started in the same experiment are not ended."""
    trained(5)
    mlflow, tracking = client(settings), Tracking(settings)
    experiment = mlflow.get_experiment_by_name(EXPERIMENT).experiment_id
    left = mlflow.create_run(experiment, tags={"training_key": "of-data-long-gone"}).info.run_id
    others = mlflow.create_run(experiment).info.run_id
    assert tracking.finished("of-other-data") is None
    assert [mlflow.get_run(run).info.status for run in (left, others)] == ["KILLED", "RUNNING"]


def assert_written_down(run_id: str, settings: TrainingSettings, platform: Platform) -> None:
    import mlflow  # after Tracking has set its environment

    server = client(settings)
    run = server.get_run(run_id)
    assert server.get_experiment(run.info.experiment_id).name == EXPERIMENT
    assert {"accuracy", "precision", "recall", "f1", "roc_auc", "cv_f1_mean", "cv_f1_std"} <= set(run.data.metrics)
    assert run.data.metrics["roc_auc"] > run.data.metrics["baseline_roc_auc"] == 0.5
    assert run.data.params["trees"] == "40"
    assert run.data.tags["data_rows"] == str(ROWS)
    assert run.data.params["commits_without_text"] == str(600 - ROWS) != "0"
    assert len(run.data.tags["data_fingerprint"]) == 64
    info = mlflow.models.get_model_info(f"models:/{MODEL}@champion")
    assert info.signature.inputs.input_names()[:2] == ["message", "authored_at"]
    assert info.saved_input_example_info is not None

    s3 = bucket.client(platform.s3_config)
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket="mlflow")["Contents"]]
    names = {key.rpartition("/")[2] for key in keys}
    assert {"confusion_matrix.png", "feature_importance.png", "roc_curve.png", "model.skops", "MLmodel"} <= names
    [picture] = [key for key in keys if key.endswith("confusion_matrix.png")]
    assert s3.get_object(Bucket="mlflow", Key=picture)["Body"].read(8) == b"\x89PNG\r\n\x1a\n"


DELETIONS = {
    "alias": lambda client, version: client.delete_registered_model_alias(MODEL, "champion"),
    "version": lambda client, version: client.delete_model_version(MODEL, str(version)),
    "model": lambda client, version: client.delete_registered_model(MODEL),
}


@pytest.mark.parametrize("deleted", DELETIONS)
def test_training_on_the_same_data_brings_a_deleted_champion_back(
    platform: Platform, trained: Callable[[int], Training], settings: TrainingSettings, deleted: str
) -> None:
    warehouse, trees = platform.warehouse_config("transform"), 11 + list(DELETIONS).index(deleted)
    first = trained(trees)
    before = promote_model(first.run_id, warehouse, settings)
    assert before.moved
    assert trained(trees).decided, "with a champion there is nothing new to train on"

    DELETIONS[deleted](client(settings), before.version)
    again = trained(trees)
    assert (again.run_id, again.reused, again.decided) == (first.run_id, True, False)
    back = promote_model(again.run_id, warehouse, settings)
    assert back.moved
    assert Tracking(settings).champion() == (back.version, first.run_id)
    # Only a deleted model starts again at version 1; the versions of the other tests were deleted with it.
    assert back.version == {"alias": before.version, "version": before.version + 1, "model": 1}[deleted]
    assert trained(trees).decided


def log_manually(settings: TrainingSettings, model: Any, serialization_format: str, **options: Any) -> int:
    """Register a version with MLflow's functions, as a user with the permission can."""
    import mlflow

    Tracking(settings)
    with mlflow.start_run(experiment_id=client(settings).get_experiment_by_name(EXPERIMENT).experiment_id):
        info = mlflow.sklearn.log_model(
            model, name="model", serialization_format=serialization_format, registered_model_name=MODEL,
            pip_requirements=["scikit-learn"], await_registration_for=0, **options,
        )  # fmt: skip
    return int(info.registered_model_version)


@pytest.mark.parametrize(
    ("serialization_format", "words"),
    [
        pytest.param("cloudpickle", "no skops|no signature", id="pickle"),
        pytest.param("skops", "no signature: it was not registered by this platform's training", id="not-signed"),
    ],
)
def test_a_champion_that_training_has_not_registered_is_replaced(
    platform: Platform, trained: Callable[[int], Training], settings: TrainingSettings, serialization_format: str,
    words: str,
) -> None:  # fmt: skip
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    candidate = trained(21 + (serialization_format == "skops"))
    version = log_manually(settings, model, serialization_format)
    client(settings).set_registered_model_alias(MODEL, "champion", str(version))
    with pytest.raises(PermanentError, match=words) as refused:
        Tracking(settings).load(version)
    assert refused.value.code is Code.MODEL_REFUSED
    decided = promote_model(candidate.run_id, platform.warehouse_config("transform"), settings)
    assert decided.moved
    assert f"Version {version} of {MODEL} is refused: it has no" in decided.reason


def test_a_signed_pickle_is_refused(trained: Callable[[int], Training], settings: TrainingSettings) -> None:
    """Also with a signature that was copied from a model of this platform."""
    from sklearn.linear_model import LogisticRegression

    ours = Tracking(settings).run(trained(5).run_id)
    version = log_manually(settings, LogisticRegression().fit([[0.0], [1.0]], [0, 1]), "cloudpickle")
    client(settings).set_model_version_tag(MODEL, str(version), "signature", ours.signature)
    with pytest.raises(PermanentError, match=r"it has no model\.skops but model\.pkl: only skops files are read"):
        Tracking(settings).load(version)


def test_models_of_a_rotated_key_are_accepted_and_of_an_older_one_trained_again(
    trained: Callable[[int], Training], settings: TrainingSettings
) -> None:
    first = trained(31)
    run, keys = Tracking(settings).run(first.run_id), settings.model_signing_key.get_secret_value()
    once = settings.model_copy(update={"model_signing_key": SecretStr(f"new,{keys}")})
    assert Tracking(once).has_model(run)
    twice = settings.model_copy(update={"model_signing_key": SecretStr("newest,new")})
    assert not Tracking(twice).has_model(run)
