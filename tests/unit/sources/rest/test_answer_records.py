"""Records are cut out of an answer as they are, and become lines with the members that the contract wants."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from include.contracts.model import Column, ColumnType, Contract
from include.ingestion.engine import engine
from include.ingestion.readers.row_by_row import read_json_rows
from include.ingestion.records import FileFormat, SpooledFile
from include.settings import IngestSettings
from include.sources.definition import Zip
from include.sources.listing import Element
from include.sources.rest.answer_text import AnswerText, BadAnswerError
from include.sources.rest.records import AnswerRecords, RecordLines, cursor_of, line_of, redacted_line

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.unit

AT = datetime(2026, 12, 1, 10, 0, tzinfo=UTC)
TEXT, INTEGER = ColumnType.TEXT, ColumnType.INTEGER


def contract(*columns: Column) -> Contract:
    return Contract("things", "1", "", columns or (Column("id", INTEGER),), ("id",), None, Path("things.yaml"))


def records_of(body: bytes | str, at: str | Zip | None = None, columns: Sequence[Column] = ()) -> AnswerRecords:
    lines = RecordLines(contract(*columns), Element("/"))
    return lines.read(body if isinstance(body, bytes) else body.encode(), "application/json", at)


def lines_of(
    body: str, at: str | Zip | None = None, columns: Sequence[Column] = (), values: dict[str, str] | None = None
) -> list[bytes]:
    lines = RecordLines(contract(*columns), Element("/", values or {}))
    records = lines.read(body.encode(), "application/json", at)
    members = lines.begin(records.answer, AT)
    return [line_of(record, members) for record in records]


ODD = '{"n": 1.10e+05, "n":-0, "t":"\\u00e9\\/\\ud800", "big":12345678901234567890.10, "in":[1, {"a" : null}]}'


@pytest.mark.parametrize(
    ("body", "at"),
    [
        pytest.param(f"[{ODD},{ODD}]", None, id="list"),
        pytest.param(f' \n[ {ODD} ,\t{ODD} ]\r\n', None, id="list with blanks"),
        pytest.param(f'{{"data":[{ODD},{ODD}],"next":null}}', "data", id="at a path"),
        pytest.param(f'{{"a":{{"b":[0,{{"c":[{ODD},{ODD}]}}]}},"z":[{{}}]}}', "a.b.1.c", id="at an index"),
        pytest.param(f'\ufeff[{ODD},{ODD}]', None, id="byte order mark"),
    ],
)  # fmt: skip
def test_records_are_the_text_of_the_answer(body: str, at: str | None) -> None:
    records = records_of(body, at)
    assert list(records) == [ODD, ODD]
    assert (len(records), records.record(-1)) == (2, ODD)


@pytest.mark.parametrize(
    ("body", "at", "count"),
    [
        pytest.param(ODD, None, 1, id="one object"),
        pytest.param(f'{{"data": {ODD}}}', "data", 1, id="one object at a path"),
        pytest.param("{}", None, 1, id="object without members"),
        pytest.param("[]", None, 0, id="empty list"),
        pytest.param('{"data": [ ]}', "data", 0, id="empty list at a path"),
    ],
)
def test_object_is_one_record_and_an_empty_list_is_none(body: str, at: str | None, count: int) -> None:
    assert len(records_of(body, at)) == count


@pytest.mark.parametrize(
    ("body", "at", "why"),
    [
        pytest.param('{"message": "limit"}', "data", "no records at 'data'", id="no such member"),
        pytest.param('{"data": null}', "data", "no records at 'data'", id="null"),
        pytest.param('{"data": "x"}', "data", "no records at 'data'", id="text"),
        pytest.param('{"data": 5}', "data", "no records at 'data'", id="number"),
        pytest.param('{"data": []}', "data.rows", "no records at 'data.rows'", id="path into a list"),
        pytest.param("[[1]]", "1", "no records at '1'", id="index behind the end"),
        pytest.param("null", None, "no records", id="the answer is null"),
        pytest.param('"ok"', None, "no records", id="the answer is a text"),
        pytest.param("", None, "is empty", id="empty answer"),
        pytest.param("<html>oh</html>", None, "is not JSON at its character 1", id="HTML"),
        pytest.param('[{"a":1},{"b"', None, "is not JSON at its character 10", id="cut off in a record"),
        pytest.param('[{"a":1},', None, "is cut off", id="cut off between records"),
        pytest.param('{"data":[{"a":1}]', "data", "is cut off", id="cut off behind the records"),
        pytest.param('[{"a":1} {"b":2}]', None, "is not JSON at its character 10", id="no comma"),
        pytest.param('[{"a":1},]', None, "is not JSON at its character 10", id="comma before the end"),
        pytest.param('[{"a":1}] x', None, "is not JSON at its character 11", id="text behind the list"),
        pytest.param('{"data":[1],"meta":{x}}', "data", "is not JSON at its character 20", id="broken elsewhere"),
        pytest.param('{"data":[1],"data":[2]}', "data", "the member 'data' twice", id="path is ambiguous"),
        pytest.param('{1:[1]}', "data", "is not JSON at its character 2", id="key without quotes"),
        pytest.param('{"data" [1]}', "data", "is not JSON at its character 2", id="key without a colon"),
    ],
)  # fmt: skip
def test_answer_without_records_is_an_error(body: str, at: str | None, why: str) -> None:
    with pytest.raises(BadAnswerError, match=why):
        records_of(body, at)


@pytest.mark.parametrize(
    "record", ['{"a": NaN}', '{"a": 1 "b": 2}', "NaN", "{'a': 1}", '{"a":' + "[" * 2000 + "]" * 2000 + "}"]
)
def test_record_that_cannot_be_read_is_cut_out_by_its_brackets(record: str) -> None:
    assert list(records_of(f'[{record}, {{"a": 2}}]')) == [record, '{"a": 2}']


def test_record_that_cannot_be_read_may_be_at_a_path_that_is_asked_for() -> None:
    text = AnswerText("[[1, NaN], [2, 3]]", [()], [("0",), ("0", "0"), ("1", "0")])
    assert [text.text[slice(*spot)] for spot in text.items(()) or []] == ["[1, NaN]", "[2, 3]"]
    assert (text.single(("0", "0")), text.single(("1", "0"))) == (None, "2")


def test_bytes_that_are_not_utf_8_stay_unless_the_answer_names_their_encoding() -> None:
    lines, body = RecordLines(contract(), Element("/")), '[{"t": "é"}]'.encode("latin-1")
    [as_it_is] = lines.read(body, "application/json", None)
    assert line_of(as_it_is, "") == body[1:-1]
    [named] = lines.read(body, "application/json; charset=ISO-8859-1", None)
    assert line_of(named, "") == '{"t": "é"}'.encode()
    for unknown in ("base64", "nonsense", "utf-8"):
        assert line_of(*lines.read(body, f"application/json; charset={unknown}", None), "") == body[1:-1]


# Errors with a good status


@pytest.mark.parametrize(
    "body",
    [
        pytest.param('{"code": -1121, "msg": "Invalid symbol."}', id="code and message"),
        pytest.param('{"status": {"error_code": 429}, "error": "limit"}', id="error among others"),
        pytest.param('{"error": true, "reason": "Cannot initialize"}', id="error is true"),
        pytest.param('{"Message": "Forbidden"}', id="message alone"),
        pytest.param('{"data": [], "errors": [{"title": "x"}]}', id="errors beside data"),
    ],
)
def test_error_with_a_good_status_is_no_record(body: str) -> None:
    with pytest.raises(BadAnswerError, match="is an error"):
        records_of(body, None)


def test_error_beside_an_empty_list_is_an_error_and_beside_records_it_is_not() -> None:
    with pytest.raises(BadAnswerError, match="is an error"):
        records_of('{"data": [], "error": {"code": 1}}', "data")
    assert len(records_of('{"data": [1], "errors": ["one is missing"]}', "data")) == 1
    for none in ("null", "false", "0", '""', "[ ]", "{}"):
        assert len(records_of(f'{{"data": [], "error": {none}}}', "data")) == 0


def test_object_whose_members_the_contract_has_is_a_record() -> None:
    columns = [Column("code", INTEGER), Column("message", TEXT)]
    assert len(records_of('{"code": 1, "message": "hello"}', None, columns)) == 1
    assert len(records_of('{"id": 1, "error": "paper jam"}', None, [Column("id", INTEGER), Column("error", TEXT)])) == 1
    assert len(records_of('{"id": 1, "message": "hello"}', None)) == 1


# Arrays that are zipped


def test_arrays_become_records() -> None:
    body = '{"hourly": {"time": ["10:00", "11:00"], "temp": [1.50, null], "x": [9]}, "units": {"temp": "C"}}'
    at = Zip(zip=("hourly.time", "hourly.temp"))
    assert list(records_of(body, at)) == ['{"time":"10:00","temp":1.50}', '{"time":"11:00","temp":null}']
    named = Zip(zip=("hourly.time", "hourly.temp"), names=("at", 'say "t"'))
    assert records_of(body, named).record(-1) == '{"at":"11:00","say \\"t\\"":null}'


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ('{"a": [1, 2], "b": [1]}', "arrays of different lengths to be zipped: 2, 1 elements"),
        ('{"a": [1, 2]}', "no array at 'b'"),
        ('{"a": [1, 2], "b": null}', "no array at 'b'"),
        ('{"a": [1, 2], "b": {"0": 1}}', "no array at 'b'"),
    ],
)
def test_arrays_that_do_not_match_are_an_error(body: str, why: str) -> None:
    with pytest.raises(BadAnswerError, match=why):
        records_of(body, Zip(zip=("a", "b")))


def test_empty_arrays_are_no_records() -> None:
    assert len(records_of('{"a": [], "b": []}', Zip(zip=("a", "b")))) == 0


# Lines


def test_line_is_the_record_without_line_ends() -> None:
    assert lines_of('[{"a":\n 1,\r\n "b": "x\\ny"}]') == [b'{"a":\t 1,\t\t "b": "x\\ny"}']


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_line_end_inside_a_text_does_not_become_a_part_of_it(end: str) -> None:
    [line] = lines_of(f'[{{"id": 1, "name": "a{end}b"}}]')
    assert b"\n" not in line
    with pytest.raises(ValueError, match="control character"):
        json.loads(line)


@pytest.mark.parametrize(
    ("record", "line"),
    [
        ("[1.10, \"a,[b\\\"\", null, true]", '{"0":1.10,"1":"a,[b\\"","2":null,"3":true}'),
        ('[1, [2, {"a": 3}], {}]', '{"0":1,"1":[2, {"a": 3}],"2":{}}'),
        ("[]", "{}"),
        ("[1 2]", "[1 2]"),
        ("[NaN]", "[NaN]"),
        ("5", "5"), ("null", "null"), ('"text"', '"text"'),
    ],
)  # fmt: skip
def test_list_becomes_an_object_and_other_values_stay(record: str, line: str) -> None:
    assert lines_of(f"[{record}]") == [line.encode()]


def test_members_of_the_request_come_first_if_the_contract_has_them() -> None:
    columns = [
        Column("id", INTEGER),
        Column("city", TEXT, path="_for_city"),
        Column("collected_at", ColumnType.TIMESTAMP),
    ]
    values = {"city": 'Bad "K"', "kind": "new"}
    assert lines_of('[{"id": 1},{ }]', None, columns, values) == [
        rb'{"_for_city":"Bad \"K\"","_collected_at":"2026-12-01T10:00:00Z","id": 1}',
        rb'{"_for_city":"Bad \"K\"","_collected_at":"2026-12-01T10:00:00Z" }',
    ]
    assert lines_of('[{"id": 1}]', None, [Column("id", INTEGER)], values) == [b'{"id": 1}']
    assert lines_of("[[1]]", None, columns[1:2], values) == [rb'{"_for_city":"Bad \"K\"","0":1}']


@pytest.mark.parametrize(
    "column",
    [Column("for_city", TEXT), Column("city", TEXT, source_names=("_for_city",)), Column("x", TEXT, path="_for_city")],
    ids=["name", "source name", "path"],
)
def test_member_is_found_by_each_name_of_its_column(column: Column) -> None:
    assert lines_of("[{}]", None, [column], {"city": "Bonn"}) == [b'{"_for_city":"Bonn"}']


def test_derived_column_needs_no_member() -> None:
    assert lines_of("[{}]", None, [Column("for_city", TEXT, derived="'x'")], {"city": "Bonn"}) == [b"{}"]


def test_paths_that_climb_bring_the_parts_of_the_answer_that_they_need() -> None:
    body = '{"station": {"name": "K\\u00f6ln", "at": [1, 2.50], "more": 1}, "v": 1e2, "rows": [{"t": 1}]}'
    paths = ["^.station.name", "^.station.at.1", "^.v", "^.nothing", "^.station.name.first"]
    columns = [Column(f"c{at}", TEXT, path=path) for at, path in enumerate(paths)]
    assert lines_of(body, "rows", columns) == [
        rb'{"^":{"station":{"at":{"1":2.50},"name":"K\u00f6ln"},"v":1e2},"t": 1}'
    ]
    assert lines_of('{"rows": [{"t": 1}]}', "rows", columns) == [b'{"t": 1}']


def test_ingestion_reads_the_lines_by_the_paths_of_the_contract(tmp_path: Path) -> None:
    columns = [
        Column("id", INTEGER),
        Column("city", TEXT, path="_for_city"),
        Column("station", TEXT, path="^.station.name"),
        Column("second", TEXT, path="^.station.at.1"),
    ]
    body = '{"station": {"name": "K\\u00f6ln", "at": [1, 2.50]}, "rows": [{"id": 7}, {"id": "x"}]}'
    lines = lines_of(body, "rows", columns, {"city": "Bonn"})
    text = SpooledFile(tmp_path / "text", "", 0, False, True, False)
    text.path.write_bytes(b"\n".join(lines))
    with engine(tmp_path, IngestSettings()) as connection:
        chunks = list(read_json_rows(text, FileFormat.NDJSON, contract(*columns), connection, IngestSettings()))
    [good] = [chunk.good.to_pylist() for chunk in chunks]
    names = ("id", "city", "station", "second")
    assert [tuple(str(row[name]) for name in names) for row in good] == [("7", "Bonn", "Köln", "2.50")]
    assert [reject.source_row for chunk in chunks for reject in chunk.rejects] == [2]


# Other values


def test_values_at_paths_are_found_beside_the_records() -> None:
    text = AnswerText(
        '{"a": {"b": [10, 1.50]}, "next": null, "o": {"x": 1}}', (), [("a", "b", "-1"), ("next",), ("o",)]
    )
    assert text.single(("a", "b", "-1")) == "1.50"
    assert text.single(("next",)) is None
    assert text.single(("nowhere",)) is None
    with pytest.raises(BadAnswerError, match="has an object at 'o'"):
        text.single(("o",))


@pytest.mark.parametrize(
    ("record", "value"),
    [('{"at": {"t": "x"}}', "x"), ('{"at": {"t": 1.50}}', "1.50"), ('{"at": 1}', None), ("{", None), ('["a"]', None)],
)
def test_cursor_is_found_in_the_record(record: str, value: Any) -> None:
    assert cursor_of(record, ("at", "t")) == value


def test_digest_differs_between_pages() -> None:
    first, second = records_of('{"n": 1, "data": [1, 2]}', "data"), records_of('{"n": 2, "data": [1, 2]}', "data")
    assert first.digest() == second.digest()
    assert first.digest() != records_of('{"n": 1, "data": [1, 3]}', "data").digest()


def test_secret_is_replaced_in_the_texts_of_a_line_alone() -> None:
    line = redacted_line(b'{"key": "a 123 \\" 123", "n": 123}', lambda text: text.replace(b"123", b"***"))
    assert json.loads(line) == {"key": 'a *** " ***', "n": 123}
