"""What a model is about: its names, its examples' columns, and how a pipeline for it begins.

What belongs here: what differs between the models that are trained, compared and promoted in the same way. What does
not: reading examples (`examples`, `delay_model`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from include.ml.model_file import MODEL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class Subject:
    """A question that a model answers with yes or no.

    Attributes:
        model: the registered model.
        experiment: of MLflow.
        examples: what the examples are, for messages.
        positives: what those are for which the answer is yes.
        kinds: an example for which it is no, and one for which it is yes, for plots.
        key: the column that identifies an example.
        label: the column with the answer.
        time: the column with the time of an example.
        inputs: the columns that the model gets.
        data_source: where the examples come from.
        transformer: makes the first step of the pipeline: from the inputs to numbers.
        modules: names of the modules whose code decides which model comes of the same data.
        parameters: of the training, for its run.
    """

    model: str
    experiment: str
    examples: str
    positives: str
    kinds: tuple[str, str]
    key: str
    label: str
    time: str
    inputs: tuple[str, ...]
    data_source: str
    transformer: Callable[[], Any]
    modules: tuple[str, ...]
    parameters: Mapping[str, str | int | float] = field(default_factory=dict)


def _commit_features() -> Any:
    from include.ml.commit_features import CommitFeatures

    return CommitFeatures()


COMMITS = Subject(
    model=MODEL,
    experiment="commit-analysis",
    examples="commits",
    positives="merges",
    kinds=("ordinary commit", "merge"),
    key="sha",
    label="is_merge",
    time="authored_at",
    # As `commit_features.INPUTS`, which imports pandas.
    inputs=(
        "message", "authored_at", "author_email", "comment_count", "author_commits_before",
        "hours_since_author_commit", "is_company_email",
    ),
    data_source="analytics.ml_features",
    transformer=_commit_features,
    modules=("include.ml.commit_features", "include.ml.training"),
)  # fmt: skip
