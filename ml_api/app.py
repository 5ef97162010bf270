"""The application: prediction routes, health and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI, Response
from fastapi.security import HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.routing import Route

from ml_api.access import RequireToken
from ml_api.categories import CATEGORIES
from ml_api.champion import COMMIT_MODEL, Champion, ChampionKeeper
from ml_api.commits import commit_routes
from ml_api.delays import DELAY_MODEL, DelayChampion, DelayKeeper, delay_routes
from ml_api.features import feature_routes
from ml_api.metrics import CountRequests, Metrics
from ml_api.models import Health  # noqa: TC001 - FastAPI reads the annotation
from ml_api.online_store import OnlineStore
from ml_api.predictions import prediction_routes
from ml_api.registry import MlflowRegistry
from ml_api.settings import MlApiSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_api.champion import Loaded_co, ServedModel

VERSION = "1.2.0"

_DESCRIPTION = (
    "Predicts the spending category of a transaction, which depends on its id alone, and whether a commit is a merge,"
    " by the model with the alias champion in MLflow. Serves the features of the online"
    " store, and says whether a task will miss its deadline."
)


def create_app(settings: MlApiSettings | None = None, *, loaded: Callable[[], None] = lambda: None) -> FastAPI:
    """Create an application with its own counters and model.

    Args:
        settings: by default those of the environment.
        loaded: called after each load of a model.
    """
    settings = settings or MlApiSettings()
    metrics = Metrics()
    options: dict[str, Any] = {
        "refresh": settings.model_refresh, "load_timeout": settings.model_load_seconds, "metrics": metrics,
        "loaded": loaded,
    }  # fmt: skip
    keeper = ChampionKeeper(_registry(settings, Champion), **options)
    delays = DelayKeeper(_registry(settings, DelayChampion, DELAY_MODEL), **options)
    store = OnlineStore(settings.online_store.get_secret_value())
    app = FastAPI(title="ML service", version=VERSION, description=_DESCRIPTION)
    # For the documentation only: `RequireToken` checks the token.
    token = [Depends(HTTPBearer(auto_error=False))]
    app.include_router(prediction_routes(metrics), dependencies=token)
    app.include_router(commit_routes(keeper, metrics), dependencies=token)
    app.include_router(feature_routes(store), dependencies=token)
    app.include_router(delay_routes(store, delays), dependencies=token)

    @app.get("/health", tags=["operations"], summary="Whether the service works")
    async def health() -> Health:
        """Always `ok`: transactions need no model, and a restart would not load one.

        Commits and tasks need a model: `commit_model` and `delay_model` have the version in use, or the reason why
        there is none.
        """
        return {
            "status": "ok", "categories": CATEGORIES, "commit_model": keeper.health(), "delay_model": delays.health(),
        }  # fmt: skip

    @app.get("/metrics", tags=["operations"], summary="Counters in Prometheus' text format", response_class=Response)
    async def read_metrics() -> Response:
        """Requests by path and status, their duration, predictions by category, commits by result, and the model."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    app.add_middleware(RequireToken, token=settings.token.get_secret_value())
    paths = frozenset(route.path for route in app.routes if isinstance(route, Route))
    app.add_middleware(CountRequests, metrics=metrics, paths=paths)
    return app


def _registry(
    settings: MlApiSettings, make: Callable[[str, Any], Loaded_co], model: ServedModel = COMMIT_MODEL
) -> MlflowRegistry[Loaded_co] | None:
    if not settings.mlflow_tracking_uri:
        return None
    return MlflowRegistry(settings.mlflow_tracking_uri, settings.model_signing_key.get_secret_value(), make, model)
