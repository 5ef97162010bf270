"""Train and evaluate the model: pipeline, cross-validation, reference models, metrics.

What belongs here: scikit-learn on a table of commits. What does not: reading the table (`examples`), storing and
promoting the model (`tracking`, `champion`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.ml.examples import LABEL, held_back

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from include.settings import TrainingSettings

METRICS = ("accuracy", "precision", "recall", "f1", "roc_auc")

# More jobs gain nothing on small data, and the platform needs the CPUs for other work.
_JOBS = 2
_LEAST_IN_LEAF = 2
_DIGITS = 9


@dataclass(frozen=True)
class Split:
    """The training set and the test set."""

    training: pd.DataFrame
    test: pd.DataFrame


@dataclass(frozen=True)
class Trained:
    """A fitted pipeline with its metrics and parameters.

    Attributes:
        model: maps the columns of `INPUTS` to the probability of a merge.
        metrics: on the test set under their own names; `cv_<name>_mean` and `_std` over the folds of the training set;
            `baseline_<name>` of always predicting the more frequent class, `logistic_<name>` of a linear model, both on
            the test set.
        parameters: settings and sizes of the training.
    """

    model: Any
    metrics: dict[str, float]
    parameters: dict[str, str | int | float]


def split(frame: pd.DataFrame, settings: TrainingSettings) -> Split:
    """Split the commits by `held_back`."""
    tested = held_back(frame["sha"], settings.seed, settings.test_share)
    return Split(frame[~tested], frame[tested])


def train(parts: Split, settings: TrainingSettings) -> Trained:
    """Fit the forest, and evaluate it by cross-validation, on the test set, and against two reference models."""
    from sklearn.dummy import DummyClassifier
    from sklearn.linear_model import LogisticRegression

    labels = parts.training[LABEL]
    model = pipeline(_forest(settings)).fit(parts.training, labels)
    metrics = scores(model, parts.test) | cross_validated(parts.training, settings)
    references = {
        "baseline": DummyClassifier(strategy="prior"),
        "logistic": LogisticRegression(class_weight="balanced", max_iter=1000, random_state=settings.seed),
    }
    for name, classifier in references.items():
        found = scores(pipeline(classifier).fit(parts.training, labels), parts.test)
        metrics |= {f"{name}_{metric}": value for metric, value in found.items()}
    return Trained(model, metrics, _parameters(parts, settings))


def pipeline(classifier: Any) -> Any:
    """Return a pipeline of features, scaling and a classifier, so that a loaded model needs no further code."""
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    from include.ml.commit_features import CommitFeatures

    return Pipeline([("features", CommitFeatures()), ("scaling", StandardScaler()), ("classifier", classifier)])


def scores(model: Any, commits: pd.DataFrame) -> dict[str, float]:
    """Return the metrics of a model on these commits; `precision` is 0 if it predicts no merge."""
    from sklearn import metrics

    truth, merge_probabilities = commits[LABEL].to_numpy(), probabilities(model, commits)
    predicted = merge_probabilities >= 0.5
    return {
        "accuracy": float(metrics.accuracy_score(truth, predicted)),
        "precision": float(metrics.precision_score(truth, predicted, zero_division=0)),
        "recall": float(metrics.recall_score(truth, predicted, zero_division=0)),
        "f1": float(metrics.f1_score(truth, predicted, zero_division=0)),
        "roc_auc": float(metrics.roc_auc_score(truth, merge_probabilities)),
    }


def probabilities(model: Any, commits: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the probability of each commit to be a merge, from the columns of `INPUTS` only.

    They are rounded: the forest's threads sum the trees in any order, and floating-point noise must not rank commits.
    """
    from include.ml.commit_features import INPUTS

    predicted: np.ndarray[tuple[int], np.dtype[np.float64]] = model.predict_proba(commits[list(INPUTS)])[:, 1]
    return predicted.round(_DIGITS)


def cross_validated(commits: pd.DataFrame, settings: TrainingSettings) -> dict[str, float]:
    """Return mean and standard deviation of each metric over stratified folds: `cv_<name>_mean`, `cv_<name>_std`."""
    from sklearn.model_selection import StratifiedKFold, cross_validate

    folds = StratifiedKFold(settings.folds, shuffle=True, random_state=settings.seed)
    found = cross_validate(pipeline(_forest(settings)), commits, commits[LABEL], cv=folds, scoring=list(METRICS))
    return {
        f"cv_{name}_{kind}": float(getattr(found[f"test_{name}"], kind)())
        for name in METRICS
        for kind in ("mean", "std")
    }


def importances(model: Any) -> dict[str, float]:
    """Return the importance of each feature in the forest (mean decrease in impurity), the highest first."""
    names = model[:-1].get_feature_names_out()
    pairs = zip(map(str, names), map(float, model[-1].feature_importances_), strict=True)
    return dict(sorted(pairs, key=lambda pair: -pair[1]))


def _forest(settings: TrainingSettings) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(
        n_estimators=settings.trees,
        min_samples_leaf=_LEAST_IN_LEAF,
        class_weight="balanced",
        random_state=settings.seed,
        n_jobs=_JOBS,
    )


def _parameters(parts: Split, settings: TrainingSettings) -> dict[str, str | int | float]:
    return {
        "classifier": "RandomForestClassifier",
        "trees": settings.trees,
        "min_samples_leaf": _LEAST_IN_LEAF,
        "class_weight": "balanced",
        "seed": settings.seed,
        "test_share": settings.test_share,
        "folds": settings.folds,
        "training_rows": len(parts.training),
        "training_merges": int(parts.training[LABEL].sum()),
        "test_rows": len(parts.test),
        "test_merges": int(parts.test[LABEL].sum()),
    }
