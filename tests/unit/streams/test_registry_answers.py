"""Answers of a registry to unknown schema ids and GUIDs, and their meaning."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from include.errors import PermanentError
from include.streams.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

GUID = "00000000-0000-0000-0000-000000000001"


class NoSuchPath(BaseHTTPRequestHandler):
    """Answers 404 without a registry's error code, as registries do for unknown paths."""

    types: bytes | None = None

    def do_GET(self) -> None:
        is_known = self.path == "/schemas/types" and self.types is not None
        body = self.types if is_known else json.dumps({"error_code": 404, "message": "HTTP 404 Not Found"}).encode()
        self.send_response(200 if is_known else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    handler = type("Handler", (NoSuchPath,), {"types": request.param})
    server = HTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


A_REGISTRY, NO_REGISTRY = b'["AVRO"]', None


@pytest.mark.parametrize("address", [A_REGISTRY], indirect=True, ids=["a registry"])
@pytest.mark.parametrize("schema_id", [2**31, 2**32 - 1])
def test_an_id_of_more_than_31_bits_is_no_schema(address: str, schema_id: int) -> None:
    assert Registry(address).schema_of(schema_id) is None


@pytest.mark.parametrize("address", [A_REGISTRY], indirect=True, ids=["a registry"])
def test_a_guid_is_no_schema_if_the_registry_does_not_support_guids(address: str) -> None:
    assert Registry(address).schema_by_guid(GUID) is None


@pytest.mark.parametrize("address", [NO_REGISTRY], indirect=True, ids=["no registry"])
def test_a_wrong_address_is_an_error_and_no_missing_schema(address: str) -> None:
    with pytest.raises(PermanentError, match="no schema registry"):
        Registry(address).schema_by_guid(GUID)
    with pytest.raises(PermanentError, match="no schema registry"):
        Registry(address).schema_of(1)


class OddValues(BaseHTTPRequestHandler):
    """Answers every request with 200 and the same document."""

    document: object = None

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps(self.document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(
    "document", [{"id": None}, {"id": "x"}, {"id": True}, {"id": 1.5}, {"is_compatible": "yes"}, {}, [], 7]
)
def test_an_answer_with_other_types_is_of_no_registry(document: object) -> None:
    server = HTTPServer(("127.0.0.1", 0), type("Handler", (OddValues,), {"document": document}))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        registry = Registry(f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(PermanentError, match="no schema registry"):
            registry.register("s", "{}")
        with pytest.raises(PermanentError, match="no schema registry"):
            registry.version("s", "{}")
        with pytest.raises(PermanentError, match="no schema registry"):
            registry.compatible("s", "{}")
    finally:
        server.shutdown()
        server.server_close()
