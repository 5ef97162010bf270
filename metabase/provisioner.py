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
class Provisioned:
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
) -> list[Provisioned]:
    """Create or correct the connection, the collection, every question and every dashboard; write only differences.

    Args:
        client: without a session.
        settings: those of the client.
        questions: by name.
        dashboards: in their order.
        renew_password: send the reader's password again; Metabase shows none, so a change is not detected.

    Raises:
        RetryableError: all attempts of a request failed.
        PermanentError: Metabase refuses a request, has a name twice, or has other values than it was sent.
    """
    admin = Provisioned("admin", settings.admin_email, Action.CREATED if client.start_session() else Action.UNCHANGED)
    work = _Work(client)
    database_id = work.database(bodies.database(settings), renew_password=renew_password)
    collection_id = work.collection(bodies.collection(settings))
    card_ids = {
        name: work.card(bodies.card(question, database_id, collection_id)) for name, question in questions.items()
    }
    for dashboard in dashboards:
        work.dashboard(dashboard, questions, card_ids, collection_id)
    return [admin, *work.outcomes]


@dataclass(frozen=True)
class _Wanted:
    """One object as it must be.

    Attributes:
        kind: name of the kind in messages.
        path: of its kind in the API.
        body: creates it.
        compared: the values that the server must have.
        changed: changes it, if that is not `body`.
    """

    kind: str
    path: str
    body: Body
    compared: Body
    changed: Body | None = None


class _Work:
    """One run. Each method creates or corrects one object and returns its id in Metabase."""

    def __init__(self, client: MetabaseClient) -> None:
        self._client = client
        self.outcomes: list[Provisioned] = []

    def database(self, wanted: Body, *, renew_password: bool) -> int:
        def find() -> Body | None:
            listed = self._client.get("/api/database")
            return _only(wanted["name"], "connections", listed["data"] if isinstance(listed, dict) else listed)

        shown = wanted | {"details": {key: value for key, value in wanted["details"].items() if key != "password"}}
        return self._keep(_Wanted("connection", "/api/database", wanted, shown), find, anyway=renew_password)

    def collection(self, wanted: Body) -> int:
        def find() -> Body | None:
            listed = self._client.get("/api/collection")
            own = [one for one in listed if one.get("location") == "/" and not one.get("personal_owner_id")]
            return _only(wanted["name"], "collections", own)

        compared = {"name": wanted["name"], "description": wanted["description"]}
        return self._keep(_Wanted("collection", "/api/collection", wanted, compared), find)

    def card(self, wanted: Body) -> int:
        path = f"/api/card/{wanted['entity_id']}"
        compared = wanted | {"archived": False}
        changed = {key: value for key, value in compared.items() if key != "entity_id"}
        question = _Wanted("question", "/api/card", wanted, compared, changed)
        return self._keep(question, lambda: self._client.find(path))

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

    def _keep(self, wanted: _Wanted, find: Callable[[], Body | None], *, anyway: bool = False) -> int:
        """Create an object that does not exist, change one that differs, and verify what was written.

        Args:
            wanted: the object as it must be.
            find: looks for it.
            anyway: change it even without a difference.
        """
        found, name = find(), wanted.body["name"]
        made = found is None
        if found is None:
            found = self._client.create(wanted.path, wanted.body, find)
        own = f"{wanted.path}/{found['id']}"
        held = self._client.get(own)
        reasons = bodies.differences(wanted.compared, held)
        if made:
            self._verify(wanted.kind, name, wanted.compared, held)
        elif reasons or anyway:
            self._client.update(own, wanted.changed or wanted.body)
            self._verify(wanted.kind, name, wanted.compared, self._client.get(own))
            reasons = reasons or ["password"]
        self._note(wanted.kind, name, reasons, made=made)
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
        self.outcomes.append(Provisioned(kind, name, action, () if made else reasons))
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
