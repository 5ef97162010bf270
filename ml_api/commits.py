"""The routes that classify commits. The model is in `ml_api.champion`."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException

from include.ml.model_file import MODEL
from ml_api.champion import ModelUnavailableError
from ml_api.commit_models import (  # noqa: TC001 - FastAPI reads the annotations
    BatchClassifications,
    Classification,
    Commit,
    CommitBatch,
)
from ml_api.json_route import JsonRoute
from ml_api.models import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_api.champion import Champion, ChampionKeeper
    from ml_api.metrics import Metrics

_LOG = logging.getLogger(__name__)
_THRESHOLD = 0.5
_THREADS = 2  # the work is CPU-bound, so more threads are no faster

_REFUSALS: dict[int | str, dict[str, Any]] = {
    413: {"model": Refusal, "description": "The body is too large"},
    500: {"model": Refusal, "description": "The model fails at these commits"},
    503: {"model": Refusal, "description": "No model is loaded; `detail` says what to do, Retry-After when to retry"},
}


def commit_routes(keeper: ChampionKeeper[Champion], metrics: Metrics) -> APIRouter:
    """`POST /classify-commit` and `POST /classify-commit/batch`.

    Args:
        keeper: gives the model.
        metrics: counts the classified commits.
    """
    router = APIRouter(prefix="/classify-commit", route_class=JsonRoute, tags=["commits"], responses=_REFUSALS)
    pool = ThreadPoolExecutor(_THREADS, "classify")

    async def answers(commits: Sequence[Commit]) -> list[Classification]:
        champion = await _champion(keeper)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(pool, _classify, champion, commits, metrics)

    @router.post("", summary="Say whether a commit is a merge")
    async def classify(commit: Commit) -> Classification:
        """Classify by message, time and author. The number of parents is not used: it would give the answer."""
        return (await answers([commit]))[0]

    @router.post("/batch", summary="Say for each of up to 1,000 commits whether it is a merge")
    async def classify_batch(batch: CommitBatch) -> BatchClassifications:
        """Return one classification for each commit, in the order of the request."""
        return {"classifications": await answers(batch.commits)}

    return router


async def _champion(keeper: ChampionKeeper[Champion]) -> Champion:
    try:
        return await keeper.champion()
    except ModelUnavailableError as error:
        headers = None if error.retry_after is None else {"Retry-After": str(error.retry_after)}
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, error.detail, headers) from error


def _classify(champion: Champion, commits: Sequence[Commit], metrics: Metrics) -> list[Classification]:
    """Classify commits. Runs in a thread, because a thousand commits would block the event loop."""
    begun = perf_counter()
    try:
        probabilities = champion.merge_probabilities(commits)
    except Exception as error:  # the model's own code
        _LOG.exception("version %s of %s failed at %s commits", champion.version, MODEL, len(commits))
        raise HTTPException(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            f"version {champion.version} of the model fails at these commits: the log of this service says why, and"
            " another version may do better (alias champion in MLflow)",
        ) from error
    found: list[Classification] = [
        {
            "sha": commit.sha,
            "is_merge": probability >= _THRESHOLD,
            "probability": probability,
            "model_version": champion.version,
        }
        for commit, probability in zip(commits, probabilities, strict=True)
    ]
    metrics.count_commits([one["is_merge"] for one in found], perf_counter() - begun)
    return found
