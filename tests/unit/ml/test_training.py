"""Training and evaluation of the model, and its plots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sample_commits import sample_commits

from include.ml import training
from include.ml.commit_features import FEATURES, INPUTS
from include.ml.examples import with_text
from include.ml.plots import plots
from include.settings import TrainingSettings

if TYPE_CHECKING:
    from include.ml.training import Split, Trained

pytestmark = pytest.mark.unit

SETTINGS = TrainingSettings(trees=20, folds=3)


@pytest.fixture(scope="module")
def parts() -> Split:
    return training.split(with_text(sample_commits(600)), SETTINGS)


@pytest.fixture(scope="module")
def trained(parts: Split) -> Trained:
    return training.train(parts, SETTINGS)


def test_no_commit_is_in_both_sets(parts: Split) -> None:
    assert len(parts.training) + len(parts.test) == len(with_text(sample_commits(600)))
    assert set(parts.training["sha"]) & set(parts.test["sha"]) == set()


def test_the_model_beats_the_baseline(trained: Trained) -> None:
    assert trained.metrics["roc_auc"] > 0.8
    assert trained.metrics["cv_roc_auc_mean"] > 0.8
    assert trained.metrics["baseline_roc_auc"] == 0.5
    assert trained.metrics["baseline_f1"] == 0


def test_everything_is_measured(trained: Trained) -> None:
    names = set(training.METRICS)
    names |= {f"{reference}_{name}" for reference in ("baseline", "logistic") for name in training.METRICS}
    names |= {f"cv_{name}_{kind}" for kind in ("mean", "std") for name in training.METRICS}
    assert set(trained.metrics) == names
    assert all(0 <= value <= 1 for value in trained.metrics.values())


def test_the_same_seed_gives_the_same_model(parts: Split, trained: Trained) -> None:
    again = training.train(parts, SETTINGS).metrics
    # The library scores the folds with unrounded sums, whose last digits depend on the order of threads.
    assert again == pytest.approx(trained.metrics, rel=0, abs=2e-3)
    assert {name: again[name] for name in training.METRICS} == {
        name: trained.metrics[name] for name in training.METRICS
    }


def test_the_model_takes_the_inputs_alone(parts: Split, trained: Trained) -> None:
    predicted = trained.model.predict_proba(parts.test[list(INPUTS)])
    assert predicted.shape == (len(parts.test), 2)
    flipped = parts.test.assign(is_merge=~parts.test["is_merge"])
    assert training.probabilities(trained.model, flipped) == pytest.approx(predicted[:, 1])


def test_importances_name_every_feature_the_most_important_first(trained: Trained) -> None:
    found = training.importances(trained.model)
    assert set(found) == set(FEATURES)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert sum(found.values()) == pytest.approx(1)


def test_parameters_count_both_sets(parts: Split, trained: Trained) -> None:
    assert trained.parameters["training_rows"] == len(parts.training)
    assert trained.parameters["test_merges"] == int(parts.test["is_merge"].sum())


def test_plots_are_drawn_without_a_display(parts: Split, trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    drawn = plots(trained.model, parts.test)
    assert set(drawn) == {"confusion_matrix.png", "roc_curve.png", "feature_importance.png"}
    assert all(content.startswith(b"\x89PNG") and len(content) > 5000 for content in drawn.values())
