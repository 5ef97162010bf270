"""Sample commits: the history of the stand-in for GitHub, in the columns of analytics.ml_features."""

from __future__ import annotations

from functools import lru_cache

import pandas as pd

from local.services.stand_ins.github_history import read


@lru_cache(maxsize=1)
def _all() -> pd.DataFrame:
    commits = [commit for history in read().values() for commit in history]
    frame = pd.DataFrame(
        {
            "sha": [commit.sha for commit in commits],
            "authored_at": pd.to_datetime([commit.authored_at for commit in commits], utc=True).as_unit("ns"),
            "message": pd.Series([commit.message for commit in commits], dtype="str"),
            "author_email": pd.Series([commit.email for commit in commits], dtype="object"),
            "comment_count": [float(commit.comments) for commit in commits],
            "parent_count": [len(commit.parents) for commit in commits],
        }
    ).sort_values(["authored_at", "sha"], ignore_index=True)
    by_author = frame.groupby("author_email")
    frame["author_commits_before"] = by_author.cumcount().astype(float)
    frame["hours_since_author_commit"] = by_author["authored_at"].diff().dt.total_seconds() / 3600
    frame["is_company_email"] = frame["author_email"].str.endswith("@harbour.example").astype(bool)
    frame["is_merge"] = frame.pop("parent_count") > 1
    return frame


def sample_commits(count: int) -> pd.DataFrame:
    """Return the oldest `count` commits, in the types of the model's inputs."""
    return _all().head(count).copy()
