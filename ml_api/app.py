"""The application: its routes put together, and those that operators ask."""

from __future__ import annotations

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.routing import Route

from ml_api.metrics import CountRequests, Metrics
from ml_api.models import HEALTHY, Health
from ml_api.predictions import prediction_routes

VERSION = "1.0.0"

_DESCRIPTION = "Says into which spending category a transaction belongs. The answer depends on its id alone."


def create_app() -> FastAPI:
    """A new application with counters of its own."""
    metrics = Metrics()
    app = FastAPI(title="ML service", version=VERSION, description=_DESCRIPTION)
    app.include_router(prediction_routes(metrics))

    @app.get("/health", tags=["operations"], summary="Whether the service works")
    async def health() -> Health:
        """Always `ok`: nothing stands behind this service that could be down."""
        return HEALTHY

    @app.get("/metrics", tags=["operations"], summary="Counters in Prometheus' text format", response_class=Response)
    async def read_metrics() -> Response:
        """Requests by path and status, their duration, and predictions by category."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    paths = frozenset(route.path for route in app.routes if isinstance(route, Route))
    app.add_middleware(CountRequests, metrics=metrics, paths=paths)
    return app
