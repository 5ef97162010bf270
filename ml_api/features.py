"""The route that serves features of the online store. Reading the store is in `ml_api.online_store`."""

from __future__ import annotations

import logging
from datetime import datetime  # noqa: TC003 - FastAPI reads the annotation
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, HTTPException, Path
from typing_extensions import TypedDict

from ml_api.models import Refusal
from ml_api.online_store import OnlineFeatures, OnlineStoreError, UnknownViewError

if TYPE_CHECKING:
    from ml_api.online_store import OnlineStore

_LOG = logging.getLogger(__name__)
_RETRY_SECONDS = "5"
_VIEW = Path(pattern=r"^[a-z][a-z0-9_]{0,49}$", description="such as users")
_ENTITY = Path(min_length=1, max_length=1000, description="its join key")

_REFUSALS: dict[int | str, dict[str, Any]] = {
    404: {"model": Refusal, "description": "The online store has no such view, or no features of the entity"},
    503: {"model": Refusal, "description": "The online store cannot be read; `detail` says what to do"},
}


class Features(TypedDict):
    """The newest features of an entity, raw as in `features.<view>`: known before `event_timestamp`."""

    view: str
    entity: str
    event_timestamp: datetime
    features: dict[str, float | int | str | None]


def feature_routes(store: OnlineStore) -> APIRouter:
    """`GET /features/{view}/{entity}`.

    Args:
        store: has the features.
    """
    router = APIRouter(prefix="/features", tags=["features"], responses=_REFUSALS)

    @router.get("/{view}/{entity:path}", summary="Read the newest features of an entity")
    async def read_features(view: Annotated[str, _VIEW], entity: Annotated[str, _ENTITY]) -> Features:
        """Return the values that the DAG `materialize_features` wrote last. Values older than two days do not count."""
        found = await read(store, view, entity)
        return {"view": view, "entity": entity, "event_timestamp": found.at, "features": found.values}

    return router


async def read(store: OnlineStore, view: str, entity: str) -> OnlineFeatures:
    """Read features, or raise the answer of the service.

    Raises:
        HTTPException: 404 or 503.
    """
    try:
        found = await store.features(view, entity)
    except UnknownViewError as error:
        raise HTTPException(HTTPStatus.NOT_FOUND, str(error)) from error
    except OnlineStoreError as error:
        _LOG.warning("%s (%s)", error, error.__cause__)
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, str(error), {"Retry-After": _RETRY_SECONDS}) from error
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"the online store has no features of {entity!r} in {view}")
    return found
