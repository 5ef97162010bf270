"""Requests and answers of `/classify-commit`, with the examples of its documentation.

Limits are those of the data contract `commits`, so that every commit in the warehouse can be classified.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, with_config
from typing_extensions import TypedDict

if TYPE_CHECKING:
    from pydantic.config import JsonDict

MAX_COMMITS = 1000
MAX_MESSAGE = 500_000

_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2099, 12, 31, 23, 59, 59, tzinfo=UTC)

_MERGE: JsonDict = {
    "sha": "3f1c5a0e9b7d4c2a8e6f0b1d2c3a4f5e6d7c8b9a",
    "message": "Merge branch 'totals' into main",
    "authored_at": "2026-03-02T09:30:00+00:00",
    "author_email": "ada@example.com",
    "comment_count": 2,
    "author_commits_before": 41,
    "hours_since_author_commit": 3.5,
    "is_company_email": True,
}
_CHANGE: JsonDict = {
    "sha": "9b7d4c2a8e6f0b1d2c3a4f5e6d7c8b9a3f1c5a0e",
    "message": "Fix the rounding of totals",
    "authored_at": "2026-03-02T22:15:00+01:00",
}
_ANSWERS: list[JsonDict] = [
    {"sha": _MERGE["sha"], "is_merge": True, "probability": 0.91, "model_version": "3"},
    {"sha": _CHANGE["sha"], "is_merge": False, "probability": 0.08, "model_version": "3"},
]


class Commit(BaseModel):
    """The data of a commit that are known when it is written. Other fields are ignored."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="ignore", json_schema_extra={"examples": [_MERGE, _CHANGE]}
    )

    sha: Annotated[str, Field(pattern="^[0-9a-f]{40}$")] | None = Field(
        None, description="repeated in the answer, to identify it"
    )
    message: str = Field(max_length=MAX_MESSAGE, description="subject and body")
    authored_at: AwareDatetime = Field(ge=_FIRST, le=_LAST, description="ISO 8601 with an offset from UTC")
    author_email: Annotated[str, Field(max_length=320)] | None = None
    comment_count: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(None, description="null if not known")
    author_commits_before: int = Field(0, ge=0, le=1_000_000_000, description="in the same repository")
    hours_since_author_commit: Annotated[float, Field(ge=0, le=10_000_000)] | None = Field(
        None, description="since the author's commit before; null for the first"
    )
    is_company_email: bool = False


class CommitBatch(BaseModel):
    """Up to 1,000 commits; if one is not valid, the whole request is refused."""

    model_config = ConfigDict(
        strict=True, frozen=True, json_schema_extra={"examples": [{"commits": [_MERGE, _CHANGE]}]}
    )

    commits: Annotated[list[Commit], Field(min_length=1, max_length=MAX_COMMITS)]


@with_config(ConfigDict(json_schema_extra={"examples": [*_ANSWERS]}))
class Classification(TypedDict):
    """The classification of one commit. `probability` is that of a merge; `is_merge` is true from 0.5 on."""

    sha: str | None
    is_merge: bool
    probability: float
    model_version: str


@with_config(ConfigDict(json_schema_extra={"examples": [{"classifications": [*_ANSWERS]}]}))
class BatchClassifications(TypedDict):
    """One classification for each commit, in the order of the request, all by one version of the model."""

    classifications: list[Classification]
