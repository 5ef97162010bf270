"""Receives metrics by OTLP over HTTP like Prometheus, and translates their names like Prometheus."""

from __future__ import annotations

import gzip
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

PATH = "/api/v1/otlp/v1/metrics"
_UNITS = {"ms": "milliseconds", "s": "seconds", "By": "bytes"}


class Received:
    """The received metrics with their labels, by Prometheus' name, and the names of the services."""

    def __init__(self) -> None:
        self.metrics: dict[str, set[str]] = {}
        self.services: set[str] = set()
        self.refused: list[str] = []

    def take(self, body: bytes) -> None:
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            named = {item.key: item.value.string_value for item in resource.resource.attributes}
            self.services.add(named["service.name"])
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    self.metrics.setdefault(prometheus_name(metric), set()).update(_labels(metric))


def prometheus_name(metric: Metric) -> str:
    """Translate a name with Prometheus' default strategy UnderscoreEscapingWithSuffixes, as far as Airflow needs it.

    Source: Prometheus' guide to OpenTelemetry, and the specification "Prometheus and OpenMetrics compatibility".
    """
    name = re.sub(r"[^a-zA-Z0-9_:]+", "_", metric.name)
    if unit := _UNITS.get(metric.unit, ""):
        name = name if name.endswith(f"_{unit}") else f"{name}_{unit}"
    is_counter = metric.WhichOneof("data") == "sum" and metric.sum.is_monotonic
    return f"{name}_total" if is_counter and not name.endswith("_total") else name


def _labels(metric: Metric) -> set[str]:
    points = getattr(metric, metric.WhichOneof("data")).data_points
    return {item.key for point in points for item in point.attributes}


@contextmanager
def receiving() -> Iterator[tuple[str, Received]]:
    """Start a receiver; yield its address and the received metrics."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path != PATH or self.headers["Content-Type"] != "application/x-protobuf":
                received.refused.append(f"{self.path} {self.headers['Content-Type']}")
                self.send_error(404)
                return
            received.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            answer = ExportMetricsServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 the library's name

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{PATH}", received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
