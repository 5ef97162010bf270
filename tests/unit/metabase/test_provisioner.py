"""The provisioner against a Metabase on loopback: what it creates, corrects and leaves unchanged."""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, Any

import pytest
from loopback_metabase import Fault, Metabase

from include.errors import Code, PermanentError, RetryableError
from metabase.client import MetabaseClient
from metabase.dashboards import read_dashboards
from metabase.provisioner import Action, Provisioned, provision
from metabase.questions import read_questions
from metabase.settings import MetabaseSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

QUESTIONS = read_questions()
DASHBOARDS = read_dashboards(QUESTIONS)
# Three questions on one dashboard, one of them without a filter, are enough for most tests.
SOME = ("revenue_total", "revenue_by_day", "top_customers")
SALES = [DASHBOARDS[0].model_copy(update={"cards": tuple(c for c in DASHBOARDS[0].cards if c.question in SOME)})]
ASKED = {card.question: QUESTIONS[card.question] for card in SALES[0].cards}
PASSWORDS = {"admin_password": "s3cret-admin-1", "warehouse_password": "s3cret-reader-2"}
OBJECTS = 3 + len(ASKED) + len(SALES)  # admin, connection, collection


@pytest.fixture
def metabase(requests_schema: dict[str, Any]) -> Iterator[Metabase]:
    with Metabase(requests_schema) as server:
        yield server
    assert server.complaints == []


def run(
    server: Metabase, *, renew_password: bool = False, everything: bool = False, **changes: Any
) -> list[Provisioned]:
    """Provision without real pauses: each call of the clock returns a second more than the one before."""
    settings = MetabaseSettings(**{"url": server.url, **PASSWORDS, "attempts": 4, "start_seconds": 20, **changes})
    seconds = itertools.count()
    questions, dashboards = (QUESTIONS, DASHBOARDS) if everything else (ASKED, SALES)
    with MetabaseClient(settings, sleep=lambda _: None, clock=lambda: next(seconds)) as client:
        return provision(client, settings, questions, dashboards, renew_password=renew_password)


def actions(outcomes: list[Provisioned]) -> set[Action]:
    return {outcome.action for outcome in outcomes}


def changed(outcomes: list[Provisioned]) -> list[tuple[str, str]]:
    return [(outcome.kind, outcome.name) for outcome in outcomes if outcome.action is not Action.UNCHANGED]


def test_first_run_creates_everything_on_an_empty_server_and_the_second_writes_nothing(metabase: Metabase) -> None:
    outcomes = run(metabase, everything=True)
    assert actions(outcomes) == {Action.CREATED}
    assert len(outcomes) == 3 + len(QUESTIONS) + len(DASHBOARDS)
    assert {card["name"] for card in metabase.cards.values()} == {each.title for each in QUESTIONS.values()}
    [database] = metabase.databases.values()
    assert database["details"]["password"] == PASSWORDS["warehouse_password"]
    for each in DASHBOARDS:
        [held] = [one for one in metabase.dashboards.values() if one["name"] == each.title]
        assert len(held["dashcards"]) == len(each.cards)
        mapped = [mapping for card in held["dashcards"] for mapping in card["parameter_mappings"]]
        assert len(mapped) == sum(f.name in QUESTIONS[c.question].filters for c in each.cards for f in each.filters)
        assert mapped
        assert all(mapping["card_id"] in metabase.cards for mapping in mapped)

    metabase.requests.clear()
    again = run(metabase, everything=True)
    assert metabase.writes == []
    assert actions(again) == {Action.UNCHANGED}
    assert len(again) == len(outcomes)


def spoil_title(server: Metabase) -> None:
    next(card for card in server.cards.values() if card["name"] == "Revenue by day")["name"] = "Money"


def spoil_sql(server: Metabase) -> None:
    card = next(card for card in server.cards.values() if card["name"] == "Revenue by day")
    card["dataset_query"]["stages"][0]["native"] = "SELECT 1"


def trash_card(server: Metabase) -> None:
    next(card for card in server.cards.values() if card["name"] == "Revenue by day")["archived"] = True


def sales(server: Metabase) -> dict[str, Any]:
    return next(one for one in server.dashboards.values() if one["name"] == "Sales")


def move_card(server: Metabase) -> None:
    sales(server)["dashcards"][0]["col"] += 1


def add_card(server: Metabase) -> None:
    sales(server)["dashcards"].append({**sales(server)["dashcards"][0], "id": 999, "row": 100})


def lose_mapping(server: Metabase) -> None:
    next(card for card in sales(server)["dashcards"] if card["parameter_mappings"])["parameter_mappings"].pop()


def rename_filter(server: Metabase) -> None:
    sales(server)["parameters"][0]["name"] = "Since"


def other_host(server: Metabase) -> None:
    next(iter(server.databases.values()))["details"]["host"] = "elsewhere"


def other_description(server: Metabase) -> None:
    next(iter(server.collections.values()))["description"] = None


@pytest.mark.parametrize(
    ("spoil", "kind", "name"),
    [
        (spoil_title, "question", "Revenue by day"),
        (spoil_sql, "question", "Revenue by day"),
        (trash_card, "question", "Revenue by day"),
        (move_card, "dashboard", "Sales"),
        (add_card, "dashboard", "Sales"),
        (lose_mapping, "dashboard", "Sales"),
        (rename_filter, "dashboard", "Sales"),
        (other_host, "connection", "FileGate warehouse"),
        (other_description, "collection", "FileGate"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_manual_change_is_reverted_by_one_write(metabase: Metabase, spoil: Any, kind: str, name: str) -> None:
    run(metabase)
    spoil(metabase)
    metabase.requests.clear()
    assert changed(run(metabase)) == [(kind, name)]
    assert [method for method, _ in metabase.writes] == ["PUT"]
    metabase.requests.clear()
    assert changed(run(metabase)) == []
    assert metabase.writes == []


def test_dashcards_keep_their_ids_when_one_is_moved(metabase: Metabase) -> None:
    run(metabase)
    before = {card["card_id"]: card["id"] for card in sales(metabase)["dashcards"]}
    move_card(metabase)
    run(metabase)
    assert {card["card_id"]: card["id"] for card in sales(metabase)["dashcards"]} == before


def test_reader_password_is_sent_again_on_demand_only(metabase: Metabase) -> None:
    run(metabase)
    assert changed(run(metabase, warehouse_password="new")) == []
    assert changed(run(metabase, warehouse_password="new", renew_password=True)) == [
        ("connection", "FileGate warehouse")
    ]
    [database] = metabase.databases.values()
    assert database["details"]["password"] == "new"


# Faults


def test_provision_waits_for_a_starting_server(metabase: Metabase) -> None:
    metabase.initializing = 7
    assert actions(run(metabase)) == {Action.CREATED}


def test_server_that_does_not_start_is_an_error(metabase: Metabase) -> None:
    metabase.initializing = 10_000
    with pytest.raises(RetryableError, match=r"not started within 20 seconds.*initializing") as caught:
        run(metabase)
    assert caught.value.code is Code.SERVICE_UNAVAILABLE


def test_address_without_a_server_is_an_error() -> None:
    with Metabase({}) as stopped:
        pass
    settings = MetabaseSettings(url=stopped.url, **PASSWORDS, start_seconds=3)
    seconds = itertools.count()
    with (
        MetabaseClient(settings, sleep=lambda _: None, clock=lambda: next(seconds)) as client,
        pytest.raises(RetryableError, match="not started"),
    ):
        client.start_session()


@pytest.mark.parametrize(
    "path",
    ["/api/setup", "/api/database", "/api/collection", "/api/card", "/api/dashboard"],
    ids=["admin", "connection", "collection", "question", "dashboard"],
)
@pytest.mark.parametrize("after", [True, False], ids=["done", "not done"])
def test_create_that_fails_is_retried_and_creates_no_duplicate(metabase: Metabase, path: str, after: bool) -> None:
    metabase.faults.append(Fault("POST", path, 502, after=after))
    run(metabase)
    assert metabase.faults == []
    assert len(metabase.databases) == len(metabase.collections) == 1
    assert len(metabase.cards) == len(ASKED)
    assert len(metabase.dashboards) == len(SALES)
    metabase.requests.clear()
    run(metabase)
    assert metabase.writes == []


@pytest.mark.parametrize("status", [404, 500, 503])
def test_get_of_a_new_object_is_retried(metabase: Metabase, status: int) -> None:
    metabase.faults += [Fault("GET", r"/api/dashboard/\d+", status), Fault("GET", r"/api/card/\d+", status)]
    assert len(run(metabase)) == OBJECTS
    assert metabase.faults == []


def test_update_that_fails_is_retried(metabase: Metabase) -> None:
    metabase.faults += [Fault("PUT", r"/api/dashboard/\d+", 500), Fault("PUT", r"/api/dashboard/\d+", 502, after=True)]
    assert len(run(metabase)) == OBJECTS


def test_server_that_fails_in_all_tries_is_an_error(metabase: Metabase) -> None:
    metabase.faults += [Fault("POST", "/api/collection", 500) for _ in range(4)]
    with pytest.raises(RetryableError, match="status 500"):
        run(metabase)


def test_expired_session_is_renewed(metabase: Metabase) -> None:
    metabase.faults.append(Fault("POST", "/api/card", 401))
    assert len(run(metabase)) == OBJECTS
    assert len(metabase.cards) == len(ASKED)


def test_wrong_password_is_refused_at_once_and_not_shown(metabase: Metabase, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    metabase.has_user, metabase.password = True, "another"
    with pytest.raises(PermanentError, match="METABASE_ADMIN_PASSWORD") as caught:
        run(metabase)
    assert [path for _, path, _ in metabase.requests].count("/api/session") == 1
    assert PASSWORDS["admin_password"] not in str(caught.value) + caplog.text
    assert "***" in str(caught.value)


def test_secrets_are_in_no_log_and_no_outcome(metabase: Metabase, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    metabase.faults.append(Fault("POST", "/api/database", 500, body={"details": PASSWORDS, "setup": "session-1"}))
    outcomes = run(metabase)
    other_host(metabase)
    outcomes += run(metabase)
    assert "attempt 1 of 4" in caplog.text
    for secret in (*PASSWORDS.values(), "session-1"):
        assert secret not in caplog.text + repr(outcomes)


def test_connection_that_metabase_cannot_open_is_refused_with_its_message(metabase: Metabase) -> None:
    body = {"errors": {"host": "check your host settings"}, "message": f"not with {PASSWORDS['warehouse_password']}"}
    metabase.faults.append(Fault("POST", "/api/database", 400, body=body))
    with pytest.raises(PermanentError, match="check your host settings") as caught:
        run(metabase)
    assert PASSWORDS["warehouse_password"] not in str(caught.value)


def test_setup_by_another_process_is_no_error(metabase: Metabase) -> None:
    metabase.faults.append(Fault("POST", "/api/setup", 403, after=True))
    assert run(metabase)[0].kind == "admin"


def test_setup_that_is_refused_is_an_error(metabase: Metabase) -> None:
    metabase.faults.append(Fault("POST", "/api/setup", 400, body={"errors": {"password": "password is too common."}}))
    with pytest.raises(PermanentError, match="too common"):
        run(metabase)


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("visualization_settings", "question"),
        ("display", "question"),
        ("entity_id", "question"),
        ("dashcards", "dashboard"),
        ("width", "dashboard"),
    ],
)
def test_key_that_the_server_drops_silently_is_detected_by_the_read_back(
    metabase: Metabase, key: str, kind: str
) -> None:
    metabase.dropped = {key}
    with pytest.raises(PermanentError, match=rf"accepted the {kind} .*{key}"):
        run(metabase)


@pytest.mark.parametrize("kept", ["databases", "collections", "dashboards"])
def test_duplicate_name_is_refused_before_anything_is_written(metabase: Metabase, kept: str) -> None:
    run(metabase)
    objects: dict[int, dict[str, Any]] = getattr(metabase, kept)
    number, first = next(iter(objects.items()))
    objects[number + 1000] = {**first, "id": number + 1000}
    metabase.requests.clear()
    with pytest.raises(PermanentError, match=f"has 2 .*{first['name']}"):
        run(metabase)
    assert metabase.writes == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"url": "metabase:3000"}, "METABASE_URL"),
        ({"url": "http://admin:secret@127.0.0.1:3000"}, "without user and password"),
        ({"admin_password": ""}, "METABASE_ADMIN_PASSWORD is empty"),
        ({"warehouse_password": ""}, "METABASE_WAREHOUSE_PASSWORD is empty"),
    ],
    ids=["no scheme", "password in the address", "no admin password", "no reader password"],
)
def test_invalid_settings_are_refused(changes: dict[str, str], message: str) -> None:
    with pytest.raises(PermanentError, match=message) as caught:
        MetabaseClient(MetabaseSettings(**{**PASSWORDS, **changes}))
    assert "secret@" not in str(caught.value)
