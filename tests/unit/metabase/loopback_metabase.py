"""A Metabase server on loopback that keeps state and answers like the real one; it drops unknown keys silently, too.

Every body is validated against the schema of Metabase's requests; violations are in `complaints`. Each of `faults` is
the answer to one matching request.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self
from urllib.parse import urlsplit

import jsonschema

Body = dict[str, Any]
TOKEN = "5a3f-setup-token"
MASK = "**MetabasePass**"
_CARD_KEYS = {
    "name", "description", "type", "display", "collection_id", "entity_id", "dataset_query", "parameters",
    "visualization_settings", "archived",
}  # fmt: skip
_DASHBOARD_KEYS = {
    "name", "description", "parameters", "collection_id", "width", "auto_apply_filters", "tabs", "dashcards",
    "archived",
}  # fmt: skip


@dataclass
class Fault:
    """The answer to the next request of this method and path. With `after`, the request is carried out before."""

    method: str
    path: str
    status: int
    after: bool = False
    body: Any = "trouble"


@dataclass
class Metabase:
    """The server. Use it in a `with`."""

    schema: Body
    initializing: int = 0
    has_user: bool = False
    password: str = "s3cret-admin-1"
    dropped: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    databases: dict[int, Body] = field(default_factory=dict)
    collections: dict[int, Body] = field(default_factory=dict)
    cards: dict[int, Body] = field(default_factory=dict)
    dashboards: dict[int, Body] = field(default_factory=dict)
    sessions: set[str] = field(default_factory=set)
    numbers: int = 0

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.metabase = self
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def writes(self) -> list[tuple[str, str]]:
        """Requests that change something."""
        return [(method, path) for method, path, _ in self.requests if method != "GET" and path != "/api/session"]

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def answer(self, method: str, path: str, query: str, session: str, body: Any) -> tuple[int, Any]:
        self.requests.append((method, path, body))
        self._check(method, path, body)
        for fault in self.faults:
            if fault.method == method and re.fullmatch(fault.path, path):
                self.faults.remove(fault)
                if fault.after:
                    self._do(method, path, query, session, body)
                return fault.status, fault.body
        return self._do(method, path, query, session, body)

    def _check(self, method: str, path: str, body: Any) -> None:
        if method == "GET":
            return
        known = self.schema["x-endpoints"]
        name = next(
            (known[each] for each in known if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", each), f"{method} {path}")),
            None,
        )
        if name is None:
            self.complaints.append(f"{method} {path}: no such endpoint")
            return
        validator = jsonschema.Draft202012Validator(self.schema | {"$ref": f"#/$defs/{name}"})
        self.complaints += [f"{method} {path}: {error.message}" for error in validator.iter_errors(body)]

    def _do(self, method: str, path: str, query: str, session: str, body: Any) -> tuple[int, Any]:
        if path == "/api/health":
            if self.initializing:
                self.initializing -= 1
                return 503, {"status": "initializing", "progress": 0.4}
            return 200, {"status": "ok"}
        if path == "/api/session/properties":
            return 200, {"has-user-setup": self.has_user, "setup-token": None if self.has_user else TOKEN}
        if path == "/api/setup":
            if self.has_user or body["token"] != TOKEN:
                return 403, "The /api/setup route can only be used to create the first user"
            self.has_user, self.password = True, body["user"]["password"]
            return 200, {"id": self._session()}
        if path == "/api/session":
            if body["password"] != self.password:
                return 401, {"errors": {"password": f"did not match stored password: {body['password']}"}}
            return 200, {"id": self._session()}
        if session not in self.sessions:
            return 401, "Unauthenticated"
        return self._objects(method, path, query, body)

    def _session(self) -> str:
        session = f"session-{self.number()}"
        self.sessions.add(session)
        return session

    def _objects(self, method: str, path: str, query: str, body: Any) -> tuple[int, Any]:
        _, _, kind, *parts = path.split("/")
        if kind == "collection" and parts[1:] == ["items"]:
            own = [
                one
                for one in self.dashboards.values()
                if one["collection_id"] == int(parts[0]) and "dashboard" in query
            ]
            return 200, {
                "data": [{"id": one["id"], "name": one["name"], "model": "dashboard"} for one in own],
                "total": len(own),
            }
        kept = {
            "database": self.databases, "collection": self.collections, "card": self.cards, "dashboard": self.dashboards
        }[kind]  # fmt: skip
        if not parts:
            return (200, self._listed(kind)) if method == "GET" else self._created(kind, kept, body)
        found = next((one for one in kept.values() if parts[0] in {str(one["id"]), one.get("entity_id")}), None)
        if found is None:
            return 404, "Not found."
        if method == "PUT":
            if not parts[0].isdigit():
                return 400, {"errors": {"id": "value must be an integer greater than zero."}}
            self._change(kind, found, self._kept_keys(kind, body, update=True))
        return 200, self._shown(kind, found)

    def _listed(self, kind: str) -> Any:
        if kind == "database":
            found = [self._shown(kind, one) for one in self.databases.values()]
            return {"data": found, "total": len(found)}
        return [{"id": "root", "name": "Our analytics"}, *self.collections.values()]

    def _created(self, kind: str, kept: dict[int, Body], body: Body) -> tuple[int, Any]:
        if kind == "card" and any(one["entity_id"] == body.get("entity_id") for one in kept.values()):
            return 400, "duplicate key value violates unique constraint"
        made: Body = {"id": self.number(), "archived": False}
        if kind == "collection":
            made |= {"location": "/", "personal_owner_id": None}
        if kind == "dashboard":
            made |= {"dashcards": [], "tabs": [], "parameters": [], "width": "fixed", "auto_apply_filters": True}
        self._change(kind, made, self._kept_keys(kind, body, update=False))
        kept[made["id"]] = made
        return 200, self._shown(kind, made)

    def _kept_keys(self, kind: str, body: Body, *, update: bool) -> Body:
        """Return the keys that the server knows; it drops others silently."""
        known = set(body)
        if kind == "card":
            known = _CARD_KEYS - ({"entity_id"} if update else {"archived"})
        elif kind == "dashboard":
            known = _DASHBOARD_KEYS if update else {"name", "description", "parameters", "collection_id"}
        return {key: value for key, value in body.items() if key in known - self.dropped}

    def _change(self, kind: str, found: Body, body: Body) -> None:
        body = json.loads(json.dumps(body))
        if kind == "database" and body.get("details", {}).get("password") == MASK:
            body["details"]["password"] = found["details"]["password"]
        if kind == "dashboard" and "dashcards" in body:
            known = {one["id"]: one for one in found["dashcards"]}
            body["dashcards"] = [
                known.get(one["id"], {}) | {"dashboard_tab_id": None} | one
                | {"id": one["id"] if one["id"] in known else self.number()}
                for one in body["dashcards"]
            ][::-1]  # fmt: skip
        found.update(body)
        found["updated_at"] = f"change {self.number()}"

    def _shown(self, kind: str, found: Body) -> Body:
        shown: Body = json.loads(json.dumps(found))
        if kind == "database":
            shown["details"]["password"] = MASK
        if kind == "card":
            shown["dataset_query"]["lib/metadata"] = None
        return shown


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    metabase: Metabase


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        self._respond(None)

    def do_POST(self) -> None:
        self._respond(json.loads(self.rfile.read(int(self.headers["Content-Length"])) or "null"))

    def do_PUT(self) -> None:
        self.do_POST()

    def _respond(self, body: Any) -> None:
        target = urlsplit(self.path)
        session = self.headers.get("X-Metabase-Session", "")
        status, content = self.server.metabase.answer(self.command, target.path, target.query, session, body)
        answer = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
