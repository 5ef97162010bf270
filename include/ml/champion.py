"""Train a model, compare it with the champion, and move the alias if the new model is better.

What belongs here: the order of the steps, each idempotent, and the promotion rule. What does not: how a model is
trained (`training`) or stored (`tracking`).
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.errors import Code, PermanentError
from include.ml import examples, training
from include.ml.examples import LABEL
from include.ml.model_file import MODEL
from include.ml.tracking import RunContent, Tracking, TrainingRun

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from include.settings import TrainingSettings, WarehouseConfig

log = logging.getLogger(__name__)

# Models are compared by these metrics in order. They are rounded, so that floating-point noise does not decide.
RULE = ("roc_auc", "f1")
_DIGITS = 6
_EXAMPLE_ROWS = 5
# Settings that change the model or its test set; other settings can change without a new training.
_SETTINGS = ("test_share", "folds", "trees", "seed")


@dataclass(frozen=True)
class Training:
    """The result of a training, for the next step.

    Attributes:
        reused: an earlier run trained on the same data and settings, so nothing was trained.
        decided: the promotion of that run's model was decided, and there is a usable champion.
    """

    run_id: str
    rows: int
    reused: bool
    decided: bool


@dataclass(frozen=True)
class Promotion:
    """The decision about a model.

    Attributes:
        champion_version: version that has the alias now; None if no version has it.
        moved: the alias was moved to this model.
        reason: a sentence with the scores of both models.
    """

    version: int
    champion_version: int | None
    moved: bool
    reason: str


def train_model(config: WarehouseConfig, settings: TrainingSettings) -> Training:
    """Train on the commits of the warehouse and log the run, or return the run that trained on the same data.

    Raises:
        PermanentError: too few examples, or the warehouse or MLflow refuses.
        RetryableError: the warehouse or MLflow does not respond. A retry trains again.
    """
    commits = examples.read(config)
    frame = examples.with_text(commits)
    examples.require_enough(frame, settings)
    tracking, fingerprint = Tracking(settings), examples.fingerprint(frame)
    key = training_key(fingerprint, settings)
    found = tracking.finished(key)
    if found is not None and tracking.has_model(found):
        # The registry is checked, not only the earlier decision: the champion may have been deleted since.
        is_decided = found.decision is not None and _usable_champion(tracking)[0] is not None
        return Training(found.run_id, len(frame), reused=True, decided=is_decided)
    run = tracking.log(_content(frame, len(commits) - len(frame), key, fingerprint, settings))
    log.info("Run %s: %s", run.run_id, ", ".join(f"{name} {run.metrics[name]:.3f}" for name in training.METRICS))
    return Training(run.run_id, len(frame), reused=False, decided=False)


def promote_model(run_id: str, config: WarehouseConfig, settings: TrainingSettings) -> Promotion:
    """Register a run's model, and make it the champion if it beats the baseline and the current champion.

    Both models are scored on the current commits that were held back from both. A repeated call returns the earlier
    decision as long as there is a champion. A champion that is refused (`Tracking.load`) does not count.

    Raises:
        PermanentError: MLflow or the warehouse refuses, or the champion cannot score the commits.
        RetryableError: MLflow or the warehouse does not respond.
    """
    tracking = Tracking(settings)
    run = tracking.run(run_id)
    version = tracking.register(run)
    champion, refusal = _usable_champion(tracking)
    if run.decision is not None and champion is not None:
        return Promotion(version, champion.version, run.decision["moved"], run.decision["reason"])
    baseline = {name: run.metrics[f"baseline_{name}"] for name in RULE}
    comparison: dict[str, float] = {}
    before = champion.version if champion else None
    if champion is None:
        moved, reason = decide(run.metrics, baseline)
        reason = f"{refusal} {reason}".lstrip()
    elif champion.version == version:  # an earlier attempt moved the alias and crashed before it stored the decision
        moved, reason, before = True, f"Version {version} had become the champion.", tracking.champion_before(version)
    elif (commits := _compared(config, run, tracking.run(champion.run_id)))[LABEL].nunique() < 2:
        moved = False
        reason = f"Too few commits were held back from both it and version {champion.version} to compare them."
    else:
        candidate = training.scores(tracking.load(version), commits)
        current = _scores_of_champion(champion.model, champion.version, commits)
        moved, reason = decide(candidate, baseline, current, champion.version)
        comparison = {f"candidate_{name}": candidate[name] for name in RULE}
        comparison |= {f"champion_{name}": current[name] for name in RULE} | {"compared_rows": len(commits)}
    if moved:
        tracking.promote(version, before)
    log.info("Version %d: %s", version, reason)
    tracking.store_decision(run, version, {"moved": moved, "reason": reason, "champion_before": before, **comparison})
    return Promotion(version, version if moved else before, moved, reason)


@dataclass(frozen=True)
class _Champion:
    """The registered version that has the alias, loaded."""

    version: int
    run_id: str
    model: Any


def _usable_champion(tracking: Tracking) -> tuple[_Champion | None, str]:
    """Return the champion, or None; and a sentence with the reason if there is a champion that is refused."""
    found = tracking.champion()
    if found is None:
        return None, ""
    version, run_id = found
    try:
        return _Champion(version, run_id, tracking.load(version)), ""
    except PermanentError as error:
        if error.code is not Code.MODEL_REFUSED:
            raise
        return None, f"{error.message} It does not count as the champion."


def decide(
    candidate: Mapping[str, float],
    baseline: Mapping[str, float],
    champion: Mapping[str, float] | None = None,
    champion_version: int | None = None,
) -> tuple[bool, str]:
    """Decide whether a model becomes the champion, and return the reason as a sentence. In a tie the champion is kept.

    Args:
        candidate: metrics of the model; at least those of `RULE`, as for the others.
        baseline: metrics of the baseline, which must always be beaten.
        champion: metrics of the current champion, if there is one.
        champion_version: its version number.
    """
    if _rank(candidate) <= _rank(baseline):
        return False, f"It does not beat the baseline: {_numbers(candidate)} against {_numbers(baseline)}."
    if champion is None:
        return True, f"It is the first to beat the baseline: {_numbers(candidate)} against {_numbers(baseline)}."
    better = _rank(candidate) > _rank(champion)
    verb = "beats" if better else "does not beat"
    return better, f"It {verb} version {champion_version}: {_numbers(candidate)} against {_numbers(champion)}."


def training_key(fingerprint: str, settings: TrainingSettings) -> str:
    """Hash data, settings and the code of features and model: equal keys mean that trainings give the same model."""
    from include.ml import commit_features

    parts = [fingerprint, *(f"{name}={getattr(settings, name)}" for name in _SETTINGS)]
    parts += [Path(module.__file__ or "").read_text() for module in (commit_features, training)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _content(
    frame: pd.DataFrame, without_text: int, key: str, fingerprint: str, settings: TrainingSettings
) -> RunContent:
    from include.ml.commit_features import INPUTS
    from include.ml.plots import plots

    parts = training.split(frame, settings)
    trained = training.train(parts, settings)
    example = parts.training[list(INPUTS)].head(_EXAMPLE_ROWS).reset_index(drop=True)
    times = frame["authored_at"]
    return RunContent(
        key=key,
        name=f"{len(frame)} commits, {settings.trees} trees",
        model=trained.model,
        example=example.assign(authored_at=example["authored_at"].dt.tz_localize(None)),
        parameters=trained.parameters | {"commits_without_text": without_text},
        metrics=trained.metrics,
        tags={
            "registered_model": MODEL,
            "data_source": "analytics.ml_features",
            "data_fingerprint": fingerprint,
            "data_rows": str(len(frame)),
            "data_from": times.min().isoformat(),
            "data_to": times.max().isoformat(),
        },
        plots=plots(trained.model, parts.test),
    )


def _compared(config: WarehouseConfig, *runs: TrainingRun) -> pd.DataFrame:
    """Return the current commits that were held back from the models of all these runs.

    If the runs have the same seed and share, that is the current test set.
    """
    frame = examples.with_text(examples.read(config))
    for run in runs:
        try:
            seed, share = int(run.parameters["seed"]), float(run.parameters["test_share"])
        except (KeyError, ValueError) as error:
            raise PermanentError(
                Code.TRACKING_REFUSED,
                f"Run {run.run_id} has no valid parameters seed and test_share, so the commits held back from its "
                f"model are unknown. If it is the champion, remove the alias.",
            ) from error
        frame = frame[examples.held_back(frame["sha"], seed, share)]
    return frame


def _scores_of_champion(model: Any, version: int, commits: pd.DataFrame) -> dict[str, float]:
    """Score the champion, which may be an old model: any error it raises would occur again in each retry."""
    try:
        return training.scores(model, commits)
    except Exception as error:
        raise PermanentError(
            Code.TRACKING_REFUSED,
            f"Version {version} of {MODEL}, the champion, cannot score the current commits; remove its alias.",
            detail=f"{type(error).__name__}: {error}"[:500],
        ) from error


def _rank(metrics: Mapping[str, float]) -> tuple[float, ...]:
    return tuple(round(metrics[name], _DIGITS) for name in RULE)


def _numbers(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {metrics[name]:.4f}" for name in RULE)
