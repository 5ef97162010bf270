"""Records inside JSON documents: record paths, keys of records, and what surrounds the records."""

import json
from pathlib import Path

import pytest

from include.contracts.dialect import Dialect
from include.contracts.model import Column, ColumnType, UnknownColumns
from include.errors import Code
from include.ingestion.readers import json_document
from include.ingestion.readers.json_document import inner_records
from include.ingestion.records import FileRefusedError
from include.settings import IngestSettings

pytestmark = pytest.mark.unit

DATA = Dialect(record_path="data")
KEYED = Dialect(key_column="id")


def found(tmp_path: Path, content: str, dialect: Dialect = DATA, limit: int = 1000) -> list[tuple]:
    path = tmp_path / "text"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    return [
        (record.line, record.code or record.members) if record.key is None
        else (record.line, record.key, record.code or record.members)
        for record in inner_records(path, limit, dialect)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        pytest.param("data", '{"data": [{"a": 1},\n{"a": 2}]}', [(1, "1"), (2, "2")], id="member"),
        pytest.param("r.s", '{"r": {"x": [1],\n "s": [{"a": 1}], "y": {}}, "z": null}', [(2, "1")], id="nested"),
        pytest.param("r.1.s", '{"r": [7, {"s": [{"a": 1}]}, {"s": [{"a": 2}]}]}', [(1, "1")], id="index"),
        pytest.param("0", '[[{"a": 1}], {"a": 2}]', [(1, "1")], id="index-at-the-top"),
        pytest.param("data.0", '{"data": {"0": [{"a": 1}]}}', [(1, "1")], id="digits-that-are-a-key"),
        pytest.param("data", '{"data":\n\n{"a": 1}}', [(3, "1")], id="one-object"),
        pytest.param("data", '{"data": []}', [], id="empty-list"),
        pytest.param("data", '{"d\\u0061ta": [{"a": 1}]}', [(1, "1")], id="key-with-an-escape"),
        pytest.param("Größe (m)", '{"Größe (m)": [{"a": 1}]}', [(1, "1")], id="key-of-any-characters"),
        pytest.param("data", '{"data": [{"a": 1}]}\n\ufeff{"data": [{"a": 2}]}{"data": []}', [(1, "1"), (2, "2")],
                     id="several-documents"),
        pytest.param("data", '{"x": {"data": [{"a": 9}]}, "data": [{"a": 1}]}', [(1, "1")],
                     id="same-key-at-another-level"),
        pytest.param("data", '{"x": {"k": 1, "k": 2}, "data": [{"a": 1}]}', [(1, "1")],
                     id="key-twice-outside-the-records"),
    ],
)  # fmt: skip
def test_records_at_a_path_have_their_lines(tmp_path: Path, path: str, content: str, expected: list) -> None:
    records = found(tmp_path, content, Dialect(record_path=path))
    assert records == [(line, {"a": value}) for line, value in expected]


REFUSED = [
    (DATA, '{"date": []}', Code.MISSING_RECORD_PATH, "begins in line 1 has nothing at 'data'"),
    (DATA, '{"data": []}\n{"x": 1}', Code.MISSING_RECORD_PATH, "begins in line 2 has nothing at 'data'"),
    (DATA, '[{"data": []}]', Code.MISSING_RECORD_PATH, "nothing at 'data'"),
    (DATA, '{"data": 5}', Code.MISSING_RECORD_PATH, "has a single value at 'data', where"),
    (DATA, '{"data": null}', Code.MISSING_RECORD_PATH, "has a single value at 'data', where"),
    (DATA, "5", Code.MISSING_RECORD_PATH, "nothing at 'data'"),
    (Dialect(record_path="a.2"), '{"a": [1, 2]}', Code.MISSING_RECORD_PATH, "nothing at 'a.2'"),
    (Dialect(record_path="a.01"), '{"a": [1, [{}]]}', Code.MISSING_RECORD_PATH, "nothing at 'a.01'"),
    (Dialect(record_path="a.x"), '{"a": [{"x": []}]}', Code.MISSING_RECORD_PATH, "nothing at 'a.x'"),
    (DATA, '{"data": [{}], "data": [{}]}', Code.DUPLICATE_COLUMNS, "'data' of the record path occurs twice"),
    (DATA, '{"data": 5, "data": [{}]}', Code.DUPLICATE_COLUMNS, "'data' of the record path occurs twice"),
    (DATA, '{"data": [{"a": 1}', Code.TRUNCATED_FILE, "cut off after record 1"),
    (DATA, '{"data": [{"a": 1', Code.TRUNCATED_FILE, "cut off in record 1"),
    (DATA, '{"data": [{"a": 1}]', Code.TRUNCATED_FILE, "cut off after record 1"),
    (DATA, '{"data": [{"a": 1}], "next":', Code.TRUNCATED_FILE, "cut off after record 1"),
    (DATA, '{"x": [1, ', Code.TRUNCATED_FILE, "cut off before any record (line 1)"),
    (DATA, '{"data": [{"a": 1}]} x', Code.UNREADABLE_FILE, "after record 1"),
    (DATA, '{"data": [{"a": 1}]]', Code.UNREADABLE_FILE, "a comma or the closing brace is missing"),
    (DATA, '{"data": [{"a": 1}], "n": NaN}', Code.UNREADABLE_FILE, "NaN is no JSON value"),
    (DATA, '{"x": 1, \n"data" [{"a": 1}]}', Code.UNREADABLE_FILE, "a colon after a key is missing"),
    (DATA, '{"x": 1, data: []}', Code.UNREADABLE_FILE, "a key in quotes is missing"),
    (DATA, '{"x": 1,}', Code.UNREADABLE_FILE, "a key in quotes is missing"),
    (DATA, '{"x": [1,], "data": []}', Code.UNREADABLE_FILE, "a record is missing after the comma"),
    (DATA, '{"data": 5, x', Code.UNREADABLE_FILE, "a key in quotes is missing"),
    (DATA, '{"x": ' + "[" * 3000 + "]" * 3000 + "}", Code.UNREADABLE_FILE, "deeper than 200 levels outside"),
    (DATA, '{"data": [{"a": "' + "y" * 4000 + '"}]}', Code.ROW_TOO_LONG, "Record 1 of the JSON document (line 1)"),
    (KEYED, "[]", Code.MISSING_RECORD_PATH, "has an array at its top, where the contract expects an object"),
    (Dialect("data", "id"), '{"data": [{}]}', Code.MISSING_RECORD_PATH, "has an array at 'data', where"),
]


@pytest.mark.parametrize("cut", [3, 1024**2])
@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case[2]} {case[1][:30]}")
def test_document_without_its_records_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int, case: tuple[Dialect, str, Code, str]
) -> None:
    dialect, content, code, words = case
    monkeypatch.setattr(json_document, "READ_CHARACTERS", cut)
    with pytest.raises(FileRefusedError) as caught:
        found(tmp_path, content, dialect)
    assert (caught.value.code, words in caught.value.message) == (code, True), caught.value.message


def test_long_value_outside_the_records_needs_no_more_memory_than_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_document, "READ_CHARACTERS", 100)
    long = json.dumps({"x": [{"y": [1.5] * 50}] * 100, "data": [{"a": 1}]})
    assert found(tmp_path, long, limit=200) == [(1, {"a": "1"})]
    with pytest.raises(FileRefusedError) as caught:
        found(tmp_path, '{"x": "' + "y" * 400 + '"}', limit=200)
    assert caught.value.code is Code.ROW_TOO_LONG
    assert "in line 1 of the JSON document, outside its records, is longer" in caught.value.message


@pytest.mark.parametrize("cut", [*range(1, 10), 1024**2])
def test_keyed_records_have_their_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    monkeypatch.setattr(json_document, "READ_CHARACTERS", cut)
    content = '{"a\\u0031": {"x": 1.50},\n"b": 5, "\\ud800": {}, "c": {"x": 1, "x": 2}, "\udcff": {}}{}'
    assert found(tmp_path, content, KEYED) == [
        (1, "a1", {"x": "1.50"}), (2, "b", Code.NOT_AN_OBJECT), (2, "\ud800", Code.BAD_ROW_JSON),
        (2, "c", Code.DUPLICATE_COLUMNS), (2, "\udcff", Code.BAD_ENCODING),
    ]  # fmt: skip


ID = Column("id", ColumnType.TEXT, required=True)
X = Column("x", ColumnType.INTEGER)
DEEP = Column("deep", ColumnType.NUMBER, precision=10, scale=2, path="m.0.value")


def rejects(validated) -> list[tuple]:
    return [(one.source_row, one.source_line, one.code) for one in validated.rejects.first]


def test_validate_refuses_each_record_whose_key_is_there_twice(stages, contract_of) -> None:
    contract = contract_of(ID, X, dialect=KEYED)
    content = b'{"a": {"x": 1},\n"b": {"x": 2},\n"a": {"x": 3},\n"c": {"id": "c", "x": 4}, "d": {"ID": "e"}}'
    validated = stages.validate(contract, content)
    assert [(row["id"], row["x"]) for row in stages.processed(contract, validated)] == [("b", 2), ("c", 4)]
    twice = Code.DUPLICATE_COLUMNS
    assert rejects(validated) == [(1, 1, twice), (3, 3, twice), (5, 4, twice)]
    assert [one.raw for one in validated.rejects.first] == ['"a": {"x": 1}', '"a": {"x": 3}', '"d": {"ID": "e"}']


def test_key_of_a_record_is_of_its_own_document(stages, contract_of) -> None:
    contract = contract_of(ID, X, dialect=Dialect("data", "id"), newest_by="x")
    content = b'{"data": {"a": {"x": 1}}}\n{"data": {"a": {"x": 2}}}'
    assert [(row["id"], row["x"]) for row in stages.rows(contract, content)] == [("a", 2)]


def test_key_column_needs_no_member_of_its_name(stages, contract_of) -> None:
    for mode in UnknownColumns:
        contract = contract_of(ID, X, dialect=KEYED, unknown_columns=mode)
        validated = stages.validate(contract, b'{"a": {"x": 1, "id": "a"}, "b": {"x": 2}}')
        assert (validated.rejects.rows, validated.extra_columns) == (0, ())
        assert [row["id"] for row in stages.processed(contract, validated)] == ["a", "b"]


@pytest.mark.parametrize(
    "case",
    [
        ({"m": [{"value": 1.5}]}, "1.50", None),
        ({"m": [{"value": "2", "unit": "K"}, 3]}, "2.00", {"m": [{"unit": "K"}, 3]}),
        ({"m": []}, None, None),
        ({"m": {"0": {"value": 3}}}, "3.00", None),
        ({"m": 7, "deep": 8}, None, {"m": 7, "deep": 8}),
        ({"m": [None, 4]}, None, {"m": [None, 4]}),
        ({"m": None}, None, None),
        ({}, None, None),
        ({"M": [{"value": 1}]}, None, {"M": [{"value": 1}]}),
        ({"m": [{"value": 1.5}], "x": 5, "new": [1]}, "1.50", {"new": [1]}),
    ],
    ids=["found", "remainder", "empty list", "digits as a key", "no container", "other element", "null", "none",
         "another case", "unknown beside it"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["ndjson", "array", "record path"])
def test_column_with_a_path_is_found_and_the_remainder_is_kept(
    stages, contract_of, kind: str, case: tuple[dict, str | None, dict | None]
) -> None:
    record, deep, rescued = case
    contract = contract_of(ID, X, DEEP, dialect=DATA if kind == "record path" else Dialect())
    text = json.dumps({"id": "a"} | record)
    content = {"ndjson": text + "\n", "array": f"[{text}]", "record path": f'{{"n": 1, "data": [{text}], "o": []}}'}
    (row,) = stages.rows(contract, content[kind].encode())
    assert (row["deep"] and str(row["deep"])) == deep
    assert (row["_rescued"] and json.loads(row["_rescued"])) == rescued


@pytest.mark.parametrize("mode", [UnknownColumns.REJECT, UnknownColumns.IGNORE, UnknownColumns.EVOLVE])
def test_member_with_which_a_path_begins_is_known(stages, contract_of, mode: UnknownColumns) -> None:
    contract = contract_of(ID, DEEP, unknown_columns=mode)
    validated = stages.validate(contract, b'{"id": "a", "m": [{"value": 1, "unit": "K"}]}\n')
    (row,) = stages.processed(contract, validated)
    assert (str(row["deep"]), validated.extra_columns) == ("1.00", ())
    kept = {"m": [{"unit": "K"}]} if mode is UnknownColumns.EVOLVE else None
    assert (row["_rescued"] and json.loads(row["_rescued"])) == kept


def test_column_may_be_the_whole_of_what_paths_enter(stages, contract_of) -> None:
    contract = contract_of(ID, DEEP, Column("m", ColumnType.JSON), Column("unit", ColumnType.TEXT, path="m.0.unit"))
    (row,) = stages.rows(contract, b'{"id": "a", "m": [{"value": 1.10, "unit": "K", "n": 5}]}\n')
    assert (str(row["deep"]), row["unit"], row["_rescued"]) == ("1.10", "K", None)
    assert row["m"] == '[{"value":1.10,"unit":"K","n":5}]'


def test_missing_path_of_a_required_column_is_a_missing_value(stages, contract_of) -> None:
    contract = contract_of(ID, Column("v", ColumnType.TEXT, path="m.v", required=True))
    validated = stages.validate(contract, b'{"id": "a", "m": {"v": 1}}\n{"id": "b"}\n{"id": "c", "m": {}}\n')
    assert rejects(validated) == [(2, 2, Code.MISSING_VALUE), (3, 3, Code.MISSING_VALUE)]
    refusal = stages.refusal(contract, b'{"id": "a", "v": 1}\n')
    assert (refusal.code, "v (at m.v)" in refusal.message) == (Code.MISSING_COLUMNS, True)


def test_csv_has_no_paths_and_its_columns_have_names(stages, contract_of) -> None:
    assert [str(row["deep"]) for row in stages.rows(contract_of(ID, DEEP), b"id,deep\na,1.5\n")] == ["1.50"]


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ('{"data": [{"id": "a"}], "meta": []}', "data"),
        ('{"page": 1,\n "response": {"errors": [], "stations": [{"id": "a"}, {"id": "b"}]}}', "response.stations"),
        ('{"links": [{"rel": 1}], "values": [{"id": 1}, {"id": 2}]}', "values"),
        ('{"other": 1}', None),
        ('{"data": [1, 2]}', None),
    ],
)
def test_refusal_names_the_likely_record_path(stages, contract_of, content: str, path: str | None) -> None:
    refusal = stages.refusal(contract_of(ID, X), content.encode())
    assert refusal.code is Code.MISSING_COLUMNS
    assert ("A list of objects is at" in refusal.message) is (path is not None)
    if path is not None:
        assert f"A list of objects is at '{path}'." in refusal.message
        assert f"recordPath: {path} to the dialect" in refusal.remedy
        assert len(stages.rows(contract_of(ID, X, dialect=Dialect(record_path=path)), content.encode())) > 0


def test_empty_list_of_records_is_no_rows(stages, contract_of) -> None:
    assert stages.refusal(contract_of(ID, dialect=DATA), b'{"data": []}').code is Code.NO_ROWS
    assert stages.refusal(contract_of(ID, dialect=KEYED), b"{}").code is Code.NO_ROWS


def test_lines_with_a_record_path_are_documents(stages, contract_of) -> None:
    contract = contract_of(ID, dialect=DATA)
    validated = stages.validate(contract, b'{"data": [{"id": "a"}, 5]}\n{"data": [{"id": "b"}]}\n')
    assert str(validated.layout) == "json"
    assert rejects(validated) == [(2, 1, Code.NOT_AN_OBJECT)]
    assert [row["id"] for row in stages.processed(contract, validated)] == ["a", "b"]


def test_raw_text_of_a_conflicting_duplicate_is_found_inside_the_document(stages, contract_of) -> None:
    contract = contract_of(ID, X, dialect=DATA)
    content = b'{"n": [{}],\n"data": [{"id": "a", "x": 1},\n{"id": "a", "x": 2}], "m": 1}'
    refused = stages.validate(contract, content).rejects.first
    assert [(one.source_line, one.raw) for one in refused] == [(2, '{"id": "a", "x": 1}'), (3, '{"id": "a", "x": 2}')]


def test_long_record_of_an_undescribed_document_is_refused_with_advice(stages, contract_of) -> None:
    content = b'{"data": [' + b", ".join([b'{"id": "a"}'] * 200) + b'],\n"n": 1}'
    refusal = stages.refusal(contract_of(ID), content, IngestSettings(max_row_bytes=1000))
    assert (refusal.code, "recordPath" in refusal.remedy) == (Code.ROW_TOO_LONG, True)
