"""Creates and corrects objects in Metabase as questions and dashboards describe them, and verifies the result.

What belongs here: the order of the work, the comparison, and the read-back. The server drops unknown keys silently, so
every written object is read again. Run one provisioner at a time: Metabase has no lock.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from include.errors import Code, PermanentError
from metabase import bodies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from metabase.bodies import Body
    from metabase.client import MetabaseClient
    from metabase.dashboards import Dashboard
    from metabase.questions import Question
    from metabase.settings import MetabaseSettings

log = logging.getLogger(__name__)


class Action(StrEnum):
    """What was done."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Outcome:
    """What was done to one object in Metabase. `reasons` are the paths of values that differed."""

    kind: str
    name: str
    action: Action
    reasons: tuple[str, ...] = ()


def provision(
    client: MetabaseClient,
    settings: MetabaseSettings,
    questions: Mapping[str, Question],
    dashboards: Sequence[Dashboard],
    *,
    renew_password: bool = False,
) -> list[Outcome]:
    """Create or correct the connection, the collection, every question and every dashboard; write only differences.

    Args:
        client: without a session.
        settings: those of the client.
        questions: by name.
        dashboards: in their order.
        renew_password: send the reader's password again; Metabase shows none, so a change is not detected.

    Raises:
        RetryableError: all tries of a request failed.
        PermanentError: Metabase refuses a request, has a name twice, or has other values than it was sent.
    """
    admin = Outcome("admin", settings.admin_email, Action.CREATED if client.start_session() else Action.UNCHANGED)
    work = _Work(client)
    database_id = work.database(bodies.database(settings), renew_password=renew_password)
    collection_id = work.collection(bodies.collection(settings))
    card_ids = {
        name: work.card(bodies.card(question, database_id, collection_id)) for name, question in questions.items()
    }
    for dashboard in dashboards:
        work.dashboard(dashboard, questions, card_ids, collection_id)
    return [admin, *work.outcomes]


class _Work:
    """One run. Each method creates or corrects one object and returns its id in Metabase."""

    def __init__(self, client: MetabaseClient) -> None:
        self._client = client
        self.outcomes: list[Outcome] = []

    def database(self, wanted: Body, *, renew_password: bool) -> int:
        def find() -> Body | None:
            listed = self._client.get("/api/database")
            return _only(wanted["name"], "connections", listed["data"] if isinstance(listed, dict) else listed)

        shown = wanted | {"details": {key: value for key, value in wanted["details"].items() if key != "password"}}
        return self._keep("connection", wanted, "/api/database", find, compared=shown, anyway=renew_password)

    def collection(self, wanted: Body) -> int:
        def find() -> Body | None:
            listed = self._client.get("/api/collection")
            own = [one for one in listed if one.get("location") == "/" and not one.get("personal_owner_id")]
            return _only(wanted["name"], "collections", own)

        compared = {"name": wanted["name"], "description": wanted["description"]}
        return self._keep("collection", wanted, "/api/collection", find, compared=compared)

    def card(self, wanted: Body) -> int:
        path = f"/api/card/{wanted['entity_id']}"
        compared = wanted | {"archived": False}
        changed = {key: value for key, value in compared.items() if key != "entity_id"}
        return self._keep(
            "question", wanted, "/api/card", lambda: self._client.find(path), compared=compared, changed=changed
        )

    def dashboard(
        self, dashboard: Dashboard, questions: Mapping[str, Question], card_ids: Mapping[str, int], collection_id: int
    ) -> int:
        def find() -> Body | None:
            listed = self._client.get(f"/api/collection/{collection_id}/items?models=dashboard")
            return _only(dashboard.title, "dashboards", listed["data"])

        found = find()
        made = found is None
        if found is None:
            found = self._client.create("/api/dashboard", bodies.new_dashboard(dashboard, collection_id), find)
        path = f"/api/dashboard/{found['id']}"
        held = self._client.get(path)
        wanted = bodies.dashboard(dashboard, questions, card_ids, collection_id, held)
        compared = wanted | {"dashcards": [_without_new_id(one) for one in wanted["dashcards"]]}
        reasons = bodies.differences(compared, held)
        if reasons:
            self._client.update(path, wanted)
            self._verify("dashboard", dashboard.title, compared, self._client.get(path))
        self._note("dashboard", dashboard.title, reasons, made=made)
        return int(found["id"])

    def _keep(
        self,
        kind: str,
        wanted: Body,
        path: str,
        find: Callable[[], Body | None],
        *,
        compared: Body,
        changed: Body | None = None,
        anyway: bool = False,
    ) -> int:
        """Create an object that does not exist, change one that differs, and verify what was written.

        Args:
            kind: name of the kind in messages.
            wanted: the body that creates it.
            path: of its kind in the API.
            find: looks for it.
            compared: the values that the server must have.
            changed: the body that changes it, if it is not `wanted`.
            anyway: change it even without a difference.
        """
        found = find()
        made = found is None
        if found is None:
            found = self._client.create(path, wanted, find)
        own = f"{path}/{found['id']}"
        held = self._client.get(own)
        reasons = bodies.differences(compared, held)
        if made:
            self._verify(kind, wanted["name"], compared, held)
        elif reasons or anyway:
            self._client.update(own, changed or wanted)
            self._verify(kind, wanted["name"], compared, self._client.get(own))
            reasons = reasons or ["password"]
        self._note(kind, wanted["name"], reasons, made=made)
        return int(found["id"])

    def _verify(self, kind: str, name: str, wanted: Body, held: Any) -> None:
        if paths := bodies.differences(wanted, held):
            raise PermanentError(
                Code.SERVICE_REFUSED,
                f"Metabase accepted the {kind} {name!r}, but has other values for {', '.join(paths)}. Its version may "
                "not support these keys, or another user changes it at the same time.",
            )

    def _note(self, kind: str, name: str, reasons: Iterable[str], *, made: bool) -> None:
        reasons = tuple(reasons)
        action = Action.CREATED if made else Action.CHANGED if reasons else Action.UNCHANGED
        self.outcomes.append(Outcome(kind, name, action, () if made else reasons))
        log.info("%s %s: %s", kind, name, action)


def _without_new_id(dashcard: Body) -> Body:
    """Return the card without its id if it is new: the server gives the id."""
    return dashcard if dashcard["id"] > 0 else {key: value for key, value in dashcard.items() if key != "id"}


def _only(name: str, kinds: str, listed: Iterable[Body]) -> Body | None:
    found = [one for one in listed if one.get("name") == name and not one.get("archived")]
    if len(found) > 1:
        raise PermanentError(
            Code.SERVICE_REFUSED,
            f"Metabase has {len(found)} {kinds} called {name!r}; rename or remove all but the one to provision.",
        )
    return found[0] if found else None
