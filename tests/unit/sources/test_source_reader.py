"""Reading `sources/<name>.yaml`: what is accepted, and place, what and remedy of each problem."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from include.contracts.content import MAX_BYTES
from include.contracts.dialect import Dialect
from include.contracts.model import APPEND_KEY, Column, ColumnType, Contract, Deletes, Mode
from include.errors import Code
from include.sources.__main__ import DATABASE_EXAMPLE, EXAMPLE
from include.sources.definition import Cursor, OAuth2, RestSource
from include.sources.elements import elements, params_of
from include.sources.faults import FORMS_OF_PATTERNS
from include.sources.kinds import schema
from include.sources.reader import SourceError, read_source, read_sources
from include.sources.rest.watermark import CursorTimes
from include.sources.rules import MOST_ELEMENTS
from tests.unit.sources.source_files import ORDERS, TOPIC, document, find_contract, problems, read, request, written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.unit


def test_the_example_is_read(tmp_path: Path) -> None:
    source = read(tmp_path)
    assert (source.name, source.dataset, source.deliver) == ("shop_orders", "shop_orders", "file")
    assert source.incremental is not None
    assert source.incremental.overlap == timedelta(minutes=10)
    assert source.incremental.initial_value == "2024-01-01T00:00:00Z"
    assert source.requests[0].for_each == {"shop": ("north", "south")}
    assert isinstance(source.pagination, Cursor)
    assert isinstance(source.auth, OAuth2)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"schedule": None}, id="by hand"),
        pytest.param({"schedule": "*/30 * * * *"}, id="cron"),
        pytest.param({"schedule": "0 6 * JAN-MAR MON"}, id="cron with names"),
        pytest.param({"records": ..., "keepRaw": ..., "auth": ..., "pagination": ..., "limits": ...}, id="defaults"),
        pytest.param({"records": {"zip": ["hourly.time", "hourly.rain"], "names": ["at", "rain"]}}, id="zip"),
        pytest.param({"requests": [request(params={"filter": '{"a": 1}'})]}, id="braces of JSON"),
        pytest.param({"requests": [request(path="/orders", params={"shop": "{shop}"})]}, id="in a parameter"),
        pytest.param({"requests": [request(path="/{+shop}/orders")], "emptyStatuses": [404, 409]}, id="with slashes"),
        pytest.param({"requests": [request(path="/orders", headers={"X-Shop": "{shop}"})]}, id="in a header"),
        pytest.param({"keepRaw": {"bucket": "raw-data", "key": "{shop}/{date}/{time}/{run}-{page}.json"}}, id="key"),
        pytest.param({"auth": {"type": "api_key", "in": "query", "name": "appid"}}, id="key in the query"),
        pytest.param(
            {"incremental": {"cursor": "t", "startParam": "from", "unit": "ms", "initialValue": 1764350000000}},
            id="milliseconds",
        ),
        pytest.param({"incremental": {"cursor": "t", "lag": "1h"}}, id="lag without a start"),
    ],
)
def test_sound_definitions_have_no_problem(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert problems(tmp_path, **changes) == []


VALUES = """
    params: {version: 1.10, size: 1e3, whole: 007, signed: +5, day: 2024-01-31, answer: yes, flag: True, plain: true,
             limit: 100, quoted: "1.10"}
    forEach: {shop: [1.10, 1.1, +5, NO, 2024-01-31]}
"""


def test_values_are_sent_as_they_are_written(tmp_path: Path) -> None:
    content = EXAMPLE.replace("    params: {limit: 100}\n    forEach: {shop: [north, south]}\n", VALUES.lstrip("\n"))
    content = content.replace("initialValue: '2024-01-01T00:00:00Z'", "initialValue: 1.50")
    source = read_source(written(tmp_path, content), find_contract)
    assert isinstance(source, RestSource)
    assert params_of(source.requests[0], {}) == {
        "version": "1.10", "size": "1e3", "whole": "007", "signed": "+5", "day": "2024-01-31", "answer": "yes",
        "flag": "True", "plain": "true", "limit": "100", "quoted": "1.10",
    }  # fmt: skip
    shops = ["1.10", "1.1", "+5", "NO", "2024-01-31"]
    assert [element.values["shop"] for element in elements(source)] == shops
    assert source.incremental is not None
    assert CursorTimes(source.incremental).start(None) == "1.50"


def test_number_of_a_header_must_be_quoted(tmp_path: Path) -> None:
    [(path, _, remedy)] = problems(tmp_path, requests=[request(headers={"X-Version": 1.5})])
    assert path == "requests[0].headers.X-Version"
    assert remedy == "write a text, in quotes if it looks like a number"


# One key

PAGES = "link_header, json_link, header_cursor, cursor, offset, page_number, single_page, last_value"
ONE_KEY = [
    pytest.param({"shedule": 1}, ("shedule", "unknown key", "write 'schedule', or remove it"), id="mistyped key"),
    pytest.param(
        {"keep_raw": None}, ("keep_raw", "unknown key", "write 'keepRaw', or remove it"), id="name of the field"
    ),
    pytest.param(
        {"requests": [request(pth="/x")]},
        ("requests[0].pth", "unknown key", "write 'path', or remove it"),
        id="in a list",
    ),
    pytest.param(
        {"pagination": {"type": "cursor", "cursorPth": "a", "cursorPath": "a", "param": "b"}},
        ("pagination.cursorPth", "unknown key", "write 'cursorPath', or remove it"),
        id="of the chosen type",
    ),
    pytest.param(
        {"pagination": {"type": "cursor", "cursor": "a", "cursorPath": "a", "param": "b"}},
        ("pagination.cursor", "unknown key", "write 'cursorPath', or remove it"),
        id="key named like a type",
    ),
    pytest.param(
        {"records": {"zip": ["a"], "nmes": ["a"]}}, ("records.nmes", "unknown key", "write 'names', or remove it"),
        id="of zip",
    ),
    pytest.param({"dataset": ...}, ("", "'dataset' is missing", "add 'dataset'"), id="missing key"),
    pytest.param(
        {"pagination": {"type": "cursor", "param": "b"}},
        ("pagination", "'cursorPath' is missing", "add 'cursorPath'"),
        id="missing key of a type",
    ),
    pytest.param(
        {"pagination": {"type": "curser"}},
        ("pagination.type", '"curser" is not known', "write 'cursor'"),
        id="mistyped type",
    ),
    pytest.param(
        {"pagination": {"param": "b"}}, ("pagination", "'type' is missing", f"add type: one of {PAGES}"), id="no type"
    ),
    pytest.param({"kind": "rset"}, ("kind", '"rset" is not known', "write 'rest'"), id="kind"),
    pytest.param({"kind": "ftp"}, ("kind", '"ftp" is not known', "use one of rest, database, bucket"), id="no kind"),
    pytest.param({"deliver": "topics"}, ("deliver", '"topics" is not known', "write 'topic'"), id="word"),
    pytest.param(
        {"token": "x"}, ("token", "unknown key", "remove it; it is a part of the connection"), id="part of a connection"
    ),
    pytest.param(
        {"records": "$.data"},
        (
            "records", '"$.data" is no path',
            "write the names of members and the indices of lists, separated by dots",
        ),
        id="path",
    ),
    pytest.param(
        {"incremental": {"cursor": "a", "overlap": "10 min"}},
        (
            "incremental.overlap", '"10 min" is no duration',
            "write a whole number and s, m, h or d, such as 10m",
        ),
        id="duration",
    ),
    pytest.param(
        {"incremental": {"cursor": "a", "lag": "999999d"}},
        ("incremental.lag", '"999999d" is too long', "write at most 36500d"),
        id="long duration",
    ),
    pytest.param(
        {"limits": {"pages": 0}},
        ("limits.pages", "0 is out of range", "write a number greater than or equal to 1"),
        id="bound",
    ),
    pytest.param(
        {"limits": {"pages": "many"}},
        ("limits.pages", '"many" has the wrong type', "write a whole number"),
        id="number",
    ),
    pytest.param({"requests": []}, ("requests", "has too few values", "give at least 1"), id="no request"),
    pytest.param(
        {"records": ["a"]},
        (
            "records", '["a"] has the wrong type',
            "write a text or a mapping of keys to values",
        ),
        id="neither path nor zip",
    ),
    pytest.param(
        {"records": {"zip": "a"}}, ("records.zip", '"a" has the wrong type', "write a list"), id="zip of one path"
    ),
    pytest.param(
        {"requests": [request(params={1: "a"})]},
        (
            "requests[0].params.1", "the value has the wrong type",
            "write a text, in quotes if it looks like a number",
        ),
        id="key that is a number",
    ),
    pytest.param(
        {"requests": [request(params={"limit": [1]})]},
        (
            "requests[0].params.limit", "the value has the wrong type",
            "write a text or true or false or a whole number or a number",
        ),
        id="parameter",
    ),
    pytest.param(
        {"connection": "shop"},
        (
            "connection", '"shop" is not allowed here',
            "write source_ and a name of lower-case letters, digits and _",
        ),
        id="pattern",
    ),
    pytest.param(
        {"requests": [request(headers={"bad name": "x"})]},
        (
            "requests[0].headers.bad name", "the name 'bad name' is not allowed here",
            "use letters, digits and -, at most 100 characters",
        ),
        id="name of a header",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "problem"), ONE_KEY)
def test_fault_of_one_key_is_named(tmp_path: Path, changes: dict[str, Any], problem: tuple[str, str, str]) -> None:
    assert problems(tmp_path, **changes) == [problem]


ODD = (None, True, -1, 1.5, "", "x", "\0", "{x}", [], [None], [[]], {}, {"x": {}}, {1: 2}, {"type": 1}, {"zip": [1]})


def test_odd_value_anywhere_is_a_problem_and_no_other_error(tmp_path: Path) -> None:
    """Each value of the example is replaced by each odd one. Some are sound, such as no schedule."""

    def changed(node: Any, odd: Any) -> Iterator[Any]:
        yield odd
        if isinstance(node, dict):
            for key, value in node.items():
                yield from (node | {key: one} for one in changed(value, odd))
        elif isinstance(node, list):
            for index, value in enumerate(node):
                yield from ([*node[:index], one, *node[index + 1 :]] for one in changed(value, odd))

    path, found = tmp_path / "shop_orders.yaml", []
    for odd in ODD:
        for content in changed(document(), odd):
            path.write_text(yaml.safe_dump(content), encoding="utf-8")
            try:
                read_source(path, find_contract)
            except SourceError as error:
                found.append(error.problems)
    assert len(found) > 300
    assert all(problems and all(one.what and one.remedy for one in problems) for problems in found)


def test_every_fault_is_listed(tmp_path: Path) -> None:
    found = problems(tmp_path, kind="x", limits={"pages": -1}, requests=[request(path="orders")])
    assert [where for where, _, _ in found] == ["limits.pages", "kind", "requests[0].path"]


def test_values_of_parameters_and_headers_are_not_shown(tmp_path: Path) -> None:
    """One may be a secret that does not belong here."""
    wrong = request(params={"key": ["s3cret"]}, headers={"X-Key": {"s3cret": 1}})
    with pytest.raises(SourceError) as caught:
        read(tmp_path, requests=[wrong])
    assert len(caught.value.problems) == 2
    assert "s3cret" not in f"{caught.value} {caught.value!r} {caught.value.__cause__}"


def test_every_pattern_has_its_remedy() -> None:
    def patterns(node: Any) -> set[str]:
        if isinstance(node, dict):
            own = {node["pattern"]} if isinstance(node.get("pattern"), str) else set()
            own |= set(node["patternProperties"]) if "patternProperties" in node else set()
            return own.union(*map(patterns, node.values()))
        return set().union(*map(patterns, node)) if isinstance(node, list) else set()

    durations = {"^([0-9]{1,6})(s|m|h|d)$"}  # checked by a function with a remedy of its own
    assert patterns(json.loads(json.dumps(schema()))) - durations == set(FORMS_OF_PATTERNS)


# Several keys

RULES = [
    pytest.param(
        {"requests": [request(path="/shops/{shp}/orders/{shop}")]},
        [("requests[0].path", "the placeholder {shp} is not known", "write 'shop', or remove it")],
        id="unknown placeholder",
    ),
    pytest.param(
        {"requests": [request(params={"day": "{day}"}, path="/orders", forEach=...)]},
        [("requests[0].params.day", "the placeholder {day} is not known", "add day to forEach, or remove it")],
        id="placeholder without lists",
    ),
    pytest.param(
        {"requests": [request(headers={"X-Day": "{Day}"})]},
        [("requests[0].headers.X-Day", "the placeholder {Day} is not known", "use one of shop")],
        id="placeholder in a header",
    ),
    *[
        pytest.param(
            {"requests": [request(headers={"X-Shop": text}, forEach={"shop": [value]})]},
            [
                ("requests[0].headers.X-Shop", "the value cannot be sent in a header",
                 "use printable ASCII characters, without blanks at the ends, also in values of forEach")
            ],
            id=f"header with {what}",
        )
        for what, text, value in [
            ("a letter outside of ASCII", "Zürich", "a"), ("a line end", "a\nb", "a"),
            ("a blank at its end", "a ", "a"),
            ("such a letter of a value", "{shop}", "Zürich"), ("such a blank of a value", "{shop}", " a"),
        ]
    ],
    pytest.param(
        {"requests": [request(path="/orders")]},
        [
            ("requests[0].forEach.shop", "no text of this request and no column uses it",
             "write {shop} into path or params, add a column _for_shop to the contract, or remove it")
        ],
        id="list that nothing uses",
    ),
    pytest.param(
        {"requests": [request(path="/orders/{date}", forEach={"date": ["2026-01-01"]})]},
        [
            ("requests[0].forEach.date", "{date} is a placeholder of keepRaw.key",
             "choose another name, such as date_of")
        ],
        id="name of keepRaw",
    ),
    pytest.param(
        {"requests": [request(params={"updated_since": "2024-01-01"})]},
        [
            ("requests[0].params.updated_since", "incremental.startParam sets it",
             "remove it here; see initialValue")
        ],
        id="start parameter",
    ),
    *(
        pytest.param(
            {"requests": [request(headers={header: "x"})]},
            [
                (f"requests[0].headers.{header}", "a login is no part of a definition",
                 "put it into the connection, and write auth")
            ],
            id=header,
        )
        for header in ("Authorization", "cookie", "Proxy-Authorization")
    ),
    pytest.param(
        {"requests": [request(params={"API_KEY": "x"})]},
        [
            ("requests[0].params.API_KEY", "a secret is no part of a definition",
             "put it into the connection, and write auth")
        ],
        id="secret parameter",
    ),
    pytest.param(
        {"auth": {"type": "api_key", "in": "query", "name": "limit"}},
        [("requests[0].params.limit", "auth sets it, from the connection", "remove it here")],
        id="parameter of auth",
    ),
    pytest.param(
        {"auth": {"type": "api_key", "in": "header", "name": "X-Key"}, "requests": [request(headers={"x-key": "a"})]},
        [("requests[0].headers.x-key", "auth sets it, from the connection", "remove it here")],
        id="header of auth",
    ),
    pytest.param(
        {"keepRaw": {"bucket": "raw-data", "key": "orders/{day}.json"}},
        [
            ("keepRaw.key", "the placeholder {day} is not known",
             "use one of date, page, run, shop, time")
        ],
        id="placeholder of keepRaw",
    ),
    pytest.param(
        {"keepRaw": {"bucket": "raw-data", "key": "{+shop}/{time}.json"}},
        [
            ("keepRaw.key", "{+…} is for the paths of requests",
             "remove the +: a slash of a value becomes a hyphen here")
        ],
        id="slashes in keepRaw",
    ),
    pytest.param(
        {
            "keepRaw": {"bucket": "raw-data", "key": "{shop}/{time}.json"},
            "requests": [request(), request(path="/all", forEach=...)],
        },
        [("keepRaw.key", "the placeholder {shop} is not known", "use one of date, page, run, time")],
        id="placeholder of some requests",
    ),
    *(
        pytest.param(
            {"keepRaw": {"bucket": "raw-data", "key": key}},
            [
                ("keepRaw.key", f'"{key}" is no key of an object',
                 "separate names by single slashes, as shop-orders/{date}/{time}-{page}.json")
            ],
            id=f"key {key}",
        )
        for key in ("/orders.json", "a//b.json", "../b.json", "a/")
    ),
    pytest.param(
        {"incremental": {"cursor": "at", "startParam": "from", "unit": "s", "initialValue": "2024-01-01"}},
        [
            ("incremental.initialValue", '"2024-01-01" does not fit to unit: s',
             "write a whole number of seconds since 1970")
        ],
        id="initial value",
    ),
    pytest.param(
        {"incremental": {"cursor": "at", "initialValue": "2024-01-01", "overlap": "1h", "lag": "1m"}},
        [
            (f"incremental.{key}", "has no effect without startParam: each run reads all records",
             "add startParam, the API's parameter of the start, or remove it")
            for key in ("initialValue", "overlap")
        ],
        id="no start is sent",
    ),
    pytest.param(
        {"records": {"zip": ["a.x", "a.y"], "names": ["x"]}},
        [("records.names", "1 names for 2 arrays", "write one for each path of zip, or leave names out")],
        id="names of zip",
    ),
    pytest.param(
        {"records": {"zip": ["a.x", "b.x"]}},
        [("records", "two arrays have one name", "write names: one for each path of zip, all different")],
        id="one name twice",
    ),
    pytest.param(
        {"name": "orders"},
        [
            ("name", "'orders' differs from the file's name",
             "rename the file to orders.yaml, or the source to shop_orders")
        ],
        id="name of the file",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "expected"), RULES)
def test_rule_over_several_keys(tmp_path: Path, changes: dict[str, Any], expected: list[tuple[str, str, str]]) -> None:
    assert problems(tmp_path, **changes) == expected


@pytest.mark.parametrize(
    "schedule",
    [
        "@continuous",
        "@often",
        "* * * *",
        "* * * * * *",
        "61 * * * *",
        "0 0 30 2 *",
        "H * * * *",
        "R * * * *",
        "0 0 1 x *",
    ],
)
def test_schedule_that_airflow_cannot_use_is_refused(tmp_path: Path, schedule: str) -> None:
    [(where, what, remedy)] = problems(tmp_path, schedule=schedule)
    assert where == "schedule"
    assert what.startswith(f'"{schedule}" is no cron expression')
    assert remedy.startswith("write five fields, such as '*/30 * * * *', one of @hourly, ")


@pytest.mark.parametrize(
    ("values", "places"),
    [
        pytest.param([], [("", "no values")], id="none"),
        pytest.param(["a", "a"], [("[1]", '"a" is there twice')], id="twice"),
        pytest.param([1, "1"], [("[1]", '"1" is there twice')], id="number and text"),
        pytest.param(["a\nb"], [("[0]", r'"a\nb" cannot be a part of an address')], id="line break"),
        pytest.param(["x" * 200], [("[0]", f'"{"x" * 76}... cannot be a part of an address')], id="long"),
        pytest.param([".."], [("[0]", '".." cannot be a part of an address')], id="dots"),
        pytest.param([""], [("[0]", '"" cannot be a part of an address')], id="empty"),
        pytest.param(["x" * 199, "Zürich", 7, True], [], id="sound"),
    ],
)
def test_values_of_lists_are_safe(tmp_path: Path, values: list[Any], places: list[tuple[str, str]]) -> None:
    found = problems(tmp_path, requests=[request(forEach={"shop": values})])
    assert [(where, what) for where, what, _ in found] == [
        (f"requests[0].forEach.shop{index}", what) for index, what in places
    ]


def test_combinations_have_a_limit(tmp_path: Path) -> None:
    lists = {"shop": list(range(40)), "day": list(range(25))}
    path = "/shops/{shop}/{day}"
    assert MOST_ELEMENTS == 40 * 25
    assert problems(tmp_path, requests=[request(path=path, forEach=lists)]) == []
    [(where, what, _)] = problems(tmp_path, requests=[request(path=path, forEach=lists), request()])
    assert (where, what) == ("requests", "1,002 combinations of values")


def test_address_of_an_element_has_a_limit(tmp_path: Path) -> None:
    lists = {name: ["ü" * 166, "x"] for name in ("a", "b")}  # a letter of two bytes is written in six
    assert problems(tmp_path, requests=[request(path="/abcde/{a}/{b}", forEach=lists)]) == []
    [(where, what, remedy)] = problems(tmp_path, requests=[request(), request(path="/abcdef/{a}/{b}", forEach=lists)])
    assert (where, what) == ("requests[1]", "an address of 2,001 bytes")
    assert remedy == "path and values take at most 2,000 bytes, percent-encoded: shorten them"


# Definition and contract


def of_contract(contract: Contract = ORDERS, **values: Any) -> Contract:
    return replace(contract, **values)


SNAPSHOT = replace(ORDERS, mode=Mode.SNAPSHOT, deletes=Deletes.HARD)
TOGETHER = [
    pytest.param(
        replace(ORDERS, dialect=Dialect(record_path="data")), {},
        ("dataset", "the contract shop_orders.yaml has a recordPath too",
         "remove it there: the records are taken from the answer here"),
        id="recordPath",
    ),
    pytest.param(
        ORDERS, {"deliver": "topic"},
        ("deliver", "the contract shop_orders.yaml has no topic",
         "add topic to the contract's property ingestion, or write deliver: file"),
        id="no topic",
    ),
    pytest.param(
        replace(TOPIC, key=APPEND_KEY), {"deliver": "topic"},
        ("deliver", "messages need a key: a crash may repeat them",
         "mark columns of the contract with primaryKey: true, or write deliver: file"),
        id="no key",
    ),
    *(
        pytest.param(
            SNAPSHOT, changes,
            ("dataset", "a file of this source is never the whole table, as mode: snapshot of shop_orders.yaml says",
             "remove mode there, or collect everything with one request"),
            id=f"snapshot and {name}",
        )
        for name, changes in {
            "incremental": {"requests": [request(path="/orders", forEach=...)]},
            "lists": {"incremental": ...},
        }.items()
    ),
]  # fmt: skip


@pytest.mark.parametrize(("contract", "changes", "problem"), TOGETHER)
def test_rule_over_definition_and_contract(
    tmp_path: Path, contract: Contract, changes: dict[str, Any], problem: tuple[str, str, str]
) -> None:
    assert problems(tmp_path, contract, **changes) == [problem]


@pytest.mark.parametrize(
    ("contract", "changes"),
    [
        pytest.param(TOPIC, {"deliver": "topic"}, id="topic"),
        pytest.param(
            replace(ORDERS, columns=(*ORDERS.columns, Column("shop", ColumnType.TEXT, path="_for_shop"))),
            {"requests": [request(path="/orders")]},
            id="list for a column at a path",
        ),
        pytest.param(
            replace(ORDERS, columns=(*ORDERS.columns, Column("_for_shop", ColumnType.TEXT))),
            {"requests": [request(path="/orders")]},
            id="list for a column of that name",
        ),
        pytest.param(TOPIC, {"deliver": "file"}, id="file, though there is a topic"),
        pytest.param(replace(ORDERS, key=APPEND_KEY), {}, id="file without a key"),
        pytest.param(
            SNAPSHOT, {"incremental": ..., "requests": [request(path="/orders", forEach=...)]}, id="whole table"
        ),
    ],
)
def test_contract_that_fits(tmp_path: Path, contract: Contract, changes: dict[str, Any]) -> None:
    assert problems(tmp_path, contract, **changes) == []


@pytest.mark.parametrize(
    ("dataset", "what", "remedy"),
    [
        pytest.param(
            "shop_order", "there is no contract for 'shop_order'; did you mean shop_orders? datasets: shop_orders",
            "correct the name, or write the contract: `filegate contract draft`", id="none",
        ),
        pytest.param(
            "broken", "the contract cannot be used: broken.yaml has 1 problem",
            "correct it: `filegate contract check`", id="broken",
        ),
    ],
)  # fmt: skip
def test_dataset_needs_a_sound_contract(tmp_path: Path, dataset: str, what: str, remedy: str) -> None:
    with pytest.raises(SourceError) as caught:
        read_source(written(tmp_path, document(dataset=dataset)), find_contract)
    assert [(one.path, one.what, one.remedy) for one in caught.value.problems] == [("dataset", what, remedy)]


def test_contract_of_a_table_is_drafted_from_the_database(tmp_path: Path) -> None:
    text = DATABASE_EXAMPLE.replace("dataset: users", "dataset: orders")
    with pytest.raises(SourceError) as caught:
        read_source(written(tmp_path, text, "crm_users.yaml"), find_contract)
    [problem] = caught.value.problems
    assert problem.remedy == "correct the name, or write the contract: `filegate source draft`"


# Files


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("a: [", "line 2, column 1: ", id="broken YAML"),
        pytest.param("name: a\nname: b\n", "line 2, column 1: the key 'name' appears twice", id="key twice"),
        pytest.param("a: &x [1]\nb: *x\n", "line 1, column 4: anchors", id="anchor"),
        pytest.param("a: !!python/name:os.system\n", "line 1, column 4: tags are not allowed", id="tag"),
        pytest.param("[" * 40 + "]" * 40, "nested deeper than 32 levels", id="deep"),
        pytest.param("- a\n", "not a mapping of keys to values. Remedy: start from the example", id="list"),
        pytest.param("a: " + "x" * MAX_BYTES, "larger than 256 KiB. Remedy: a definition describes one", id="large"),
    ],
)
def test_file_that_is_no_definition(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(SourceError) as caught:
        read_source(written(tmp_path, text), find_contract)
    [only] = caught.value.problems
    assert problem in str(only)


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read: No such file or directory"):
        read_source(tmp_path / "none.yaml", find_contract)


def test_error_has_code_file_and_every_problem_also_after_pickling(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        read(tmp_path, schedule="@often", name="orders")
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert error.code is Code.SOURCE_INVALID
        assert error.file == tmp_path / "shop_orders.yaml"
        first, *others = str(error).splitlines()
        assert first == f"source: source-invalid: shop_orders.yaml has 2 problems ({error.file})"
        assert [line.split(":")[0] for line in others] == ["  - name", "  - schedule"]


# Folders


def test_catalog_has_sound_definitions_and_the_errors_of_the_others(tmp_path: Path) -> None:
    written(tmp_path, document())
    written(tmp_path, document(name="b_orders"), "b_orders.yml")
    written(tmp_path, document(name="other"), "a_orders.yaml")
    written(tmp_path, "a: [", "z.yaml")
    written(tmp_path, "no definition", "notes.txt")
    written(tmp_path, "a: [", ".shop_orders.yaml")
    (tmp_path / "folder").mkdir()
    found = read_sources(tmp_path, find_contract)
    assert list(found.sources) == ["b_orders", "shop_orders"]
    assert [error.file.name for error in found.broken] == ["a_orders.yaml", "z.yaml"]


def test_two_files_of_one_name(tmp_path: Path) -> None:
    written(tmp_path, document())
    written(tmp_path, document(), "shop_orders.yml")
    found = read_sources(tmp_path, find_contract)
    assert list(found.sources) == ["shop_orders"]
    [error] = found.broken
    assert "another file describes 'shop_orders' too" in str(error)


def test_folder_that_does_not_exist_has_no_definitions_and_no_contract_is_read(tmp_path: Path) -> None:
    def no_contract(_: str) -> Contract:
        raise AssertionError

    for folder in (tmp_path / "none", tmp_path):
        found = read_sources(folder, no_contract)
        assert (found.sources, found.broken) == ({}, ())


def test_only_one_definition_is_read(tmp_path: Path) -> None:
    written(tmp_path, document())
    written(tmp_path, "a: [", "z.yaml")
    found = read_sources(tmp_path, find_contract, only="shop_orders")
    assert (list(found.sources), found.broken) == (["shop_orders"], ())


def test_contracts_are_those_of_the_settings(tmp_path: Path) -> None:
    source = read_source(written(tmp_path, document(dataset="sales")))
    assert source.dataset == "sales"
    with pytest.raises(SourceError, match="there is no contract for 'sale'; did you mean sales"):
        read_source(written(tmp_path, document(dataset="sale")))
