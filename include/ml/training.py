"""Train and evaluate the model: pipeline, cross-validation, reference models, metrics.

What belongs here: scikit-learn on a table of examples. What does not: reading the table (`examples`), storing and
promoting the model (`tracking`, `champion`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.ml.examples import held_back
from include.ml.subject import COMMITS, Subject

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
        model: maps the inputs of its subject to the probability of a yes.
        metrics: on the test set under their own names; `cv_<name>_mean` and `_std` over the folds of the training set;
            `baseline_<name>` of always predicting the more frequent class, `logistic_<name>` of a linear model, both on
            the test set.
        parameters: settings and sizes of the training.
    """

    model: Any
    metrics: dict[str, float]
    parameters: dict[str, str | int | float]


def split(frame: pd.DataFrame, settings: TrainingSettings, subject: Subject = COMMITS) -> Split:
    """Split the examples by `held_back`."""
    tested = held_back(frame[subject.key], settings.seed, settings.test_share)
    return Split(frame[~tested], frame[tested])


def train(parts: Split, settings: TrainingSettings, subject: Subject = COMMITS) -> Trained:
    """Fit the forest, and evaluate it by cross-validation, on the test set, and against two reference models."""
    from sklearn.dummy import DummyClassifier
    from sklearn.linear_model import LogisticRegression

    labels = parts.training[subject.label]
    model = pipeline(_forest(settings), subject).fit(parts.training, labels)
    metrics = scores(model, parts.test, subject) | cross_validated(parts.training, settings, subject)
    references = {
        "baseline": DummyClassifier(strategy="prior"),
        "logistic": LogisticRegression(class_weight="balanced", max_iter=1000, random_state=settings.seed),
    }
    for name, classifier in references.items():
        found = scores(pipeline(classifier, subject).fit(parts.training, labels), parts.test, subject)
        metrics |= {f"{name}_{metric}": value for metric, value in found.items()}
    return Trained(model, metrics, _parameters(parts, settings, subject))


def pipeline(classifier: Any, subject: Subject = COMMITS) -> Any:
    """Return a pipeline of features, scaling and a classifier, so that a loaded model needs no further code."""
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    return Pipeline([("features", subject.transformer()), ("scaling", StandardScaler()), ("classifier", classifier)])


def scores(model: Any, frame: pd.DataFrame, subject: Subject = COMMITS) -> dict[str, float]:
    """Return the metrics of a model on these examples; `precision` is 0 if it never predicts yes."""
    from sklearn import metrics

    truth, found = frame[subject.label].to_numpy(), probabilities(model, frame, subject)
    predicted = found >= 0.5
    return {
        "accuracy": float(metrics.accuracy_score(truth, predicted)),
        "precision": float(metrics.precision_score(truth, predicted, zero_division=0)),
        "recall": float(metrics.recall_score(truth, predicted, zero_division=0)),
        "f1": float(metrics.f1_score(truth, predicted, zero_division=0)),
        "roc_auc": float(metrics.roc_auc_score(truth, found)),
    }


def probabilities(
    model: Any, frame: pd.DataFrame, subject: Subject = COMMITS
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the probability of a yes for each example, from the subject's inputs only.

    They are rounded: the forest's threads sum the trees in any order, and floating-point noise must not rank examples.
    """
    predicted: np.ndarray[tuple[int], np.dtype[np.float64]] = model.predict_proba(frame[list(subject.inputs)])[:, 1]
    return predicted.round(_DIGITS)


def cross_validated(frame: pd.DataFrame, settings: TrainingSettings, subject: Subject = COMMITS) -> dict[str, float]:
    """Return mean and standard deviation of each metric over stratified folds: `cv_<name>_mean`, `cv_<name>_std`."""
    from sklearn.model_selection import StratifiedKFold, cross_validate

    folds = StratifiedKFold(settings.folds, shuffle=True, random_state=settings.seed)
    model = pipeline(_forest(settings), subject)
    found = cross_validate(model, frame, frame[subject.label], cv=folds, scoring=list(METRICS))
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


def _parameters(parts: Split, settings: TrainingSettings, subject: Subject) -> dict[str, str | int | float]:
    return {
        **subject.parameters,
        "classifier": "RandomForestClassifier",
        "trees": settings.trees,
        "min_samples_leaf": _LEAST_IN_LEAF,
        "class_weight": "balanced",
        "seed": settings.seed,
        "test_share": settings.test_share,
        "folds": settings.folds,
        "training_rows": len(parts.training),
        f"training_{subject.positives}": int(parts.training[subject.label].sum()),
        "test_rows": len(parts.test),
        f"test_{subject.positives}": int(parts.test[subject.label].sum()),
    }
