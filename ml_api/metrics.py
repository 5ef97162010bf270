"""The service's metrics, in a separate registry, and the middleware that counts requests."""

from __future__ import annotations

from collections import Counter as Tally
from time import perf_counter
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from ml_api.categories import CATEGORIES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_RESULTS = {True: "merge", False: "change"}
_NO_ROUTE = "other"  # one label for all unknown paths: a scanner must not create unlimited labels


class Metrics:
    """The service's metrics. One object for each application, so that tests do not share them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter("ml_api_requests", "Requests answered.", ("path", "status"), registry=self.registry)
        self._seconds = Histogram(
            "ml_api_request_seconds",
            "Seconds from a request's head to the end of the answer.",
            ("path",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._predictions = Counter(
            "ml_api_predictions", "Transactions categorised.", ("category",), registry=self.registry
        )
        for category in CATEGORIES:  # shown as 0 before the first one
            self._predictions.labels(category)
        self._commits = Counter("ml_api_commits", "Commits classified.", ("result",), registry=self.registry)
        for result in _RESULTS.values():
            self._commits.labels(result)
        self._classification = Histogram(
            "ml_api_classification_seconds",
            "Seconds to classify the commits of one request, with a loaded model.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._versions: dict[str, str] = {}
        self._model = Gauge(
            "ml_api_model_info", "The version in use, as a label.", ("model", "version"), registry=self.registry
        )
        self._failures = Counter(
            "ml_api_model_load_failures", "Checks for a model that failed.", registry=self.registry
        )

    def count_predictions(self, categories: Iterable[str]) -> None:
        """Count predictions by category."""
        for category, count in Tally(categories).items():
            self._predictions.labels(category).inc(count)

    def count_commits(self, merges: Iterable[bool], seconds: float) -> None:
        """Count the commits of one request by result, and observe its duration in seconds."""
        for is_merge, count in Tally(merges).items():
            self._commits.labels(_RESULTS[is_merge]).inc(count)
        self._classification.observe(seconds)

    def set_model_version(self, model: str, version: str) -> None:
        """Show this version of the model instead of the one before."""
        if (before := self._versions.get(model)) is not None:
            self._model.remove(model, before)
        self._versions[model] = version
        self._model.labels(model, version).set(1)

    def count_load_failure(self) -> None:
        """Count one failed check for a model."""
        self._failures.inc()

    def count_request(self, path: str, status: int, seconds: float) -> None:
        """Count one answered request, and observe its duration in seconds."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class CountRequests:
    """Counts every HTTP request by route and status; one that ends in an exception counts as 500."""

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: frozenset[str]) -> None:
        self._app, self._metrics, self._paths = app, metrics, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count it with the status of its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            self._metrics.count_request(self._path(scope), status, perf_counter() - begun)

    def _path(self, scope: Scope) -> str:
        """The route's path, with the names of its parameters; the router puts the route into the scope."""
        for path in (scope["path"], getattr(scope.get("route"), "path", None)):
            if path in self._paths:
                return str(path)
        return _NO_ROUTE
