"""The table of endpoints, the paths of columns in a record, and repository names."""

import json
from datetime import UTC, datetime

import pytest

from include.contracts.reader import read_contract
from include.errors import Code, PermanentError
from include.settings import CONTRACTS_DIR, GithubSettings
from include.sources.github.endpoints import ENDPOINTS, checked_repository, endpoints_named, line, time_of, value_at

pytestmark = pytest.mark.unit

AT = datetime(2026, 3, 2, 10, 0, 0, 987654, tzinfo=UTC)
RECORD = {
    "sha": "3f1c", "parents": [{"sha": "a"}, {"sha": "b"}], "author": None, "words": "text",
    "commit": {"author": {"name": "Ada"}, "committer": {"date": "2026-03-02T09:31:12Z"}},
}  # fmt: skip


@pytest.mark.parametrize("name", ENDPOINTS)
def test_columns_are_those_of_the_contract(name: str) -> None:
    endpoint = ENDPOINTS[name]
    contract = read_contract(CONTRACTS_DIR / f"{endpoint.dataset}.yaml")
    sent = {column.name for column in contract.columns if not column.derived}
    assert {"repository", "fetched_at", *endpoint.columns} == sent


@pytest.mark.parametrize("name", ENDPOINTS)
def test_watermark_is_a_column_of_the_file(name: str) -> None:
    assert ENDPOINTS[name].time in ENDPOINTS[name].columns.values()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param("sha", "3f1c", id="top"),
        pytest.param("commit.author.name", "Ada", id="deep"),
        pytest.param("parents.#", 2, id="count"),
        pytest.param("author.login", None, id="null within the path"),
        pytest.param("commit.verification.verified", None, id="missing within the path"),
        pytest.param("words.login", None, id="text within the path"),
        pytest.param("words.#", None, id="count of no list"),
    ],
)
def test_value_at_finds_the_path(path: str, value: object) -> None:
    assert value_at(RECORD, path) == value


@pytest.mark.parametrize("record", [{}, None, "text", [1]], ids=["empty", "null", "text", "list"])
def test_line_of_an_invalid_record_has_nulls(record: object) -> None:
    row = json.loads(line(record, ENDPOINTS["commits"].columns, "harbour/ledger", AT))
    assert row.pop("repository") == "harbour/ledger"
    assert row.pop("fetched_at") == "2026-03-02T10:00:00Z"
    assert set(row) == set(ENDPOINTS["commits"].columns)
    assert set(row.values()) == {None}


def test_line_writes_any_text_on_one_line_of_ascii() -> None:
    record = {"commit": {"message": "two\nlines, é, \ud800, \0"}}
    text = line(record, ENDPOINTS["commits"].columns, "harbour/ledger", AT)
    assert b"\n" not in text
    assert json.loads(text.decode("ascii"))["message"] == "two\nlines, é, \ud800, \0"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        pytest.param("2026-03-02T09:31:12Z", datetime(2026, 3, 2, 9, 31, 12, tzinfo=UTC), id="as the API writes"),
        pytest.param("2026-03-02T10:31:12+01:00", datetime(2026, 3, 2, 9, 31, 12, tzinfo=UTC), id="with an offset"),
        pytest.param("2026-03-02T09:31:12", datetime(2026, 3, 2, 9, 31, 12, tzinfo=UTC), id="without a zone"),
        pytest.param("yesterday", None, id="no time"),
        pytest.param(1772443872, None, id="a number"),
        pytest.param(None, None, id="null"),
    ],
)
def test_time_of_parses_valid_times(text: object, moment: datetime | None) -> None:
    assert time_of({"commit": {"committer": {"date": text}}}, ENDPOINTS["commits"]) == moment


@pytest.mark.parametrize(
    ("name", "query"),
    [
        pytest.param("commits", {"per_page": "50", "since": "2026-03-02T10:00:00Z"}, id="commits"),
        pytest.param(
            "issues",
            {"per_page": "50", "since": "2026-03-02T10:00:00Z", "state": "all", "sort": "updated", "direction": "desc"},
            id="issues",
        ),
        pytest.param("events", {"per_page": "50"}, id="events have no since"),
    ],
)
def test_request_starts_at_the_watermark(name: str, query: dict[str, str]) -> None:
    assert ENDPOINTS[name].request("harbour/ledger", 50, AT) == (f"/repos/harbour/ledger/{name}", query)


def test_endpoints_named_keeps_order_and_refuses_others() -> None:
    assert [one.name for one in endpoints_named(["events", "commits"])] == ["events", "commits"]
    with pytest.raises(
        PermanentError, match=r"Unknown endpoint stars: GITHUB_ENDPOINTS can contain commits, issues, events"
    ) as refusal:
        endpoints_named(["commits", "stars"])
    assert refusal.value.code is Code.SOURCE_REFUSED


def test_default_settings_are_usable() -> None:
    settings = GithubSettings()
    assert endpoints_named(settings.endpoint_names)
    assert [checked_repository(name) for name in settings.repository_names] == ["harbour/ledger", "harbour/beacon"]


@pytest.mark.parametrize(
    "name",
    [
        "ledger",
        "harbour/",
        "/ledger",
        "harbour/ledger/commits",
        "harbour/..",
        "../ledger",
        "a b/c",
        "a/b?c=d",
        "_a/b",
        "",
    ],
)
def test_checked_repository_refuses_invalid_names(name: str) -> None:
    with pytest.raises(PermanentError, match="write owner/name") as refusal:
        checked_repository(name)
    assert refusal.value.code is Code.SOURCE_REFUSED


@pytest.mark.parametrize("name", ["harbour/ledger", "a-b/c.d_e-f", "a/.github", "name_company/ledger"])
def test_checked_repository_accepts_valid_names(name: str) -> None:
    assert checked_repository(name) == name
