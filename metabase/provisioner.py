"""Brings a Metabase to the state that questions and dashboards describe, and proves that it is there.

What belongs here: the order of the work, what is compared, and the read-back. The server drops what it does not know
without a word: only what it answers afterwards counts. One provisioner at a time, for Metabase has no lock.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from include.errors import Code, PermanentError
from metabase import bodies
from metabase.questions import STAGE

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
    """What was done to one thing in Metabase. `reasons` are the places that were not as they should be."""

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
    """Make or mend the connection, the collection, every question and every dashboard; leave alone what is right.

    Args:
        client: that has not entered yet.
        settings: as the client's.
        questions: by name.
        dashboards: in their order.
        renew_password: send the reader's password again; Metabase shows none, so a changed one is not seen.

    Raises:
        RetryableError: Metabase does not answer through all tries.
        PermanentError: it refuses, holds a name twice, or holds something else than it was told.
    """
    admin = Outcome("admin", settings.admin_email, Action.CREATED if client.enter() else Action.UNCHANGED)
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
    """One run. Each method makes or mends one thing and gives its number in Metabase."""

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
            self._prove("dashboard", dashboard.title, compared, self._client.get(path))
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
        """Make what is not there, change what is different, and read back what was written.

        Args:
            kind: what people call it.
            wanted: the body that makes it.
            path: below which it lies.
            find: looks for it.
            compared: what the server has to hold.
            changed: the body that changes it, where that is another one.
            anyway: change it even if nothing is different.
        """
        found = find()
        made = found is None
        if found is None:
            found = self._client.create(path, wanted, find)
        own = f"{path}/{found['id']}"
        held = self._client.get(own)
        reasons = bodies.differences(compared, held)
        if made:
            self._prove(kind, wanted["name"], compared, held)
        elif reasons or anyway:
            self._client.update(own, changed or wanted)
            self._prove(kind, wanted["name"], compared, self._client.get(own))
            reasons = reasons or ["password"]
        self._note(kind, wanted["name"], reasons, made=made)
        return int(found["id"])

    def _prove(self, kind: str, name: str, wanted: Body, held: Any) -> None:
        if places := bodies.differences(wanted, held):
            raise PermanentError(
                STAGE,
                Code.SERVICE_REFUSED,
                f"Metabase took the {kind} {name!r}, but does not hold what it was told: {', '.join(places)}. Its "
                "version may not know these keys, or somebody changes it at the same time.",
            )

    def _note(self, kind: str, name: str, reasons: Iterable[str], *, made: bool) -> None:
        reasons = tuple(reasons)
        action = Action.CREATED if made else Action.CHANGED if reasons else Action.UNCHANGED
        self.outcomes.append(Outcome(kind, name, action, () if made else reasons))
        log.info("%s %s: %s", kind, name, action)


def _without_new_id(dashcard: Body) -> Body:
    """A card that is not there yet gets its id from the server."""
    return dashcard if dashcard["id"] > 0 else {key: value for key, value in dashcard.items() if key != "id"}


def _only(name: str, kinds: str, listed: Iterable[Body]) -> Body | None:
    found = [one for one in listed if one.get("name") == name and not one.get("archived")]
    if len(found) > 1:
        raise PermanentError(
            STAGE,
            Code.SERVICE_REFUSED,
            f"Metabase has {len(found)} {kinds} called {name!r}; rename or remove those that are not ours.",
        )
    return found[0] if found else None
