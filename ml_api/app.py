"""The application: its routes put together, and those that operators ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI, Response
from fastapi.security import HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.routing import Route

from ml_api.access import RequireToken
from ml_api.categories import CATEGORIES
from ml_api.champion import ChampionKeeper
from ml_api.commits import commit_routes
from ml_api.metrics import CountRequests, Metrics
from ml_api.models import Health  # noqa: TC001 - FastAPI reads the annotation
from ml_api.predictions import prediction_routes
from ml_api.registry import MlflowRegistry
from ml_api.settings import MlApiSettings

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION = "1.2.0"

_DESCRIPTION = (
    "Says into which spending category a transaction belongs, which depends on its id alone; and whether a commit is a"
    " merge, by the model that MLflow calls the champion."
)


def create_app(settings: MlApiSettings | None = None, *, loaded: Callable[[], None] = lambda: None) -> FastAPI:
    """A new application with counters and a model of its own.

    Args:
        settings: those of the environment if not given.
        loaded: called whenever a model has been loaded.
    """
    settings = settings or MlApiSettings()
    metrics = Metrics()
    keeper = ChampionKeeper(
        _registry(settings),
        refresh=settings.model_refresh,
        patience=settings.model_load_seconds,
        metrics=metrics,
        loaded=loaded,
    )
    app = FastAPI(title="ML service", version=VERSION, description=_DESCRIPTION)
    # For the documentation alone: `RequireToken` asks for the token.
    token = [Depends(HTTPBearer(auto_error=False))]
    app.include_router(prediction_routes(metrics), dependencies=token)
    app.include_router(commit_routes(keeper, metrics), dependencies=token)

    @app.get("/health", tags=["operations"], summary="Whether the service works")
    async def health() -> Health:
        """Always `ok`: transactions need nothing but this service, and a start anew would not bring a model.

        Commits need one: `commit_model` has the version that serves them, or why there is none.
        """
        return {"status": "ok", "categories": CATEGORIES, "commit_model": keeper.health()}

    @app.get("/metrics", tags=["operations"], summary="Counters in Prometheus' text format", response_class=Response)
    async def read_metrics() -> Response:
        """Requests by path and status, their duration, predictions by category, commits by result, and the model."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    app.add_middleware(RequireToken, token=settings.token.get_secret_value())
    paths = frozenset(route.path for route in app.routes if isinstance(route, Route))
    app.add_middleware(CountRequests, metrics=metrics, paths=paths)
    return app


def _registry(settings: MlApiSettings) -> MlflowRegistry | None:
    if not settings.mlflow_tracking_uri:
        return None
    return MlflowRegistry(settings.mlflow_tracking_uri, settings.model_signing_key.get_secret_value())
