"""How the model is made and judged: pipeline, cross-validation, yardsticks, metrics.

What belongs here: scikit-learn on a table of commits. What does not: where the table comes from (`examples`), what
becomes of the model (`tracking`, `champion`).
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

# Two forests of a worker each gain nothing on small data, and the platform has other work beside.
_JOBS = 2
_LEAST_IN_LEAF = 2
_DIGITS = 9


@dataclass(frozen=True)
class Split:
    """The commits to train on, and those held back."""

    training: pd.DataFrame
    test: pd.DataFrame


@dataclass(frozen=True)
class Trained:
    """A fitted pipeline and what is known of it.

    Attributes:
        model: from the columns of `INPUTS` to the probability of a merge.
        metrics: of the test under their own names; `cv_<name>_mean` and `_std` over the folds of the training part;
            `baseline_<name>` of the more frequent class for all, `logistic_<name>` of a linear model, both on the test.
        parameters: what it was made with.
    """

    model: Any
    metrics: dict[str, float]
    parameters: dict[str, str | int | float]


def split(frame: pd.DataFrame, settings: TrainingSettings) -> Split:
    """Part the commits as `held_back` says."""
    tested = held_back(frame["sha"], settings.seed, settings.test_share)
    return Split(frame[~tested], frame[tested])


def train(parts: Split, settings: TrainingSettings) -> Trained:
    """Fit the forest, and judge it by cross-validation, on the test, and beside two yardsticks."""
    from sklearn.dummy import DummyClassifier
    from sklearn.linear_model import LogisticRegression

    labels = parts.training[LABEL]
    model = pipeline(_forest(settings)).fit(parts.training, labels)
    metrics = scores(model, parts.test) | cross_validated(parts.training, settings)
    yardsticks = {
        "baseline": DummyClassifier(strategy="prior"),
        "logistic": LogisticRegression(class_weight="balanced", max_iter=1000, random_state=settings.seed),
    }
    for name, classifier in yardsticks.items():
        found = scores(pipeline(classifier).fit(parts.training, labels), parts.test)
        metrics |= {f"{name}_{metric}": value for metric, value in found.items()}
    return Trained(model, metrics, _parameters(parts, settings))


def pipeline(classifier: Any) -> Any:
    """Features, scaling and a classifier as one, so that who loads it computes nothing beside it."""
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    from include.ml.commit_features import CommitFeatures

    return Pipeline([("features", CommitFeatures()), ("scaling", StandardScaler()), ("classifier", classifier)])


def scores(model: Any, commits: pd.DataFrame) -> dict[str, float]:
    """How well a model tells the merges of these commits; `precision` is 0 where it finds none."""
    from sklearn import metrics as measure

    truth, chances = commits[LABEL].to_numpy(), probabilities(model, commits)
    guess = chances >= 0.5
    return {
        "accuracy": float(measure.accuracy_score(truth, guess)),
        "precision": float(measure.precision_score(truth, guess, zero_division=0)),
        "recall": float(measure.recall_score(truth, guess, zero_division=0)),
        "f1": float(measure.f1_score(truth, guess, zero_division=0)),
        "roc_auc": float(measure.roc_auc_score(truth, chances)),
    }


def probabilities(model: Any, commits: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Each commit's probability of being a merge. The model sees the inputs alone.

    Rounded: the forest's threads add up their trees in any order, and noise of the last digits must rank no commit.
    """
    from include.ml.commit_features import INPUTS

    chances: np.ndarray[tuple[int], np.dtype[np.float64]] = model.predict_proba(commits[list(INPUTS)])[:, 1]
    return chances.round(_DIGITS)


def cross_validated(commits: pd.DataFrame, settings: TrainingSettings) -> dict[str, float]:
    """Mean and standard deviation of each metric over stratified folds: `cv_<name>_mean`, `cv_<name>_std`."""
    from sklearn.model_selection import StratifiedKFold, cross_validate

    folds = StratifiedKFold(settings.folds, shuffle=True, random_state=settings.seed)
    found = cross_validate(pipeline(_forest(settings)), commits, commits[LABEL], cv=folds, scoring=list(METRICS))
    return {
        f"cv_{name}_{kind}": float(getattr(found[f"test_{name}"], kind)())
        for name in METRICS
        for kind in ("mean", "std")
    }


def importances(model: Any) -> dict[str, float]:
    """How much each feature does in the forest (mean decrease in impurity), the most important first."""
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
