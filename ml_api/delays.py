"""The route that says whether a task will miss its deadline: online features, then the model `task_delay`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - FastAPI reads the annotation
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, HTTPException, Path
from typing_extensions import TypedDict

from include.ml import model_file
from ml_api.champion import ChampionKeeper, LoadedModel, ModelUnavailableError, ServedModel, UnfitModelError
from ml_api.features import read
from ml_api.models import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_api.online_store import OnlineStore, Value

_LOG = logging.getLogger(__name__)
_THRESHOLD = 0.5
_VIEW = "tasks"

DELAY_MODEL = ServedModel(model_file.DELAY_MODEL, "train_task_delay", "says which tasks will be late")

_REFUSALS: dict[int | str, dict[str, Any]] = {
    404: {"model": Refusal, "description": "The online store has no features of the task: it is not open, or unknown"},
    500: {"model": Refusal, "description": "The model fails at this task"},
    503: {"model": Refusal, "description": "No model is loaded, or the online store cannot be read; see `detail`"},
}


class Delay(TypedDict):
    """Whether a task will miss its deadline. `probability` is that of being late; `is_late` is true from 0.5 on.

    `event_timestamp` is the time of the features that the model was given.
    """

    task_id: str
    is_late: bool
    probability: float
    model_version: str
    event_timestamp: datetime


@dataclass(frozen=True)
class DelayChampion(LoadedModel):
    """A version of `task_delay`. It has the parameters of the features that it was trained with."""

    def late_probability(self, features: Mapping[str, Value]) -> float:
        """Return the probability that a task misses its deadline.

        Args:
            features: raw, as the online store has them.

        Raises:
            ValueError: a feature of the model is missing, or as `probabilities`.
        """
        import pandas as pd

        names = list(self.pipeline[0].names)
        if missing := [name for name in names if name not in features]:
            raise ValueError(f"the online store lacks the features {', '.join(missing)}")
        frame = pd.DataFrame([[features[name] for name in names]], columns=names, dtype="float64")
        return self.probabilities(frame)[0]

    def check(self) -> None:
        """Use the model on a task without any value.

        Raises:
            UnfitModelError: the pipeline fails.
        """
        try:
            self.late_probability(dict.fromkeys(self.pipeline[0].names))
        except Exception as error:
            raise UnfitModelError(self.version, f"{type(error).__name__}: {error}", DELAY_MODEL) from error


class DelayKeeper(ChampionKeeper[DelayChampion]):
    """Loads the champion of `task_delay`."""

    model = DELAY_MODEL


def delay_routes(store: OnlineStore, keeper: DelayKeeper) -> APIRouter:
    """`GET /task-delay/{task_id}`.

    Args:
        store: has the features.
        keeper: gives the model.
    """
    router = APIRouter(prefix="/task-delay", tags=["tasks"], responses=_REFUSALS)

    @router.get("/{task_id:path}", summary="Say whether a task will miss its deadline")
    async def predict(task_id: Annotated[str, Path(min_length=1, max_length=1000)]) -> Delay:
        """Predict from the task's newest online features. A task without a deadline gets a prediction, too."""
        found = await read(store, _VIEW, task_id)
        try:
            champion = await keeper.champion()
        except ModelUnavailableError as error:
            headers = None if error.retry_after is None else {"Retry-After": str(error.retry_after)}
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, error.detail, headers) from error
        try:
            probability = await anyio.to_thread.run_sync(champion.late_probability, found.values)
        except Exception as error:  # the model's own code
            _LOG.exception("version %s of %s failed at a task", champion.version, DELAY_MODEL.name)
            raise HTTPException(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                f"version {champion.version} of {DELAY_MODEL.name} fails at this task: the log of this service says"
                " why",
            ) from error
        return {
            "task_id": task_id, "is_late": probability >= _THRESHOLD, "probability": probability,
            "model_version": champion.version, "event_timestamp": found.at,
        }  # fmt: skip

    return router
