"""Train a model, compare it with the champion, and move the alias if the new model is better.

What belongs here: the order of the steps, each idempotent, and the promotion rule. What does not: how a model is
trained (`training`) or stored (`tracking`).
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from include.errors import Code, PermanentError
from include.ml import examples, training
from include.ml.subject import COMMITS, Subject
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


class LabelledExamples(Protocol):
    """The examples of a model, and what the model is about."""

    @property
    def subject(self) -> Subject:
        """Its names and columns."""

    def read(self) -> tuple[pd.DataFrame, Mapping[str, int]]:
        """The current examples that can be used, and counts of others by name, for the run."""

    def require_enough(self, frame: pd.DataFrame, settings: TrainingSettings) -> None:
        """Raise a PermanentError if a model cannot be trained and tested on these examples."""


@dataclass(frozen=True)
class CommitExamples:
    """The commits of the warehouse.

    Attributes:
        config: the warehouse.
    """

    config: WarehouseConfig
    subject: Subject = COMMITS

    def read(self) -> tuple[pd.DataFrame, Mapping[str, int]]:
        """The commits with text written by a person, and the number of those without.

        Raises:
            PermanentError: the warehouse refuses.
            RetryableError: it does not respond.
        """
        commits = examples.read(self.config)
        frame = examples.with_text(commits)
        return frame, {"commits_without_text": len(commits) - len(frame)}

    def require_enough(self, frame: pd.DataFrame, settings: TrainingSettings) -> None:
        """Check the number of commits, of merges and of others. Raises a PermanentError."""
        examples.require_enough(frame, settings)


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
    """Train the commit model. Raises the errors of `train`."""
    return train(CommitExamples(config), settings)


def promote_model(run_id: str, config: WarehouseConfig, settings: TrainingSettings) -> Promotion:
    """Promote the commit model of a run. Raises the errors of `promote`."""
    return promote(run_id, CommitExamples(config), settings)


def train(source: LabelledExamples, settings: TrainingSettings) -> Training:
    """Train on the current examples and log the run, or return the run that trained on the same data.

    Raises:
        PermanentError: too few examples, or the warehouse or MLflow refuses.
        RetryableError: the warehouse or MLflow does not respond. A retry trains again.
    """
    frame, others = source.read()
    source.require_enough(frame, settings)
    subject = source.subject
    tracking, fingerprint = Tracking(settings, subject), examples.fingerprint(frame, subject.key)
    key = training_key(fingerprint, settings, subject)
    found = tracking.finished(key)
    if found is not None and tracking.has_model(found):
        # The registry is checked, not only the earlier decision: the champion may have been deleted since.
        is_decided = found.decision is not None and _usable_champion(tracking)[0] is not None
        return Training(found.run_id, len(frame), reused=True, decided=is_decided)
    run = tracking.log(_content(frame, others, (key, fingerprint), settings, subject))
    log.info("Run %s: %s", run.run_id, ", ".join(f"{name} {run.metrics[name]:.3f}" for name in training.METRICS))
    return Training(run.run_id, len(frame), reused=False, decided=False)


def promote(run_id: str, source: LabelledExamples, settings: TrainingSettings) -> Promotion:
    """Register a run's model, and make it the champion if it beats the baseline and the current champion.

    Both models are scored on the current examples that were held back from both. A repeated call returns the earlier
    decision as long as there is a champion. A champion that is refused (`Tracking.load`) does not count.

    Raises:
        PermanentError: MLflow or the warehouse refuses, or the champion cannot score the examples.
        RetryableError: MLflow or the warehouse does not respond.
    """
    subject = source.subject
    tracking = Tracking(settings, subject)
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
    elif (frame := _compared(source, run, tracking.run(champion.run_id)))[subject.label].nunique() < 2:
        moved = False
        reason = (
            f"Too few {subject.examples} were held back from both it and version {champion.version} to compare them."
        )
    else:
        candidate = training.scores(tracking.load(version), frame, subject)
        current = _scores_of_champion(champion, frame, subject)
        moved, reason = decide(candidate, baseline, current, champion.version)
        comparison = {f"candidate_{name}": candidate[name] for name in RULE}
        comparison |= {f"champion_{name}": current[name] for name in RULE} | {"compared_rows": len(frame)}
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


def training_key(fingerprint: str, settings: TrainingSettings, subject: Subject = COMMITS) -> str:
    """Hash data, settings and the code of features and model: equal keys mean that trainings give the same model."""
    parts = [fingerprint, *(f"{name}={getattr(settings, name)}" for name in _SETTINGS)]
    parts += [f"{name}={value}" for name, value in subject.parameters.items()]
    parts += [_code(name) for name in subject.modules]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _code(module: str) -> str:
    found = importlib.util.find_spec(module)
    return Path(found.origin or "").read_text() if found else ""


def _content(
    frame: pd.DataFrame, others: Mapping[str, int], keys: tuple[str, str], settings: TrainingSettings, subject: Subject
) -> RunContent:
    """Train, and return what the run holds.

    Args:
        frame: the examples.
        others: counts of other examples.
        keys: the key of the training, and the fingerprint of the examples.
        settings: of the training.
        subject: what the model is about.
    """
    from include.ml.plots import plots

    parts = training.split(frame, settings, subject)
    trained = training.train(parts, settings, subject)
    example = parts.training[list(subject.inputs)].head(_EXAMPLE_ROWS).reset_index(drop=True)
    zoned = {name: example[name].dt.tz_localize(None) for name in example.select_dtypes("datetimetz")}
    times = frame[subject.time]
    return RunContent(
        key=keys[0],
        name=f"{len(frame)} {subject.examples}, {settings.trees} trees",
        model=trained.model,
        example=example.assign(**zoned),
        parameters={**trained.parameters, **others},
        metrics=trained.metrics,
        tags={
            "registered_model": subject.model,
            "data_source": subject.data_source,
            "data_fingerprint": keys[1],
            "data_rows": str(len(frame)),
            "data_from": times.min().isoformat(),
            "data_to": times.max().isoformat(),
        },
        plots=plots(trained.model, parts.test, subject),
    )


def _compared(source: LabelledExamples, *runs: TrainingRun) -> pd.DataFrame:
    """Return the current examples that were held back from the models of all these runs.

    If the runs have the same seed and share, that is the current test set.
    """
    frame, _ = source.read()
    for run in runs:
        try:
            seed, share = int(run.parameters["seed"]), float(run.parameters["test_share"])
        except (KeyError, ValueError) as error:
            raise PermanentError(
                Code.TRACKING_REFUSED,
                f"Run {run.run_id} has no valid parameters seed and test_share, so the {source.subject.examples} held "
                "back from its model are unknown. If it is the champion, remove the alias.",
            ) from error
        frame = frame[examples.held_back(frame[source.subject.key], seed, share)]
    return frame


def _scores_of_champion(champion: _Champion, frame: pd.DataFrame, subject: Subject) -> dict[str, float]:
    """Score the champion, which may be an old model: any error it raises would occur again in each retry."""
    try:
        return training.scores(champion.model, frame, subject)
    except Exception as error:
        raise PermanentError(
            Code.TRACKING_REFUSED,
            f"Version {champion.version} of {subject.model}, the champion, cannot score the current "
            f"{subject.examples}; remove its alias.",
            detail=f"{type(error).__name__}: {error}"[:500],
        ) from error


def _rank(metrics: Mapping[str, float]) -> tuple[float, ...]:
    return tuple(round(metrics[name], _DIGITS) for name in RULE)


def _numbers(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {metrics[name]:.4f}" for name in RULE)
