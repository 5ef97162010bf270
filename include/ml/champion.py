"""From commits to a champion: train unless that was done, compare, move the alias if the new one is better.

What belongs here: the order of the steps, each safe to repeat, and the rule by which a model wins. What does not: how
a model is made (`training`) or kept (`tracking`).
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
from include.ml.tracking import MODEL, Report, Run, Tracking

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from include.settings import TrainingSettings, WarehouseConfig

log = logging.getLogger(__name__)

# A model wins by the first of these in which two differ, rounded so that noise of the last digits decides nothing.
RULE = ("roc_auc", "f1")
_DIGITS = 6
_EXAMPLE_ROWS = 5
# Settings that change the model or its test; the others may change without a new training.
_SETTINGS = ("test_share", "folds", "trees", "seed")


@dataclass(frozen=True)
class Training:
    """A training as it travels to the next step.

    Attributes:
        reused: the same data and settings had been trained on before; nothing was done.
        decided: and whether that model becomes the champion was decided, too, and there is a champion that can be used.
    """

    run_id: str
    rows: int
    reused: bool
    decided: bool


@dataclass(frozen=True)
class Promotion:
    """What was decided of a model.

    Attributes:
        champion_version: whose the alias is now; None when nobody's.
        moved: it is this model's since this decision.
        reason: a sentence with both models' numbers.
    """

    version: int
    champion_version: int | None
    moved: bool
    reason: str


def train_model(config: WarehouseConfig, settings: TrainingSettings) -> Training:
    """Train on what the warehouse holds, and write it down; or find that this was done.

    Raises:
        PermanentError: too few examples; the warehouse or MLflow refuses.
        RetryableError: one of them does not answer. What was begun is trained again.
    """
    every = examples.read(config)
    frame = examples.with_text(every)
    examples.require_enough(frame, settings)
    tracking, fingerprint = Tracking(settings), examples.fingerprint(frame)
    key = training_key(fingerprint, settings)
    found = tracking.finished(key)
    if found is not None and tracking.has_model(found):
        # What is registered decides, not what was decided once: the champion may have been deleted since.
        in_use = found.decision is not None and _usable_champion(tracking)[0] is not None
        return Training(found.run_id, len(frame), reused=True, decided=in_use)
    run = tracking.log(_report(frame, len(every) - len(frame), key, fingerprint, settings))
    log.info("Run %s: %s", run.run_id, ", ".join(f"{name} {run.metrics[name]:.3f}" for name in training.METRICS))
    return Training(run.run_id, len(frame), reused=False, decided=False)


def promote_model(run_id: str, config: WarehouseConfig, settings: TrainingSettings) -> Promotion:
    """Register a run's model, and make it the champion if it beats the baseline and the one there is.

    Both are scored now, on the commits of today that were held back from both. A repetition finds what it did, as long
    as there is a champion. A champion that is refused (`Tracking.load`) counts as none.

    Raises:
        PermanentError: MLflow or the warehouse refuses, or the champion cannot score.
        RetryableError: one of them does not answer.
    """
    tracking = Tracking(settings)
    run = tracking.run(run_id)
    version = tracking.register(run)
    champion, refusal = _usable_champion(tracking)
    if run.decision is not None and champion is not None:
        return Promotion(version, champion.version, run.decision["moved"], run.decision["reason"])
    baseline = {name: run.metrics[f"baseline_{name}"] for name in RULE}
    numbers: dict[str, float] = {}
    before = champion.version if champion else None
    if champion is None:
        moved, reason = decide(run.metrics, baseline)
        reason = f"{refusal} {reason}".lstrip()
    elif champion.version == version:  # a crash came between the alias and this note
        moved, reason, before = True, f"Version {version} had become the champion.", tracking.champion_before(version)
    elif (commits := _compared(config, run, tracking.run(champion.run_id)))[LABEL].nunique() < 2:
        moved = False
        reason = f"Too few commits were held back from it and from version {champion.version} to compare them."
    else:
        candidate = training.scores(tracking.load(version), commits)
        reigning = _scores_of_champion(champion.model, champion.version, commits)
        moved, reason = decide(candidate, baseline, reigning, champion.version)
        numbers = {f"candidate_{name}": candidate[name] for name in RULE}
        numbers |= {f"champion_{name}": reigning[name] for name in RULE} | {"compared_rows": len(commits)}
    if moved:
        tracking.crown(version, before)
    log.info("Version %d: %s", version, reason)
    tracking.note_decision(run, version, {"moved": moved, "reason": reason, "champion_before": before, **numbers})
    return Promotion(version, version if moved else before, moved, reason)


@dataclass(frozen=True)
class _Champion:
    """The registered version that has the alias, loaded."""

    version: int
    run_id: str
    model: Any


def _usable_champion(tracking: Tracking) -> tuple[_Champion | None, str]:
    """The champion; or None, and if there is one that is refused, the sentence that says why."""
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
    """Whether a model becomes the champion, and the sentence that says why. A tie changes nothing.

    Args:
        candidate: at least the metrics of `RULE`, like the others.
        baseline: has to be beaten in any case.
        champion: the one there is.
        champion_version: its number.
    """
    if _rank(candidate) <= _rank(baseline):
        return False, f"It does not beat the baseline: {_numbers(candidate)} against {_numbers(baseline)}."
    if champion is None:
        return True, f"It is the first that beats the baseline: {_numbers(candidate)} against {_numbers(baseline)}."
    better = _rank(candidate) > _rank(champion)
    verb = "beats" if better else "does not beat"
    return better, f"It {verb} version {champion_version}: {_numbers(candidate)} against {_numbers(champion)}."


def training_key(fingerprint: str, settings: TrainingSettings) -> str:
    """The same for two trainings that would give the same model: data, settings and the code of features and model."""
    from include.ml import commit_features

    parts = [fingerprint, *(f"{name}={getattr(settings, name)}" for name in _SETTINGS)]
    parts += [Path(module.__file__ or "").read_text() for module in (commit_features, training)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _report(frame: pd.DataFrame, without_text: int, key: str, fingerprint: str, settings: TrainingSettings) -> Report:
    from include.ml.commit_features import INPUTS
    from include.ml.pictures import pictures

    parts = training.split(frame, settings)
    trained = training.train(parts, settings)
    example = parts.training[list(INPUTS)].head(_EXAMPLE_ROWS).reset_index(drop=True)
    moments = frame["authored_at"]
    return Report(
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
            "data_from": moments.min().isoformat(),
            "data_to": moments.max().isoformat(),
        },
        pictures=pictures(trained.model, parts.test),
    )


def _compared(config: WarehouseConfig, *runs: Run) -> pd.DataFrame:
    """Today's commits that were held back from both.

    With the same seed and share that is today's test; with others, what neither model was trained on.
    """
    frame = examples.with_text(examples.read(config))
    for run in runs:
        try:
            seed, share = int(run.parameters["seed"]), float(run.parameters["test_share"])
        except (KeyError, ValueError) as error:
            raise PermanentError(
                examples.STAGE,
                Code.TRACKING_REFUSED,
                f"Run {run.run_id} does not say by which seed and test_share commits were held back from its model. "
                f"If that is the champion, take the alias off it.",
            ) from error
        frame = frame[examples.held_back(frame["sha"], seed, share)]
    return frame


def _scores_of_champion(model: Any, version: int, commits: pd.DataFrame) -> dict[str, float]:
    """Of a model that may be old, or somebody else's: it can raise anything, and will again at each try."""
    try:
        return training.scores(model, commits)
    except Exception as error:
        raise PermanentError(
            examples.STAGE,
            Code.TRACKING_REFUSED,
            f"Version {version} of {MODEL}, the champion, cannot score today's commits; take the alias off it.",
            detail=f"{type(error).__name__}: {error}"[:500],
        ) from error


def _rank(metrics: Mapping[str, float]) -> tuple[float, ...]:
    return tuple(round(metrics[name], _DIGITS) for name in RULE)


def _numbers(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {metrics[name]:.4f}" for name in RULE)
