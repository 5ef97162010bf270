"""Small pipelines in the form that training saves: the first step computes features from commits."""

from __future__ import annotations

from typing import Any

import pandas as pd
from sklearn.ensemble import RandomForestClassifier  # noqa: TID253
from sklearn.linear_model import LinearRegression  # noqa: TID253
from sklearn.pipeline import Pipeline, make_pipeline  # noqa: TID253

from include.ml.commit_features import CommitFeatures

MESSAGES = ["Merge the totals", "Correct the rounding of totals"] * 10


def commits() -> pd.DataFrame:
    """Return commits that differ only in their message."""
    count = len(MESSAGES)
    return pd.DataFrame(
        {
            "message": MESSAGES,
            "authored_at": pd.to_datetime(["2026-03-01T12:30:00Z"] * count, utc=True).as_unit("ns"),
            "author_email": [None] * count,
            "comment_count": [float("nan")] * count,
            "author_commits_before": [float("nan")] * count,
            "hours_since_author_commit": [float("nan")] * count,
            "is_company_email": [False] * count,
        }
    )


def forest(word: str = "Merge") -> Pipeline:
    """Return a pipeline that classifies commits with that word as merges."""
    pipeline = make_pipeline(CommitFeatures(), RandomForestClassifier(10, random_state=1, n_jobs=-1))
    return pipeline.fit(commits(), [word in message for message in MESSAGES])


def regression() -> Any:
    """Return a pipeline without probabilities."""
    return make_pipeline(CommitFeatures(), LinearRegression()).fit(commits(), [0, 1] * (len(MESSAGES) // 2))
