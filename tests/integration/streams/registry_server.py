"""A schema registry on loopback: Confluent's protocol with real compatibility checks, and failures on demand.

It replaces the registry of the Compose set-up, which no package index offers. It knows the levels NONE, BACKWARD,
FORWARD and FULL with their transitive forms; Avro is checked, other schema types are only stored.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.errors import AvroException
from avro.schema import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

LEVELS = {f"{level}{form}" for level in ("BACKWARD", "FORWARD", "FULL") for form in ("", "_TRANSITIVE")} | {"NONE"}


class Mode(StrEnum):
    """What the registry does with a request."""

    UP = "up"
    SLOW = "slow"  # answers after `delay_seconds`
    BROKEN = "broken"  # answers 500
    BUSY = "busy"  # answers 429, with a pause of one second
    HUNG_UP = "hung up"  # closes the connection without an answer
    NO_REGISTRY = "no registry"  # answers with a web page


class RefusedError(Exception):
    """An error answer, with the registry's codes."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code = int(str(code)[:3]), code


@dataclass
class RegistryServer:
    """The registry's state and the requests it received."""

    port: int = 0
    mode: Mode = Mode.UP
    delay_seconds: float = 0.0
    failures_left: int | None = None  # after so many failures the mode is UP again; None: never
    credentials: str | None = None
    level: str = "BACKWARD"
    levels: dict[str, str] = field(default_factory=dict)
    schemas: dict[int, dict[str, str]] = field(default_factory=dict)
    subjects: dict[str, list[int]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        """The registry's address."""
        return f"http://127.0.0.1:{self.port}"

    def put(self, text: str, kind: str = "AVRO", subject: str = "anything") -> int:
        """Store a schema without any check and return its id."""
        schema = {"schemaType": kind, "schema": text}
        known = next((number for number, other in self.schemas.items() if other == schema), None)
        number = known or len(self.schemas) + 1
        self.schemas[number] = schema
        if number not in (versions := self.subjects.setdefault(subject, [])):
            versions.append(number)
        return number

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> Any:
        """The answer to a request, or RefusedError."""
        for wanted, pattern, respond in ROUTES:
            if wanted == method and (match := re.fullmatch(pattern, path)):
                return respond(self, *(unquote(part) for part in match.groups()), query=query, body=body)
        raise RefusedError(40400, "HTTP 404 Not Found")

    def schema(self, number: str, **_: Any) -> Any:
        schema = self.schemas.get(int(number))
        if schema is None:
            raise RefusedError(40403, f"Schema {number} not found")
        return schema if schema["schemaType"] != "AVRO" else {"schema": schema["schema"]}

    def list_subjects(self, **_: Any) -> Any:
        return sorted(self.subjects)

    def list_versions(self, subject: str, **_: Any) -> Any:
        return list(range(1, len(self._versions(subject)) + 1))

    def version(self, subject: str, version: str, **_: Any) -> Any:
        versions = self._versions(subject)
        at = len(versions) if version == "latest" else int(version)
        if not 1 <= at <= len(versions):
            raise RefusedError(40402, f"Version {version} not found.")
        return {"subject": subject, "version": at, "id": versions[at - 1], **self.schemas[versions[at - 1]]}

    def look_up(self, subject: str, *, body: Any, **_: Any) -> Any:
        schema = _stored(body)
        for at, number in enumerate(self._versions(subject), start=1):
            if self.schemas[number] == schema:
                return {"subject": subject, "version": at, "id": number, **schema}
        raise RefusedError(40403, "Schema not found")

    def register(self, subject: str, *, body: Any, **_: Any) -> Any:
        schema = _stored(body)
        versions = self.subjects.get(subject, [])
        if not any(self.schemas[number] == schema for number in versions):
            level = self.levels.get(subject, self.level)
            earlier = versions if level.endswith("_TRANSITIVE") else versions[-1:]
            if reasons := self._reasons(schema, earlier, level):
                raise RefusedError(409, f"Schema being registered is incompatible with an earlier schema: {reasons}")
        return {"id": self.put(schema["schema"], schema["schemaType"], subject)}

    def test(self, subject: str, version: str, *, query: dict[str, list[str]], body: Any) -> Any:
        number = self.version(subject, version)["id"]
        reasons = self._reasons(_stored(body), [number], self.levels.get(subject, self.level))
        verdict: dict[str, Any] = {"is_compatible": not reasons}
        return verdict | ({"messages": reasons} if query.get("verbose") == ["true"] else {})

    def get_level(self, subject: str = "", **_: Any) -> Any:
        if subject and subject not in self.levels:
            raise RefusedError(40408, f"Subject '{subject}' does not have subject-level compatibility configured")
        return {"compatibilityLevel": self.levels.get(subject, self.level)}

    def set_level(self, subject: str = "", *, body: Any, **_: Any) -> Any:
        level = body.get("compatibility")
        if level not in LEVELS:
            raise RefusedError(42203, "Invalid compatibility level")
        if subject:
            self.levels[subject] = level
        else:
            self.level = level
        return {"compatibility": level}

    def _versions(self, subject: str) -> list[int]:
        if subject not in self.subjects:
            raise RefusedError(40401, f"Subject '{subject}' not found.")
        return self.subjects[subject]

    def _reasons(self, schema: dict[str, str], earlier: list[int], level: str) -> list[str]:
        """Why a schema cannot follow the earlier ones; empty if it can."""
        reasons = []
        for number in earlier if level != "NONE" and schema["schemaType"] == "AVRO" else []:
            new, old = _parsed(schema["schema"]), _parsed(self.schemas[number]["schema"])
            for wanted, reader, writer in (("BACKWARD", new, old), ("FORWARD", old, new)):
                if level.startswith((wanted, "FULL")):
                    result = ReaderWriterCompatibilityChecker().get_compatibility(reader, writer)
                    if result.compatibility is SchemaCompatibilityType.incompatible:
                        locations = ", ".join(sorted(result.locations - {"/"})) or "/"
                        kinds = ", ".join(sorted({kind.name for kind in result.incompatibilities}))
                        reasons.append(f"{wanted}: {kinds} at {locations}: {', '.join(sorted(result.messages))}")
        return reasons


ROUTES: list[tuple[str, str, Callable[..., Any]]] = [
    ("GET", r"/schemas/ids/(\d+)", RegistryServer.schema),
    ("GET", r"/subjects", RegistryServer.list_subjects),
    ("GET", r"/subjects/([^/]+)/versions", RegistryServer.list_versions),
    ("GET", r"/subjects/([^/]+)/versions/(latest|\d+)", RegistryServer.version),
    ("POST", r"/subjects/([^/]+)/versions", RegistryServer.register),
    ("POST", r"/subjects/([^/]+)", RegistryServer.look_up),
    ("POST", r"/compatibility/subjects/([^/]+)/versions/(latest|\d+)", RegistryServer.test),
    ("GET", r"/config", RegistryServer.get_level),
    ("GET", r"/config/([^/]+)", RegistryServer.get_level),
    ("PUT", r"/config", RegistryServer.set_level),
    ("PUT", r"/config/([^/]+)", RegistryServer.set_level),
]


@contextmanager
def registry_server() -> Iterator[RegistryServer]:
    """A registry on a free port of loopback, stopped at the end."""
    state = RegistryServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    server.daemon_threads = True
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(state: RegistryServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def respond(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            mode = self.record_request()
            if mode is Mode.HUNG_UP:
                self.close_connection = True
                return
            if mode is Mode.SLOW:
                time.sleep(state.delay_seconds)
            if mode is Mode.BROKEN:
                self.send(500, {"error_code": 50001, "message": "Error in the backend data store"})
            elif mode is Mode.BUSY:
                self.send(429, {"error_code": 42900, "message": "Too many requests"}, {"Retry-After": "1"})
            elif mode is Mode.NO_REGISTRY:
                self.send(200, "<html>It works!</html>")
            elif not self.is_authorized():
                self.send(401, {"error_code": 401, "message": "Unauthorized"})
            else:
                self.send(*self.answer(body))

        def record_request(self) -> Mode:
            with state.lock:
                state.requests.append(f"{self.command} {self.path}")
                mode = state.mode
                if mode is not Mode.UP and state.failures_left is not None:
                    state.failures_left -= 1
                    if state.failures_left <= 0:
                        state.mode, state.failures_left = Mode.UP, None
            return mode

        def is_authorized(self) -> bool:
            if state.credentials is None:
                return True
            expected = "Basic " + base64.b64encode(state.credentials.encode()).decode()
            return self.headers.get("Authorization") == expected

        def answer(self, body: bytes) -> tuple[int, Any]:
            parts = urlsplit(self.path)
            try:
                with state.lock:
                    content = json.loads(body) if body else None
                    return 200, state.answer(self.command, parts.path, parse_qs(parts.query), content)
            except RefusedError as error:
                return error.status, {"error_code": error.code, "message": str(error)}

        def send(self, status: int, content: Any, headers: Mapping[str, str] = MappingProxyType({})) -> None:
            answer = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            kind = "text/html" if isinstance(content, str) else "application/vnd.schemaregistry.v1+json"
            try:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)
            except ConnectionError:
                self.close_connection = True  # the client has closed its connection

        do_GET = do_POST = do_PUT = respond  # noqa: N815 (names of the library)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            """No lines in the tests' output."""

    return Handler


def _stored(body: Any) -> dict[str, str]:
    kind, text = body.get("schemaType", "AVRO"), body.get("schema") or ""
    if kind == "AVRO":
        try:
            _parsed(text)
        except AvroException as error:
            raise RefusedError(42201, f"Invalid schema: {error}") from error
    return {"schemaType": kind, "schema": text}


def _parsed(text: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of logical types that the library does not know
        return parse(text)
