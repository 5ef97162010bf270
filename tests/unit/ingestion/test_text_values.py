"""Values of CSV and JSON that other pipelines change silently: kept as the file has them, or refused."""

import json
import math
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contracts.model import Cleaning, Column, ColumnType, ErrorBudget, UnknownColumns
from include.errors import Code

pytestmark = pytest.mark.unit

ID = Column("id", ColumnType.TEXT, required=True)
TEXT = Column("n", ColumnType.TEXT)
DOCUMENT = Column("n", ColumnType.JSON)


def number(precision: int, scale: int) -> Column:
    return Column("n", ColumnType.NUMBER, precision=precision, scale=scale)


def outcome(stages, contract, content: bytes) -> tuple[list, list]:
    """The values of `n` that load, and row, line, column and code of the rows that do not."""
    validated = stages.validate(contract, content)
    rows = [row.get("n") for row in stages.processed(contract, validated)]
    return rows, [(one.source_row, one.source_line, one.column, one.code) for one in validated.rejects.first]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        pytest.param('{"id":"a","p":{"n":98765432109876543210987},"n":98765432109876543210999}',
                     "98765432109876543210999", id="nested-before"),
        pytest.param('{"id":"a","n":98765432109876543210999,"p":[{"n":98765432109876543210987}]}',
                     "98765432109876543210999", id="nested-after"),
        pytest.param('{"id":"a","t":"\\"n\\":98765432109876543210987","n":98765432109876543210999}',
                     "98765432109876543210999", id="in-a-text"),
        pytest.param('{"id":"a","\\u006e":98765432109876543210999,"nn":{"n":1}}', "98765432109876543210999",
                     id="escaped-key"),
        pytest.param('{"id":"a","N":98765432109876543210999,"x":{"N":98765432109876543210987}}',
                     "98765432109876543210999", id="another-case"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("shape", ["{}\n", "[{}]", "{}{}"], ids=["line", "array", "twice"])
def test_json_numbers_are_those_of_their_own_member(stages, contract_of, shape: str, line: str, value: str) -> None:
    contract = contract_of(ID, number(38, 0))
    values, rejects = outcome(stages, contract, shape.replace("{}", line).encode())
    assert set(values) == {Decimal(value)}
    assert rejects == []


NUMBERS = ["0.1234567890123456789", "12345678901234567890.12", "123.456e-789", "1.10", "4.9e10", "-0", "1E+2", "-0.0"]


@pytest.mark.parametrize("written", NUMBERS)
@pytest.mark.parametrize("shape", ['{"id":"a","n":%s}\n', '[{"id":"a","n":%s}]'], ids=["ndjson", "document"])
def test_json_numbers_in_text_are_the_characters_of_the_file(stages, contract_of, shape: str, written: str) -> None:
    assert outcome(stages, contract_of(ID, TEXT), (shape % written).encode()) == ([written], [])
    nested = '{"x": [%s]}' % written  # noqa: UP031 - braces
    assert outcome(stages, contract_of(ID, TEXT), (shape % nested).encode()) == ([nested.replace(" ", "")], [])


@pytest.mark.parametrize("written", NUMBERS)
def test_json_numbers_in_documents_rescued_and_new_columns_keep_their_digits(stages, contract_of, written: str) -> None:
    content = f'{{"id":"a","n":{{"x":[{written}]}},"u":{written},"v":{{"w":{written}}}}}'.encode()
    rescuing = stages.rows(contract_of(ID, DOCUMENT), content)
    assert rescuing[0]["n"] == f'{{"x":[{written}]}}'
    assert rescuing[0]["_rescued"] == f'{{"u":{written},"v":{{"w":{written}}}}}'
    evolving = stages.rows(contract_of(ID, DOCUMENT, unknown_columns=UnknownColumns.EVOLVE), content)
    assert (evolving[0]["u"], evolving[0]["v"]) == (written, f'{{"w":{written}}}')


@pytest.mark.parametrize(
    ("line", "code"),
    [
        pytest.param('{"id":"1","n":1,"n":2}', Code.DUPLICATE_COLUMNS, id="column-twice"),
        pytest.param('{"id":"1","n":1,"n":1}', Code.DUPLICATE_COLUMNS, id="with-one-value"),
        pytest.param('{"id":"1","x":1,"x":2}', Code.DUPLICATE_COLUMNS, id="unknown-key-twice"),
        pytest.param('{"id":"1","n":{"k":1,"k":2}}', Code.DUPLICATE_COLUMNS, id="nested"),
        pytest.param('{"id":"1","n":[[{"k":1,"\\u006b":2}]]}', Code.DUPLICATE_COLUMNS, id="escaped-and-deeper"),
        pytest.param('{"id":"1","n":NaN}', Code.BAD_ROW_JSON, id="nan"),
        pytest.param('{"id":"1","n":[-Infinity]}', Code.BAD_ROW_JSON, id="infinity"),
        pytest.param('{"id":"1","n":1,}', Code.BAD_ROW_JSON, id="comma-at-the-end"),
        pytest.param('{"id":"1","n":[1,]}', Code.BAD_ROW_JSON, id="comma-in-an-array"),
        pytest.param('{"id":"1","n":"\\ud800"}', Code.BAD_ROW_JSON, id="half-a-pair"),
        pytest.param("{'id':'1'}", Code.BAD_ROW_JSON, id="single-quotes"),
    ],
)
def test_ndjson_refuses_a_line_that_readers_would_read_differently(stages, contract_of, line: str, code: Code) -> None:
    content = f'{{"id":"0","n":{{}}}}\n{line}\n{{"id":"2","n":[]}}\n'.encode()
    assert outcome(stages, contract_of(ID, DOCUMENT), content) == (["{}", "[]"], [(2, 2, None, code)])


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (['{"id":"1","n":NaN}', '{"id":"2","n":"x",}'], Code.BAD_ROW_JSON),
        (['{"id":"1","n":1,"n":2,"v":{"k":1,"k":2},"x":1,"x":2}'], Code.DUPLICATE_COLUMNS),
    ],
    ids=["no-json", "keys-twice"],
)
def test_ndjson_without_a_single_record_that_can_be_read_refuses_each_row(
    stages, contract_of, lines: list[str], code: Code
) -> None:
    expected = [(row, row, None, code) for row in range(1, len(lines) + 1)]
    assert outcome(stages, contract_of(ID, TEXT), "\n".join([*lines, ""]).encode()) == ([], expected)


@pytest.mark.parametrize(
    ("lines", "codes"),
    [
        pytest.param("{'id':'1'}", [Code.BAD_ROW_JSON], id="single-quotes"),
        pytest.param("{", [Code.BAD_ROW_JSON], id="bracket"),
        pytest.param('{"id":"1","n":"a\nb"}', [Code.BAD_ROW_JSON, Code.BAD_ROW_JSON], id="line-end-in-a-text"),
        pytest.param("null", [Code.NOT_AN_OBJECT], id="null"),
        pytest.param("[1,2]", [Code.NOT_AN_OBJECT], id="array"),
        pytest.param('[{"id":"1"}]', [Code.NOT_AN_OBJECT], id="array-of-an-object"),
        pytest.param('"a"', [Code.NOT_AN_OBJECT], id="text"),
        pytest.param("ERROR: timeout", [Code.BAD_ROW_JSON], id="words"),
        pytest.param(f'{{"id":"1","n":"{"a" * 300_000}",}}', [Code.BAD_ROW_JSON], id="beyond-the-head"),
        pytest.param(f'{{"id":"1","n":"{"a" * 1_100_000}"}}', [Code.ROW_TOO_LONG], id="too-long"),
    ],
)
def test_ndjson_refuses_a_bad_first_line_alone(stages, contract_of, lines: str, codes: list[Code]) -> None:
    content = f'{lines}\n{{"id":"2","n":NaN}}\n{{"id":"3","n":3}}\n'.encode()
    expected = [(row, row, None, code) for row, code in enumerate([*codes, Code.BAD_ROW_JSON], start=1)]
    assert outcome(stages, contract_of(ID, TEXT), content) == (["3"], expected)


def test_ndjson_after_a_long_first_line_refuses_a_cut_last_line_alone(stages, contract_of) -> None:
    content = b'{"id":"1","n":"' + b"a" * 300_000 + b'"}\n{"id":"2","n":"b"}\n{"id":"3","n":'
    assert outcome(stages, contract_of(ID, TEXT), content) == (
        ["a" * 300_000, "b"], [(3, 3, None, Code.BAD_ROW_JSON)]
    )  # fmt: skip


@pytest.mark.parametrize("nul", [b"a\0b", bytes(200), b"a\0" * 200], ids=["one", "a-block", "every-other-byte"])
def test_small_csv_refuses_a_row_with_a_nul_alone(stages, contract_of, nul: bytes) -> None:
    content = b"id,n\n1,%s\n2,\x02\n3,a\x1fb\x1fc\n" % nul
    assert outcome(stages, contract_of(ID, TEXT), content) == (
        ["\x02", "a\x1fb\x1fc"], [(1, 2, "n", Code.BAD_TEXT)]
    )  # fmt: skip


def test_document_refuses_a_record_with_a_key_twice_alone(stages, contract_of) -> None:
    content = b'[{"id":"0","n":1},\n{"id":"1","n":1,"n":"} ]"},\n{"id":"2",\n"n":3},{"id":"3","n":{"a":{"k":1,"k":1}}}]'
    expected = [(2, 2, None, Code.DUPLICATE_COLUMNS), (4, 4, None, Code.DUPLICATE_COLUMNS)]
    assert outcome(stages, contract_of(ID, DOCUMENT), content) == (["1", "3"], expected)


def test_document_refuses_a_record_with_a_broken_byte_alone(stages, contract_of) -> None:
    content = '[{"id":"é"},\n{"id":"@"}]'.encode().replace(b"@", b"caf\xe9")
    assert outcome(stages, contract_of(ID), content)[1] == [(2, 2, None, Code.BAD_ENCODING)]


@pytest.mark.parametrize("ends", [(b"[", b"]"), (b"", b"")], ids=["array", "objects"])
def test_json_text_that_is_none_comes_before_a_key_twice(stages, contract_of, ends: tuple[bytes, bytes]) -> None:
    first, last = ends
    between = b",\n" if first else b"\n"
    records = [
        b'{"id":"1","\xc3\xa9":1}', b'{"id":"\xff","id":"2"}', b'{"id":"3","\xff":1,"\xff":2}', b'{"id":"4","id":"5"}'
    ]  # fmt: skip
    assert outcome(stages, contract_of(ID), first + between.join(records) + last) == ([None], [
        (2, 2, None, Code.BAD_ENCODING), (3, 3, None, Code.BAD_ENCODING), (4, 4, None, Code.DUPLICATE_COLUMNS)
    ])  # fmt: skip


@pytest.mark.parametrize("content", [b'[{"id":"1","n":NaN}]', b'[{"id":"1"},]', b'{\n"id":"1",\n}'])
def test_document_that_is_not_json_is_refused(stages, contract_of, content: bytes) -> None:
    assert stages.refusal(contract_of(ID, TEXT), content).code is Code.UNREADABLE_FILE


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b'{"id":"1","n":1}{"id":"2","n":2}{"id":"3","n":3}', id="one-line"),
        pytest.param(b'{"id":"1","n":1} {"id":"2","n":2}\n{"id":"3","n":3}\n', id="two-lines"),
        pytest.param(b'{"id":"1",\n"n":1}{"id":"2",\n"n":2}\n{"id":"3","n":3}', id="over-lines"),
    ],
)
def test_consecutive_objects_are_rows(stages, contract_of, content: bytes) -> None:
    contract = contract_of(ID, Column("n", ColumnType.INTEGER))
    assert outcome(stages, contract, content) == ([1, 2, 3], [])


def test_objects_on_one_endless_line_are_rows(stages, contract_of) -> None:
    content = b"".join(b'{"id":"%d","n":"%s"}' % (at, b"x" * 100) for at in range(20_000))
    validated = stages.validate(contract_of(ID, TEXT), content)
    assert (validated.rows_read, validated.rejects.rows) == (20_000, 0)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b'{"id":"1","Name":"a"}\n{"id":"2","name":"b"}\n', id="over-rows"),
        pytest.param(b'[{"id":"1","NAME":"a","name":"b"}]', id="in-a-row"),
    ],
)
def test_keys_that_differ_in_case_only_are_named(stages, contract_of, content: bytes) -> None:
    refusal = stages.refusal(contract_of(ID, Column("name", ColumnType.TEXT)), content)
    assert refusal.code is Code.DUPLICATE_COLUMNS
    assert "differ in case" in refusal.message
    assert "both would be the column 'name'" in refusal.message


@pytest.mark.parametrize("kind", ["csv", "ndjson"])
@pytest.mark.parametrize(
    ("column", "written", "expected"),
    [
        (number(9, 0), "0.00007646252e11", Decimal(7646252)),
        (number(9, 0), "7.646252e6", Decimal(7646252)),
        (
            number(38, 10),
            "1234567890123456789012345678.0123456789e0",
            Decimal("1234567890123456789012345678.0123456789"),
        ),
        (number(12, 2), "1.23457E+12", Code.OUT_OF_RANGE),
        (number(12, 2), "1e999999999", Code.OUT_OF_RANGE),
        (number(12, 2), "1e-999999999", Code.TOO_MANY_DECIMALS),
        (number(38, 10), "9" * 40, Code.OUT_OF_RANGE),
        (number(38, 10), "1" * 36, Code.OUT_OF_RANGE),
    ],
)
def test_decimals_are_exact_and_one_bad_row_is_refused_alone(
    stages, kind: str, column: Column, written: str, expected: object
) -> None:
    contract = stages.contract_of(ID, column)
    if kind == "csv":
        content = f"id,n\n1,{written}\n2,7\n".encode()
    else:
        content = f'{{"id":"1","n":{written}}}\n{{"id":"2","n":"{written}"}}\n{{"id":"3","n":7}}\n'.encode()
    line = 2 if kind == "csv" else 1
    if isinstance(expected, Code):
        bad = [(at, at + line - 1, "n", expected) for at in ((1,) if kind == "csv" else (1, 2))]
        assert outcome(stages, contract, content) == ([Decimal(7)], bad)
    else:
        assert outcome(stages, contract, content) == ([expected] * (1 if kind == "csv" else 2) + [Decimal(7)], [])


def test_two_digit_years_are_refused(stages, contract_of) -> None:
    contract = contract_of(ID, Column("n", ColumnType.DATE, formats=("%d.%m.%Y",)))
    content = b"id,n\n1,31.1.26\n2,31.01.2026\n3,1.1.226\n"
    bad = [(1, 2, "n", Code.BAD_DATE), (3, 4, "n", Code.BAD_DATE)]
    assert outcome(stages, contract, content) == ([date(2026, 1, 31)], bad)


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "marked"])
@pytest.mark.parametrize(
    "column",
    [TEXT, Column("n", ColumnType.TEXT, cleaning=(Cleaning.UPPER,)), Column("n", ColumnType.INTEGER)],
    ids=["text", "cleaned", "integer"],
)
def test_repeated_header_is_refused(stages, contract_of, column: Column, mark: str) -> None:
    contract = contract_of(ID, column)
    content = f'id,n\na,1\n{mark}id,n\nn,id\nb,2\n"id","n"\n'.encode()
    _, rejects = outcome(stages, contract, content)
    again = [(row, row + 1, None, Code.REPEATED_HEADER) for row in (2, 5)]
    assert [one for one in rejects if one[3] is Code.REPEATED_HEADER] == again
    assert len(rejects) == 2 + (column.type is ColumnType.INTEGER)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param('"id","n"\na,1\n\ufeff"id","n"\nb,2\n', (["1", "2"], [2]), id="quoted-behind-a-mark"),
        pytest.param('id,n\na,1\n\ufeff"id",n\n\ufeff"b","2"\n', (["1", "2"], [2]), id="data-behind-a-mark"),
        pytest.param('id,n\na,1\n"\ufeffid",n\n', (["1"], [2]), id="mark-inside-quotes"),
        pytest.param("\ufeff\ufeff\ufeffid,n\na,01\n\ufeffid,n\nb,2\n", (["01", "2"], [2]), id="several-marks"),
        pytest.param("id,n,\na,1,\nb,2,\nid,n,\n", (["1", "2"], [3]), id="column-without-a-name"),
        pytest.param(",id,n\n0,a,1\n,id,n\n1,b,2\n", (["1", "2"], [2]), id="first-column-without-a-name"),
        pytest.param('id,n,\na,1,\nid,n,""\n', (["1"], [2]), id="empty-quotes-for-no-name"),
        pytest.param("id,n,\na,1,\nid,n,x\nb,n,\n", (["1", "n", "n"], []), id="not-the-header"),
    ],
)
@pytest.mark.parametrize("unknown", [UnknownColumns.RESCUE, UnknownColumns.IGNORE], ids=["rescue", "ignore"])
@pytest.mark.parametrize("slow", [False, True], ids=["fast", "slow"])
def test_repeated_header_is_refused_on_both_paths(
    stages, slow: bool, unknown: UnknownColumns, content: str, expected: tuple[list, list]
) -> None:
    values, bad = expected
    contract = stages.contract_of(ID, TEXT, unknown_columns=unknown)
    validated = stages.validate(contract, content.encode(), slow=slow)
    rows = stages.processed(contract, validated)
    assert [row["n"] for row in rows] == values
    assert all("\ufeff" not in row["id"] and '"' not in row["id"] for row in rows)
    assert [(one.source_row, one.code) for one in validated.rejects.first] == [
        (row, Code.REPEATED_HEADER) for row in bad
    ]


def test_mark_before_a_record_is_no_part_of_its_key(stages, contract_of) -> None:
    """Files that were concatenated without their headers: each file begins with a byte order mark."""
    rows = stages.rows(contract_of(ID, TEXT), 'id,n\n1,a\n\ufeff2,b\n\ufeff"3",c\n'.encode())
    assert [row["id"] for row in rows] == ["1", "2", "3"]


@pytest.mark.parametrize("content", [b"id\na\nid\nb\n", b"ID\nid\nb\nID\n"])
def test_repeated_header_of_one_column_is_refused(stages, contract_of, content: bytes) -> None:
    validated = stages.validate(contract_of(ID), content)
    assert [one.code for one in validated.rejects.first] == [Code.REPEATED_HEADER]


def test_floats_without_a_fraction_are_whole_numbers(tmp_path, stages, contract_of) -> None:
    """pandas stores whole numbers as floats if some are missing, and writes them with a decimal point."""
    contract = contract_of(ID, Column("n", ColumnType.INTEGER))
    assert outcome(stages, contract, b"id,n\na,1.0\nb,\nc,1.5\n") == ([1, None], [(3, 4, "n", Code.BAD_INTEGER)])
    assert outcome(stages, contract, b'{"id":"a","n":1.0}\n{"id":"b","n":1e3}\n') == (
        [1], [(2, 2, "n", Code.BAD_INTEGER)]
    )  # fmt: skip
    path = tmp_path / "floats.parquet"
    pq.write_table(pa.table({"id": ["a", "b", "c", "d"], "n": [1.0, math.nan, None, 2.5]}), path)
    validated = stages.validate(contract, path)
    assert [row["n"] for row in stages.processed(contract, validated)] == [1, None]
    rejects = [(one.source_row, one.column, one.code) for one in validated.rejects.first]
    assert rejects == [(2, "n", Code.BAD_INTEGER), (4, "n", Code.BAD_INTEGER)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_text_with_a_byte_order_mark_is_read(stages, contract_of, encoding: str) -> None:
    content = "id,n\n1,Сергей\n".encode(encoding)
    assert outcome(stages, contract_of(ID, TEXT), content) == (["Сергей"], [])
    document = json.dumps([{"id": "1", "n": "é"}], ensure_ascii=False).encode(encoding)
    assert outcome(stages, contract_of(ID, TEXT), document) == (["é"], [])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("id,n\n1,a\ud83d\n2,😀é\n", 2),
        ('id,n\n"1","\ude00"\n2,😀é\n', 2),
        ('{"id":"1","n":"a\ud83db"}\n{"id":"2","n":"😀é"}\n', 1),
        ('[{"id":"1","n":"\ude00\ud83d"},\n{"id":"2","n":"😀é"}]', 1),
    ],
    ids=["csv", "csv-in-quotes", "ndjson", "document"],
)
def test_half_a_surrogate_pair_of_utf_16_refuses_its_row(
    stages, contract_of, content: str, line: int, encoding: str
) -> None:
    contract = contract_of(ID, TEXT)
    validated = stages.validate(contract, content.encode(encoding, "surrogatepass"))
    found = [(one.source_row, one.source_line, one.code) for one in validated.rejects.first]
    assert found == [(1, line, Code.BAD_ENCODING)]
    assert "Half of a surrogate pair" in validated.rejects.first[0].message
    assert [row["n"] for row in stages.processed(contract, validated)] == ["😀é"]


def test_text_without_any_utf_8_is_refused_and_with_some_its_broken_rows(stages, contract_of) -> None:
    contract = contract_of(ID, TEXT, budget=ErrorBudget(rows=1))
    refusal = stages.refusal(contract, "id,n\n1,Сергей\n".encode("cp1251"))
    assert refusal.code is Code.UNDECLARED_ENCODING
    assert "cp1251 ('Сергей')" in refusal.message
    mixed = "id,n\n1,Сергей\n2,@\n".encode().replace(b"@", b"\xd1\xe5")
    assert outcome(stages, contract, mixed) == (["Сергей"], [(2, 3, None, Code.BAD_ENCODING)])


@pytest.mark.parametrize("written", [*NUMBERS, "1.5", "7", "98765432109876543210999", "9223372036854775808"])
def test_derived_columns_are_made_of_the_numbers_of_the_file(stages, contract_of, written: str) -> None:
    contract = contract_of(
        ID,
        DOCUMENT,
        Column("as_text", ColumnType.TEXT, derived="n->>'$.x[0]'"),
        Column("as_document", ColumnType.JSON, derived="json_extract(n, '$.x')"),
        Column("whole", ColumnType.JSON, derived="n"),
    )
    text = f'{{"x":[{written},"a",1.10]}}'
    (row,) = stages.rows(contract, f'{{"id":"a","n":{text}}}'.encode())
    assert row["as_text"] == written
    assert row["as_document"] == f'[{written},"a",1.10]'
    assert (row["whole"], row["n"]) == (text, text)


def test_derived_numbers_are_exact(stages, contract_of) -> None:
    derived = Column("x", ColumnType.NUMBER, precision=38, scale=19, derived="(n->>'$.x')::DECIMAL(38,19)")
    also = Column("y", ColumnType.NUMBER, precision=38, scale=19, derived="(n->'$.x')::DECIMAL(38,19) + 1")
    (row,) = stages.rows(contract_of(ID, DOCUMENT, derived, also), b'{"id":"a","n":{"x":0.1234567890123456789}}')
    assert (row["x"], row["y"]) == (Decimal("0.1234567890123456789"), Decimal("1.1234567890123456789"))


@pytest.mark.parametrize("kind", ["csv", "ndjson", "document", "parquet"])
@pytest.mark.parametrize(
    ("written", "expected"),
    [("1e-400", Code.OUT_OF_RANGE), ("-2e-324", Code.OUT_OF_RANGE), ("0." + "0" * 330 + "1", Code.OUT_OF_RANGE),
     ("1e400", Code.OUT_OF_RANGE), ("4.9e-324", 5e-324), ("0e-400", 0.0), ("0.000", 0.0)],
)  # fmt: skip
def test_number_too_small_for_a_double_is_refused_and_not_zero(
    tmp_path, stages, kind: str, written: str, expected: object
) -> None:
    contract = stages.contract_of(ID, Column("n", ColumnType.FLOAT))
    contents = {
        "csv": f"id,n\na,0\nb,{written}\nc,2\n",
        "ndjson": f'{{"id":"a","n":0}}\n{{"id":"b","n":{written}}}\n{{"id":"c","n":2}}\n',
        "document": f'[{{"id":"a","n":0}},{{"id":"b","n":"{written}"}},{{"id":"c","n":2}}]',
    }
    path = tmp_path / "n.parquet"
    pq.write_table(pa.table({"id": ["a", "b", "c"], "n": ["0", written, "2"]}), path)
    validated = stages.validate(contract, path if kind == "parquet" else contents[kind].encode())
    assert [row["n"] for row in stages.processed(contract, validated)] == (
        [0.0, 2.0] if isinstance(expected, Code) else [0.0, expected, 2.0]
    )
    assert [(one.source_row, one.code) for one in validated.rejects.first] == (
        [(2, expected)] if isinstance(expected, Code) else []
    )
    assert validated.path_taken == ("fast" if kind != "parquet" and not isinstance(expected, Code) else "slow")
