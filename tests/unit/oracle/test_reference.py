"""The reference itself, checked with written cases: it shares no code with the pipeline."""

import gzip
import io
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contracts.dialect import Dialect
from include.contracts.model import (
    APPEND_KEY,
    Cleaning,
    Column,
    ColumnType,
    Contract,
    Deletes,
    ErrorBudget,
    Mode,
    OnDuplicate,
    RowRule,
    UnknownColumns,
)
from include.errors import Code
from tests.oracle.documents import Document
from tests.oracle.expressions import CannotCalculate, evaluate
from tests.oracle.judge import judge, judge_messages
from tests.oracle.table import Table
from tests.oracle.values import BadCell, judged
from tests.oracle.verdict import Counts, Fault, Verdict

pytestmark = pytest.mark.unit

ID = Column("id", ColumnType.INTEGER, required=True)
THINGS = Contract(
    "things", "1", "", (ID, Column("n", ColumnType.NUMBER, precision=6, scale=2), Column("at", ColumnType.DATE)),
    ("id",), None, Path("things.yaml"), budget=ErrorBudget(share=1.0),
)  # fmt: skip
NEWEST = replace(THINGS, columns=(ID, *THINGS.columns[1:2], replace(THINGS.columns[2], required=True)), newest_by="at")


def faults(verdict: Verdict) -> list[tuple]:
    return [(row, line, column, code.value) for row, line, column, code in verdict.faults]


def values(verdict: Verdict) -> list[tuple]:
    return [(row.source_row, row.values["id"], row.values["n"], row.values["at"]) for row in verdict.rows]


# Cells

SECONDS = Column("x", ColumnType.TIMESTAMP, formats=("epoch-seconds",))
MILLISECONDS = Column("x", ColumnType.TIMESTAMPTZ, formats=("epoch-milliseconds",))
CELLS = [
    (Column("x", ColumnType.INTEGER), " +7\t", 7),
    (Column("x", ColumnType.INTEGER), "1.0", 1),
    (Column("x", ColumnType.INTEGER), "1.5", Code.BAD_INTEGER),
    (Column("x", ColumnType.INTEGER), str(2**63), Code.OUT_OF_RANGE),
    (Column("x", ColumnType.INTEGER, maximum="9", exclusive_maximum=True), "9", Code.OUT_OF_RANGE),
    (Column("x", ColumnType.INTEGER, allowed=("1", "5")), "+5", 5),
    (Column("x", ColumnType.INTEGER, allowed=("1", "5")), "4", Code.NOT_IN_LIST),
    (Column("x", ColumnType.NUMBER, precision=6, scale=2), "1250e-2", Decimal("12.5")),
    (Column("x", ColumnType.NUMBER, precision=6, scale=2), "1.255", Code.TOO_MANY_DECIMALS),
    (Column("x", ColumnType.NUMBER, precision=6, scale=2), "12345.67", Code.OUT_OF_RANGE),
    (Column("x", ColumnType.NUMBER, precision=6, scale=2), "1,5", Code.BAD_NUMBER),
    (Column("x", ColumnType.FLOAT), "1e3", 1000.0),
    (Column("x", ColumnType.FLOAT), "inf", Code.BAD_NUMBER),
    (Column("x", ColumnType.FLOAT), "-1e400", Code.OUT_OF_RANGE),
    (Column("x", ColumnType.FLOAT), "2e-324", Code.OUT_OF_RANGE),
    (Column("x", ColumnType.FLOAT), "-0.00e-400", -0.0),
    (Column("x", ColumnType.BOOLEAN), "yEs", True),
    (Column("x", ColumnType.BOOLEAN), "2", Code.BAD_BOOLEAN),
    (Column("x", ColumnType.DATE), "2024-02-29T00:00", date(2024, 2, 29)),
    (Column("x", ColumnType.DATE), "2026-02-29", Code.BAD_DATE),
    (Column("x", ColumnType.DATE, formats=("%d.%m.%Y",)), "31.01.2026", date(2026, 1, 31)),
    (Column("x", ColumnType.DATE, formats=("%d.%m.%Y",)), "31.1.26", Code.BAD_DATE),
    (Column("x", ColumnType.DATE, formats=("%d.%m.%y",)), "31.1.68", date(2068, 1, 31)),
    (Column("x", ColumnType.DATE, formats=("%d.%m.%y",)), "1.01.69", date(1969, 1, 1)),
    (Column("x", ColumnType.DATE, formats=("%d.%m.%y",)), "01.01.1969", Code.BAD_DATE),
    (Column("x", ColumnType.DATE, formats=("%y%m%d",)), "26131", Code.BAD_DATE),
    (Column("x", ColumnType.DATE, formats=("%m/%d/%y", "%d/%m/%y")), "31/12/00", date(2000, 12, 31)),
    (Column("x", ColumnType.DATE, formats=("%d.%m.%Y",)), "31.12.1899", Code.IMPLAUSIBLE_DATE),
    (Column("x", ColumnType.DATE, formats=("%d.%m.%Y",), minimum="0001-01-01"), "31.12.1899", date(1899, 12, 31)),
    (Column("x", ColumnType.TIMESTAMP, formats=("%d/%m/%y %H:%M",)), "1/2/99 3:04", datetime(1999, 2, 1, 3, 4)),  # noqa: DTZ001
    (SECONDS, "1769862615.25", datetime.fromisoformat("2026-01-31T12:30:15.25")),
    (SECONDS, "-0", datetime.fromisoformat("1970-01-01")),
    (SECONDS, "1e9", Code.BAD_TIMESTAMP),
    (SECONDS, "1.0000001", Code.BAD_TIMESTAMP),
    (SECONDS, "253402300800", Code.BAD_TIMESTAMP),
    (SECONDS, "-2208988801", Code.IMPLAUSIBLE_DATE),
    (MILLISECONDS, "-1", datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)),
    (MILLISECONDS, "1769862615000.0", datetime(2026, 1, 31, 12, 30, 15, tzinfo=UTC)),
    (MILLISECONDS, "1.5", Code.BAD_TIMESTAMP),
    (
        replace(SECONDS, formats=("%y%m%d%H%M", "epoch-seconds")),
        "2601311230",
        datetime.fromisoformat("2026-01-31T12:30"),
    ),
    (
        replace(SECONDS, formats=("%y%m%d%H%M", "epoch-seconds")),
        "2613311230",
        datetime.fromisoformat("2052-10-23T15:47:10"),
    ),
    (Column("x", ColumnType.TIMESTAMP), "2026-01-31 12", datetime(2026, 1, 31, 12)),  # noqa: DTZ001
    (Column("x", ColumnType.TIMESTAMP), "2026-01-31T12:00Z", Code.BAD_TIMESTAMP),
    (Column("x", ColumnType.TIMESTAMPTZ), "2026-01-31T14:00+02:00", datetime(2026, 1, 31, 12, tzinfo=UTC)),
    (Column("x", ColumnType.TIMESTAMPTZ), "2026-01-31T14:00", datetime(2026, 1, 31, 14, tzinfo=UTC)),
    (Column("x", ColumnType.UUID), "6F1C2A349D1E4C558A860C1F6F0B7E21", UUID("6f1c2a34-9d1e-4c55-8a86-0c1f6f0b7e21")),
    (Column("x", ColumnType.UUID), "6f1c2a34", Code.BAD_UUID),
    (Column("x", ColumnType.JSON), '{"a": [1.0, null]}', Document.of_text('{"a":[1,null]}')),
    (Column("x", ColumnType.JSON), "[1,]", Code.BAD_JSON),
    (Column("x", ColumnType.JSON), '[{"k": 1, "k": 1}]', Code.BAD_JSON),
    (Column("x", ColumnType.JSON), "1e131072", Code.BAD_JSON),
    (Column("x", ColumnType.JSON), '"\\u0000"', Code.BAD_JSON),
    (Column("x", ColumnType.TEXT), "a\0b", Code.BAD_TEXT),
    (Column("x", ColumnType.TEXT), " ", " "),
    (Column("x", ColumnType.TEXT, cleaning=(Cleaning.TRIM,)), " ", None),
    (Column("x", ColumnType.TEXT, cleaning=(Cleaning.TRIM, Cleaning.UPPER)), " a ", "A"),
    (Column("x", ColumnType.TEXT, required=True), "", Code.MISSING_VALUE),
    (Column("x", ColumnType.TEXT, min_length=2), "a", Code.TOO_SHORT),
    (Column("x", ColumnType.TEXT, max_length=2), "abc", Code.TOO_LONG),
    (Column("x", ColumnType.TEXT, pattern="[a-z]+"), "ab1", Code.PATTERN_MISMATCH),
]


@pytest.mark.parametrize(
    ("column", "text", "expected"),
    [pytest.param(*case, id=f"{case[0].type}-{case[1][:24]!r}".replace("\0", "0")) for case in CELLS],
)
def test_reference_reads_a_cell(column: Column, text: str, expected: object) -> None:
    if isinstance(expected, Code):
        with pytest.raises(BadCell) as caught:
            judged(column, text)
        assert caught.value.code is expected
    else:
        assert judged(column, text) == expected


def test_reference_does_not_take_true_for_one() -> None:
    assert Document.of_text("[true]") != Document.of_text("[1]")
    assert Document.of_text('{"a": 1, "b": 2}') == Document.of_text('{"b": 2e0, "a": 1.0}')


# Files of every format

ROWS = [(1, 1, Decimal("1.5"), date(2026, 1, 31)), (2, 2, None, None)]


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": [1, 2], "n": [1.5, None], "at": pa.array([date(2026, 1, 31), None])}), sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"id,n,at\n1,1.5,2026-01-31\n2,,\n", id="csv"),
        pytest.param('AT;N;"Id"\r\n"2026-01-31";1.5;1\r\n\r\n;;2'.encode("utf-16"), id="csv-utf-16-semicolon"),
        pytest.param(gzip.compress(b"\xef\xbb\xbfid\tn\tat\r1\t1.5\t2026-01-31\r2\t\t\r"), id="csv-gzip-tab-cr"),
        pytest.param(b'[{"id": 1, "n": 1.5, "at": "2026-01-31"}, {"id": "2"}]', id="json"),
        pytest.param(b'{"id": 1, "n": "1.5", "at": "2026-01-31"}\n{"id": 2, "n": "", "at": null}', id="ndjson"),
        pytest.param(b'{"id": 1,\n "n": 1.5, "at": "2026-01-31"}\n{"id": 2}', id="json-sequence"),
        pytest.param(parquet(), id="parquet"),
    ],
)
def test_reference_reads_the_same_rows_from_every_format(body: bytes) -> None:
    verdict = judge(THINGS, body)
    assert (verdict.code, faults(verdict), verdict.read, values(verdict)) == (None, [], 2, ROWS)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b" \n", Code.EMPTY_FILE, id="blank"),
        pytest.param(b"id,n\n", Code.NO_ROWS, id="header-only"),
        pytest.param(b"[]", Code.NO_ROWS, id="empty-array"),
        pytest.param(b"n,at\n1,2\n", Code.MISSING_COLUMNS, id="key-missing"),
        pytest.param(b"id,ID\n1,2\n", Code.DUPLICATE_COLUMNS, id="one-column-twice"),
        pytest.param(b"id," + b",".join(b"c%d" % at for at in range(500)), Code.TOO_MANY_COLUMNS, id="many"),
        pytest.param(b"id,more\n1,2\n", Code.UNKNOWN_COLUMNS, id="unknown"),
        pytest.param(b'[{"id": 1}', Code.TRUNCATED_FILE, id="json-cut"),
        pytest.param(b'[{"id": 1} x]', Code.UNREADABLE_FILE, id="json-broken"),
        pytest.param(parquet()[:-3], Code.TRUNCATED_FILE, id="parquet-cut"),
        pytest.param(gzip.compress(b"id\n1\n")[:-3], Code.TRUNCATED_FILE, id="gzip-cut"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(9), Code.UNKNOWN_FORMAT, id="picture"),
        pytest.param("id,n\n1,é\n".encode("latin-1"), Code.UNDECLARED_ENCODING, id="latin-1"),
        pytest.param("id,n\n1,2\n".encode("utf-16-le"), Code.UNDECLARED_ENCODING, id="utf-16-unmarked"),
        pytest.param(b"id,n\nx,1\n1,1\n", Code.ERROR_BUDGET_EXCEEDED, id="budget"),
    ],
)
def test_reference_refuses_a_file(body: bytes, code: Code) -> None:
    contract = replace(THINGS, unknown_columns=UnknownColumns.REJECT, budget=ErrorBudget())
    assert judge(contract, body).code is code


@pytest.mark.parametrize(
    ("encoding", "code"),
    [("cp1252", Code.ENCODING_DIFFERS), ("iso8859-1", Code.ENCODING_DIFFERS), ("ascii", Code.ERROR_BUDGET_EXCEEDED),
     ("utf-8", Code.ERROR_BUDGET_EXCEEDED), ("cp932", Code.ERROR_BUDGET_EXCEEDED)],
)  # fmt: skip
def test_reference_refuses_utf_8_under_another_encoding(encoding: str, code: Code) -> None:
    contract = replace(THINGS, budget=ErrorBudget(), dialect=Dialect(encoding=encoding))
    assert judge(contract, "id,n\n1,éé\n".encode()).code is code


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b'id,n,at\n1,"a\nb",\n2,"x"y,\n3\n4,,,\n5,1,\n',
                     [(1, 2, "n", "bad-number"), (2, 4, None, "broken-quote"), (3, 5, None, "too-few-fields"),
                      (4, 6, None, "too-many-fields")], id="csv"),
        pytest.param(b"id,n\n1,1\nid,n\n", [(2, 3, None, "repeated-header")], id="csv-header-again"),
        pytest.param('"id","n"\n\ufeff"1",1\n\ufeff"id","n"\n'.encode(), [(2, 3, None, "repeated-header")],
                     id="csv-marked-header-again"),
        pytest.param(b'{"id": 1, "id": 2}\n{"id": 3}{"id": "x"} {"n": {"k": 1, "k": 1}}',
                     [(1, 1, None, "duplicate-columns"), (3, 2, "id", "bad-integer"),
                      (4, 2, None, "duplicate-columns")], id="ndjson-keys-twice"),
        pytest.param(b'{"id": 1, "id": 1}\n{', [(1, 1, None, "duplicate-columns"), (2, 2, None, "bad-row-json")],
                     id="ndjson-nothing-read"),
        pytest.param(b'id\n"open\n2\n', [(1, 2, None, "broken-quote")], id="csv-open-quote"),
        pytest.param("id,n\n1,é\n".encode() + b"2,\xff\n",
                     [(1, 2, "n", "bad-number"), (2, 3, None, "bad-encoding")], id="csv-encoding"),
        pytest.param(b'{"id": 1}\n\n7\n{"id":\n{"n": 1}\n',
                     [(2, 3, None, "not-an-object"), (3, 4, None, "bad-row-json"), (4, 5, "id", "missing-value")],
                     id="ndjson"),
        pytest.param(b'[{"id": 1},\n null,\n{"id": 1.5}]',
                     [(2, 2, None, "not-an-object"), (3, 3, "id", "bad-integer")], id="json"),
        pytest.param(b'[{"id": 1, "more": "\xc3\xa9"},\n{"n": "\xff", "n": 1},\n{"n": 1, "n": 1},\n{"n": "\\udc80"}]',
                     [(2, 2, None, "bad-encoding"), (3, 3, None, "duplicate-columns"), (4, 4, None, "bad-row-json")],
                     id="json-first-of-two-values-is-no-text"),
    ],
)  # fmt: skip
def test_reference_names_row_line_column_and_code(body: bytes, expected: list[tuple]) -> None:
    verdict = judge(THINGS, body)
    assert faults(verdict) == expected
    assert verdict.read == len(verdict.rows) + verdict.rejected


@pytest.mark.parametrize(
    ("budget", "allowed"),
    [
        (ErrorBudget(), 0),
        (ErrorBudget(rows=2), 2),
        (ErrorBudget(share=0.3), 3),
        (ErrorBudget(rows=1, share=0.9), 1),
        (ErrorBudget(unlimited=True), 9),
    ],
    ids=["none", "rows", "share", "both", "no-limit"],
)
def test_reference_keeps_to_the_budget(budget: ErrorBudget, allowed: int) -> None:
    codes = [
        judge(replace(THINGS, budget=budget), b"id\n" + b"x\n" * bad + b"1\n" * (10 - bad)).code for bad in range(10)
    ]
    assert codes == [None] * (allowed + 1) + [Code.ERROR_BUDGET_EXCEEDED] * (9 - allowed)


@pytest.mark.parametrize(
    ("mode", "extra", "kept"),
    [
        (UnknownColumns.IGNORE, (), {"_rescued": None}),
        (UnknownColumns.RESCUE, (), {"_rescued": Document.of_text('{"Till No.": "7", "more": null}')}),
        (
            UnknownColumns.EVOLVE,
            ("till_no_ea56da0f", "more"),
            {"_rescued": None, "till_no_ea56da0f": "7", "more": None},
        ),
    ],
    ids=("ignore", "rescue", "evolve"),
)
def test_reference_treats_unknown_columns(mode: UnknownColumns, extra: tuple[str, ...], kept: dict) -> None:
    verdict = judge(replace(THINGS, unknown_columns=mode), b"id,Till No.,more\n1,7,\n")
    assert verdict.extra == extra
    assert verdict.rows[0].values == {"id": 1, "n": None, "at": None} | kept


def test_reference_judges_rules_and_derives() -> None:
    contract = replace(
        THINGS,
        columns=(*THINGS.columns, Column("twice", ColumnType.INTEGER, derived="id * 2")),
        row_rules=(RowRule("small", "n <= id AND n IS NOT NULL", "", "n"),),
    )
    verdict = judge(contract, b"id,n\n1,2\n3,2\n4,\n5,x\n")
    assert faults(verdict) == [(1, 2, "n", "rule-broken"), (3, 4, "n", "rule-broken"), (4, 5, "n", "bad-number"),
                               (4, 5, "n", "rule-broken")]  # fmt: skip
    assert [row.values["twice"] for row in verdict.rows] == [6]


def test_reference_calculates_as_sql_does() -> None:
    row = {"a": 2**62, "b": None, "t": "x", "f": 0.5}
    assert evaluate("b > 1", row) is None
    assert evaluate("b > 1 OR t = 'x'", row) is True
    assert evaluate("t || 'y''z' <> t", row) is True
    assert evaluate("abs(0.1 - f) < 1", row) is True
    with pytest.raises(CannotCalculate):
        evaluate("a * 2", row)
    with pytest.raises(NotImplementedError):
        evaluate("regexp_matches(t, 'x')", row)


# Tables


def outcome(table: Table, body: bytes) -> Counts | Code:
    found = table.apply(judge(table.contract, body))
    return found.code or found.counts


def test_reference_table_counts_what_each_file_does() -> None:
    table = Table(replace(THINGS, on_duplicate=OnDuplicate.LAST_WINS))
    assert outcome(table, b"id,n\n1,1\n2,2\n1,3\nx,1\n") == Counts(4, inserted=2, duplicate=1, rejected=1)
    assert outcome(table, b"id,n\n1,3.0\n2,5\n3,1\n") == Counts(3, inserted=1, updated=1, unchanged=1)
    assert {key[0]: row["n"] for key, row in table.rows.items()} == {1: 3, 2: 5, 3: 1}
    assert outcome(table, b"id,n\n1,3.0\n2,5\n3,1\n") is Code.DUPLICATE_CONTENT
    assert outcome(table, b"") is Code.EMPTY_FILE


@pytest.mark.parametrize(("contract", "again"), [(THINGS, Counts(1, updated=1)), (NEWEST, Code.DUPLICATE_CONTENT)])
def test_reference_table_loads_a_content_again_after_another(contract: Contract, again: Counts | Code) -> None:
    table = Table(contract)
    for body in (b"id,n,at\n1,1,2026-01-01\n", b"id,n,at\n1,2,2026-01-01\n"):
        outcome(table, body)
    assert outcome(table, b"id,n,at\n1,1,2026-01-01\n") == again


CONFLICTS = [  # a contract, rows, the numbers of the refused rows
    (THINGS, "1,1,\n1,2,\n2,1,", [1, 2]),
    (THINGS, "1,1,\n1,1.0,", []),
    (THINGS, "1,1,\n1,,\n1,1,", [1, 2, 3]),
    (replace(THINGS, on_duplicate=OnDuplicate.LAST_WINS), "1,1,\n1,2,", []),
    (NEWEST, "1,1,2026-01-01\n1,2,2026-01-02", []),
    (NEWEST, "1,0,2026-01-01\n1,1,2026-01-02\n1,2,2026-01-02", [1, 2, 3]),
    (NEWEST, "1,1,2026-01-01\n1,2,2026-01-01\n1,3,2026-01-02", []),
]


@pytest.mark.parametrize(("contract", "rows", "refused"), CONFLICTS)
def test_reference_refuses_all_rows_of_a_key_with_conflicting_rows(
    contract: Contract, rows: str, refused: list[int]
) -> None:
    verdict = judge(contract, f"id,n,at\n{rows}\n".encode())
    assert faults(verdict) == [(row, row + 1, None, "conflicting-duplicate") for row in refused]
    assert judge(replace(contract, budget=ErrorBudget()), f"id,n,at\n{rows}\n".encode()).code == (
        Code.ERROR_BUDGET_EXCEEDED if refused else None
    )


def test_reference_table_keeps_newer_rows_when_older_ones_come_later() -> None:
    table = Table(NEWEST)
    outcome(table, b"id,n,at\n1,2,2026-01-02\n1,1,2026-01-01\n")
    assert table.rows[(1,)]["n"] == 2
    assert outcome(table, b"id,n,at\n1,9,2026-01-01\n") == Counts(1, unchanged=1)
    assert outcome(table, b"id,n,at\n1,9,2026-01-02\n") == Counts(1, updated=1)
    assert table.rows[(1,)]["n"] == 9


def test_reference_table_keeps_evolved_columns_of_files_without_them() -> None:
    table = Table(replace(THINGS, unknown_columns=UnknownColumns.EVOLVE))
    outcome(table, b"id,more\n1,a\n")
    assert outcome(table, b"id,n\n1,2\n2,2\n") == Counts(2, inserted=1, updated=1)
    assert {key[0]: row["more"] for key, row in table.rows.items()} == {1: "a", 2: None}


def test_reference_judges_each_message_alone() -> None:
    good = json.dumps({"id": 1, "n": 1}).encode()
    contract = replace(THINGS, unknown_columns=UnknownColumns.REJECT, budget=ErrorBudget())
    verdict = judge_messages(contract, [good, b"", b"\xff", b"{", b"7", b'{"n": 1}', b'{"id": 2, "odd": 1}'])
    assert verdict.faults == (
        Fault(2, 2, None, Code.EMPTY_MESSAGE), Fault(3, 3, None, Code.BAD_ENCODING),
        Fault(4, 4, None, Code.BAD_ROW_JSON),
        Fault(5, 5, None, Code.NOT_AN_OBJECT), Fault(6, 6, "id", Code.MISSING_VALUE),
        Fault(7, 7, None, Code.UNKNOWN_COLUMNS),
    )  # fmt: skip
    assert (verdict.code, [row.values["id"] for row in verdict.rows]) == (None, [1])


SNAPSHOT = replace(THINGS, mode=Mode.SNAPSHOT, deletes=Deletes.HARD, max_delete_share=0.5)


@pytest.mark.parametrize("deletes", Deletes)
def test_reference_table_deletes_what_a_snapshot_lacks(deletes: Deletes) -> None:
    table = Table(replace(SNAPSHOT, deletes=deletes))
    outcome(table, b"id,n\n1,1\n2,2\n3,3\n4,4\n")
    assert outcome(table, b"id,n\n1,1\n2,x\n5,5\n") == Counts(3, inserted=1, unchanged=1, rejected=1, deleted=2)
    assert table.rows.keys() - table.marked == {(1,), (2,), (5,)}
    assert outcome(table, b"id,n\nx,1\n5,5\n") == Counts(2, unchanged=1, rejected=1, skipped=2)
    assert outcome(table, b"id,n\n9,9\n") is Code.TOO_MANY_DELETES
    again = {"updated": 1, "unchanged": 3} if deletes is Deletes.SOFT else {"inserted": 1, "unchanged": 3}
    assert outcome(table, b"id,n\n1,1\n2,2\n4,4\n5,5\n") == Counts(4, **again)


def test_reference_table_appends_every_row_once() -> None:
    table = Table(replace(THINGS, key=APPEND_KEY))
    assert outcome(table, b"id,n\n1,1\n1,1\n1,2\n") == Counts(3, inserted=3)
    assert outcome(table, b"id,n\n1,1\n") == Counts(1, inserted=1)
    assert outcome(table, b"id,n\n1,1\n1,1\n1,2\n") is Code.DUPLICATE_CONTENT
    assert [row["n"] for row in table.rows.values()] == [1, 1, 2, 1]


def test_reference_table_refuses_far_fewer_rows_than_usual() -> None:
    table = Table(replace(THINGS, min_share_of_usual=0.5))
    for at in range(3):
        outcome(table, f"id,n\n1,{at}\n2,{at}\n3,{at}\n4,{at}\n".encode())
    assert outcome(table, b"id,n\n1,9\n") is Code.TOO_FEW_ROWS
    assert outcome(table, b"id,n\n1,9\n2,9\n") == Counts(2, updated=2)
