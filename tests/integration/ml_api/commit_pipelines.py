"""Small pipelines of the form that training saves: the first step computes features from commits as they come.

Saved by value, as the real one: who loads them needs this module as little as the project.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin  # noqa: TID253 - a class of scikit-learn's
from sklearn.ensemble import RandomForestClassifier  # noqa: TID253
from sklearn.linear_model import LinearRegression  # noqa: TID253
from sklearn.pipeline import Pipeline, make_pipeline  # noqa: TID253

COLUMNS = {
    "message": "str",
    "authored_at": "datetime64[ns, UTC]",
    "author_email": "object",
    "comment_count": "float64",
    "author_commits_before": "float64",
    "hours_since_author_commit": "float64",
    "is_company_email": "bool",
}
MESSAGES = ["Merge the totals", "Merge main", "Mend the rounding", "Refuse empty files"] * 5


class Words(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Whether a commit's message has the word, or begins with it; insists on its columns. `boom` breaks it."""

    def __init__(self, word: str = "Merge") -> None:
        self.word = word

    def fit(self, frame: Any, labels: object = None) -> Words:
        return self

    def transform(self, frame: Any) -> Any:
        found = {name: str(kind) for name, kind in frame.dtypes.items()}
        if found != COLUMNS:
            raise TypeError(f"columns {found}")
        if frame["message"].str.contains("boom").any():
            raise ZeroDivisionError("boom")
        has = [self.word in message for message in frame["message"]]
        begins = [message.startswith(self.word) for message in frame["message"]]
        return np.column_stack([has, begins]).astype(float)


def forest(word: str = "Merge") -> Pipeline:
    """Takes commits with that word for merges."""
    pipeline = make_pipeline(Words(word), RandomForestClassifier(10, random_state=1, n_jobs=-1))
    pipeline[-1].fit([[word in message, message.startswith(word)] for message in MESSAGES],
                     [word in message for message in MESSAGES])  # fmt: skip
    return pipeline


def regression() -> Pipeline:
    """Has no probabilities."""
    pipeline = make_pipeline(Words(), LinearRegression())
    pipeline[-1].fit([[0, 0], [1, 1]], [0, 1])
    return pipeline
