"""Samples satisfy their contract, are reproducible, and have faults exactly where the report says."""

import csv
import gzip
import io
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from include.contracts.dialect import Dialect
from include.contracts.expressions import literal, quoted
from include.contracts.model import Column, ColumnType, Contract
from include.contracts.reader import read_contract
from include.errors import Code
from include.samples.badness import FILE_KINDS, Bad, BadKind, SampleError, SampleFormat, parse_bad
from include.samples.keys import key_capacity
from include.samples.patterns import positions
from include.samples.report import SampleReport
from include.samples.row_faults import LONG_LINE_BYTES
from include.samples.values import Vintage
from include.samples.writer import Sample, _Plan, write_sample
from include.settings import CONTRACTS_DIR

pytestmark = pytest.mark.unit

SALES = read_contract(CONTRACTS_DIR / "sales.yaml")
INVENTORY = read_contract(CONTRACTS_DIR / "inventory.yaml")
CONTRACTS = {"sales": SALES, "inventory": INVENTORY}


def sample(tmp_path: Path, contract: Contract = SALES, rows: int = 500, kind: str = "csv", **options) -> SampleReport:
    name = f"{contract.dataset}_{len(list(tmp_path.iterdir()))}.{kind}"
    return write_sample(Sample(contract, rows, **options), tmp_path / name, SampleFormat(kind))


def table(report: SampleReport, contract: Contract) -> str:
    """SQL for the sample as typed rows, derived columns included."""
    path = literal(str(report.path))
    source = {
        "csv": f"read_csv({path}, all_varchar = true, header = true, delim = ',', quote = '\"', escape = '\"')",
        "ndjson": f"read_json({path}, format = 'newline_delimited')",
        "json": f"read_json({path}, format = 'array')",
        "parquet": f"read_parquet({path})",
    }[report.format]
    typed = ", ".join(f"CAST({quoted(c.name)} AS {c.duckdb_type}) AS {quoted(c.name)}" for c in contract.source_columns)
    derived = "".join(f", ({c.derived}) AS {quoted(c.name)}" for c in contract.columns if c.derived)
    return f"(SELECT *{derived} FROM (SELECT {typed} FROM {source}))"


def violations(column: Column) -> list[str]:
    """SQL conditions that no good row meets."""
    name = quoted(column.name)
    found = [f"{name} IS NULL"] if column.required else []
    if column.allowed:
        found.append(f"{name} NOT IN ({', '.join(map(literal, column.allowed))})")
    if column.pattern:
        found.append(f"NOT regexp_full_match({name}, {literal(column.pattern)})")
    if column.max_length is not None:
        found.append(f"length({name}) > {column.max_length}")
    if column.min_length is not None:
        found.append(f"length({name}) < {column.min_length}")
    if column.minimum is not None:
        sign = "<=" if column.exclusive_minimum else "<"
        found.append(f"{name} {sign} {literal(column.minimum)}::{column.duckdb_type}")
    if column.maximum is not None:
        sign = ">=" if column.exclusive_maximum else ">"
        found.append(f"{name} {sign} {literal(column.maximum)}::{column.duckdb_type}")
    return found


@pytest.mark.parametrize("kind", ["csv", "json", "ndjson", "parquet"])
@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=list(CONTRACTS))
def test_good_rows_satisfy_the_contract(tmp_path: Path, contract: Contract, kind: str) -> None:
    report = sample(tmp_path, contract, 3_000, kind)
    rows = table(report, contract)
    key = ", ".join(map(quoted, contract.key))
    bad = [f"count(*) FILTER ({v})" for column in contract.columns for v in violations(column)]
    bad += [f"count(*) FILTER (NOT ({rule.expression}))" for rule in contract.row_rules]
    counts = duckdb.sql(f"SELECT count(*), count(DISTINCT ({key})), {', '.join(bad)} FROM {rows}").fetchone()
    assert counts[:2] == (3_000, 3_000)
    assert set(counts[2:]) == {0}


def test_optional_columns_have_nulls_and_all_listed_values_occur(tmp_path: Path) -> None:
    rows = table(sample(tmp_path, rows=3_000), SALES)
    gaps, regions, categories = duckdb.sql(
        f"SELECT count(*) FILTER (region IS NULL), count(DISTINCT region), count(DISTINCT category) FROM {rows}"
    ).fetchone()
    assert 0 < gaps < 1_500
    assert (regions, categories) == (4, 8)


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=list(CONTRACTS))
def test_all_formats_hold_the_same_rows(tmp_path: Path, contract: Contract) -> None:
    names = ", ".join(
        f"json_extract_string({quoted(c.name)}, '$.colour')" if c.type is ColumnType.JSON else quoted(c.name)
        for c in contract.source_columns
    )
    contents = [
        duckdb.sql(
            f"SELECT {names} FROM {table(sample(tmp_path, contract, 300, kind), contract)} ORDER BY ALL"
        ).fetchall()
        for kind in ("csv", "json", "ndjson", "parquet")
    ]
    assert contents[0] == contents[1] == contents[2] == contents[3]


@pytest.mark.parametrize("kind", [kind.value for kind in SampleFormat])
def test_same_seed_gives_the_same_bytes_and_another_seed_other_rows(tmp_path: Path, kind: str) -> None:
    bad = [Bad(BadKind.MISSING_KEY, 2)]
    first, again = (sample(tmp_path, rows=200, kind=kind, seed=7, bad=bad) for _ in range(2))
    other = sample(tmp_path, rows=200, kind=kind, seed=8, bad=bad)
    assert first.path.read_bytes() == again.path.read_bytes()
    assert first.bad_rows == again.bad_rows
    assert first.path.read_bytes() != other.path.read_bytes()


def test_compressed_files_hold_the_plain_bytes(tmp_path: Path) -> None:
    plain = sample(tmp_path).path.read_bytes()
    assert gzip.decompress(sample(tmp_path, kind="csv.gz").path.read_bytes()) == plain
    assert zstandard.ZstdDecompressor().stream_reader(sample(tmp_path, kind="csv.zst").path.open("rb")).read() == plain


def test_keys_are_not_sorted(tmp_path: Path) -> None:
    keys = [
        row[0] for row in duckdb.sql(f"SELECT sale_id FROM {table(sample(tmp_path, rows=1_000), SALES)}").fetchall()
    ]
    ascending = sum(a < b for a, b in pairwise(keys))
    assert 250 < ascending < 750


def test_update_file_shares_half_its_keys_and_is_newer(tmp_path: Path) -> None:
    first = table(sample(tmp_path, rows=1_000), SALES)
    second = table(sample(tmp_path, rows=1_000, start=500, version=2), SALES)
    shared, newer, changed = duckdb.sql(
        f"SELECT count(*), count(*) FILTER (b.updated_at > a.updated_at), "
        f"count(*) FILTER (b.total_amount <> a.total_amount) "
        f"FROM {first} a JOIN {second} b USING (sale_id)"
    ).fetchone()
    assert (shared, newer) == (500, 500)
    assert changed > 450


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=list(CONTRACTS))
def test_duplicates_have_the_requested_number_and_are_newer(tmp_path: Path, contract: Contract) -> None:
    report = sample(tmp_path, contract, 2_000, duplicates=0.01)
    key = ", ".join(map(quoted, contract.key))
    newest = quoted(contract.newest_by)
    found = duckdb.sql(
        f"SELECT count(*), count(*) FILTER (n = 2 AND versions = 2) FROM "
        f"(SELECT count(*) AS n, count(DISTINCT {newest}) AS versions FROM {table(report, contract)} GROUP BY {key})"
    ).fetchone()
    assert found == (1_980, 20)
    assert report.duplicates == 20


def applicable(contract: Contract, kind: str) -> list[BadKind]:
    """The row kinds that this dataset and format can have."""
    unfit = {
        "sales": {"bad-boolean", "bad-uuid", "bad-json", "pattern-mismatch"},
        "inventory": {"too-many-decimals", "not-in-list"},
    }[contract.dataset]
    only_json = {"bad-row-json", "not-an-object"}
    only_csv = {"too-many-fields", "too-few-fields", "broken-quote", "bad-json"}
    typed = {"missing-key", "not-in-list", "out-of-range", "too-long", "pattern-mismatch", "rule-broken"}
    kinds = [k for k in BadKind if k not in FILE_KINDS and k not in unfit and k is not BadKind.LONG_LINE]
    if kind == "parquet":
        return [k for k in kinds if k in typed]
    return [k for k in kinds if k not in (only_json if kind == "csv" else only_csv)]


ROW_CASES = [
    pytest.param(contract, kind, bad, id=f"{name}-{kind}-{bad}")
    for name, contract in CONTRACTS.items()
    for kind in ("csv", "ndjson", "parquet")
    for bad in applicable(contract, kind)
]


@pytest.mark.parametrize(("contract", "kind", "bad"), ROW_CASES)
def test_only_the_reported_row_differs_from_the_good_file(
    tmp_path: Path, contract: Contract, kind: str, bad: BadKind
) -> None:
    good = sample(tmp_path, contract, 50, kind)
    faulty = sample(tmp_path, contract, 50, kind, bad=[Bad(bad)])
    (row,) = faulty.bad_rows
    if kind == "parquet":
        before, after = (pq.read_table(report.path).to_pylist() for report in (good, faulty))
        differing = [i + 1 for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
        assert differing == [row.source_row]
        cells = {name for name in after[0] if before[row.source_row - 1][name] != after[row.source_row - 1][name]}
        assert cells == {row.column}
    else:
        before, after = (report.path.read_bytes().split(b"\n") for report in (good, faulty))
        differing = [i + 1 for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
        assert differing == [row.line]
        assert row.line == row.source_row + (kind == "csv")


@pytest.mark.parametrize(
    ("bad", "code", "broken"),
    [
        (BadKind.MISSING_KEY, Code.MISSING_VALUE, "sale_id IS NULL"),
        (BadKind.NOT_IN_LIST, Code.NOT_IN_LIST, "category = 'Nonsense'"),
        (BadKind.OUT_OF_RANGE, Code.OUT_OF_RANGE, "sale_date < DATE '2000-01-01'"),
        (BadKind.TOO_LONG, Code.TOO_LONG, "length(customer_id) = 65"),
        (BadKind.RULE_BROKEN, Code.RULE_BROKEN, "NOT abs(total_amount - quantity * unit_price) <= 0.01"),
    ],
)
def test_bad_value_has_the_fault_of_its_kind(tmp_path: Path, bad: BadKind, code: Code, broken: str) -> None:
    report = sample(tmp_path, rows=300, bad=[Bad(bad, 3)])
    assert {row.code for row in report.bad_rows} == {code}
    assert duckdb.sql(f"SELECT count(*) FROM {table(report, SALES)} WHERE {broken}").fetchone() == (3,)


def test_bad_lines_have_the_faults_of_their_kinds(tmp_path: Path) -> None:
    report = sample(tmp_path, rows=100, bad=parse_bad("too-many-fields,too-few-fields,broken-quote,not-utf8"))
    lines = report.path.read_bytes().splitlines()
    by_kind = {row.kind: lines[row.line - 1] for row in report.bad_rows}
    width = len(SALES.source_columns)
    assert len(next(csv.reader([by_kind[BadKind.TOO_MANY_FIELDS].decode()]))) == width + 1
    assert len(next(csv.reader([by_kind[BadKind.TOO_FEW_FIELDS].decode()]))) == width - 1
    with pytest.raises(csv.Error):
        next(csv.reader([by_kind[BadKind.BROKEN_QUOTE].decode()], strict=True))
    with pytest.raises(UnicodeDecodeError):
        by_kind[BadKind.NOT_UTF8].decode()


def test_long_line_is_one_line_of_fifty_megabytes(tmp_path: Path) -> None:
    report = sample(tmp_path, rows=5, bad=[Bad(BadKind.LONG_LINE)])
    lengths = [len(line) for line in report.path.read_bytes().splitlines()]
    assert len(lengths) == 6
    assert lengths[report.bad_rows[0].line - 1] > LONG_LINE_BYTES


def header(report: SampleReport) -> list[str]:
    return report.path.read_text(encoding="utf-8-sig").splitlines()[0].split(",")


NAMES = [column.name for column in SALES.source_columns]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (BadKind.MISSING_COLUMN, [n for n in NAMES if n != "sale_date"]),
        (BadKind.REORDERED_COLUMNS, NAMES[::-1]),
        (BadKind.EXTRA_COLUMN, [*NAMES, "extra_number"]),
        (BadKind.HEADER_ONLY, NAMES),
        (BadKind.BOM, NAMES),
    ],
)
def test_header_of_a_bad_file(tmp_path: Path, kind: BadKind, expected: list[str]) -> None:
    report = sample(tmp_path, bad=[Bad(kind)])
    assert header(report) == expected
    assert len(report.path.read_bytes().splitlines()) == report.rows + 1
    assert report.file_faults == (kind,)


def test_many_columns_are_a_thousand(tmp_path: Path) -> None:
    report = sample(tmp_path, rows=3, bad=[Bad(BadKind.MANY_COLUMNS)])
    assert {len(line.split(",")) for line in report.path.read_text().splitlines()} == {1_000}


@pytest.mark.parametrize(
    ("kind", "encoding", "mark"),
    [
        (BadKind.UTF16, "utf-16", b"\xff\xfe"),
        (BadKind.LATIN1, "latin-1", b""),
        (BadKind.BOM, "utf-8-sig", b"\xef\xbb\xbf"),
    ],
)
def test_encodings_change_bytes_not_text(tmp_path: Path, kind: BadKind, encoding: str, mark: bytes) -> None:
    good = sample(tmp_path).path.read_text(encoding="utf-8")
    content = sample(tmp_path, bad=[Bad(kind)]).path.read_bytes()
    assert content.startswith(mark)
    assert content.decode(encoding) == good
    assert not good.isascii()


def test_separators_and_line_ends(tmp_path: Path) -> None:
    good = list(csv.reader(sample(tmp_path).path.open(encoding="utf-8")))
    for kind, mark in ((BadKind.SEMICOLON, ";"), (BadKind.TAB, "\t")):
        content = sample(tmp_path, bad=[Bad(kind)]).path.read_text(encoding="utf-8")
        assert list(csv.reader(io.StringIO(content), delimiter=mark)) == good
    assert sample(tmp_path, bad=[Bad(BadKind.CRLF)]).path.read_bytes().count(b"\r\n") == 501


@pytest.mark.parametrize("kind", ["csv", "json", "ndjson", "parquet"])
def test_files_that_are_no_data(tmp_path: Path, kind: str) -> None:
    assert sample(tmp_path, kind=kind, bad=[Bad(BadKind.EMPTY)]).path.read_bytes() == b""
    assert sample(tmp_path, kind=kind, bad=[Bad(BadKind.PNG)]).path.read_bytes().startswith(b"\x89PNG")
    whole = sample(tmp_path, kind=kind).path.read_bytes()
    cut = sample(tmp_path, kind=kind, bad=[Bad(BadKind.TRUNCATED)]).path.read_bytes()
    assert whole.startswith(cut)
    assert len(cut) <= len(whole) * 3 // 4
    assert not cut.endswith(b"\n")


def test_empty_json_array_and_parquet_without_rows(tmp_path: Path) -> None:
    assert json.loads(sample(tmp_path, kind="json", bad=[Bad(BadKind.HEADER_ONLY)]).path.read_text()) == []
    assert pq.read_table(sample(tmp_path, kind="parquet", rows=0).path).shape == (0, len(NAMES))


REFUSED = {
    "a quote in Parquet": (SALES, "parquet", {"bad": [Bad(BadKind.BROKEN_QUOTE)]}, "cannot have broken-quote"),
    "no such column": (SALES, "csv", {"bad": [Bad(BadKind.BAD_UUID)]}, "none of its columns can"),
    "more bad than rows": (SALES, "csv", {"bad": [Bad(BadKind.MISSING_KEY, 501)]}, "do not fit into 500 rows"),
    "too many duplicates": (SALES, "csv", {"duplicates": 0.99}, "cannot be duplicates"),
    "more keys than there are": (INVENTORY, "csv", {"start": key_capacity(INVENTORY)}, "different values"),
    "name without its ending": (SALES, "csv.gz", {"path": "x.csv"}, "ends in .csv.gz"),
    "nested JSON": (replace(SALES, dialect=Dialect(record_path="data")), "json", {}, "choose csv"),
}


@pytest.mark.parametrize(("contract", "kind", "options", "message"), REFUSED.values(), ids=list(REFUSED))
def test_impossible_sample_is_refused_and_leaves_no_file(
    tmp_path: Path, contract: Contract, kind: str, options: dict, message: str
) -> None:
    path = tmp_path / options.pop("path", f"x.{kind}")
    with pytest.raises(SampleError, match=message):
        write_sample(Sample(contract, 500, **options), path, SampleFormat(kind))
    assert list(tmp_path.iterdir()) == []


def test_bad_is_parsed() -> None:
    assert parse_bad("missing-key:3, utf16") == (Bad(BadKind.MISSING_KEY, 3), Bad(BadKind.UTF16))
    assert parse_bad("") == ()
    for text in ("missing-keys", "missing-key:x"):
        with pytest.raises(SampleError):
            parse_bad(text)


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(2, 4_000), share=st.floats(0, 0.9), start=st.integers(0, 10**6))
def test_any_number_of_rows_has_exactly_the_requested_distinct_keys(rows: int, share: float, start: int) -> None:
    repeated = int(rows * share)
    plan = _Plan(SALES, Vintage(), rows, start, repeated, [], {}, (), ())
    distinct, low, high, pairs = duckdb.sql(
        f"SELECT count(DISTINCT o), min(o), max(o), count(DISTINCT (o, r)) FROM {plan.rows_from(f'range({rows}) t(p)')}"
    ).fetchone()
    assert (distinct, low, high, pairs) == (rows - repeated, start, start + rows - repeated - 1, rows)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("WH-[0-9]{3}", "WH-000"),
        ("(a|b)c?", "ac"),
        (r"^\d+\.x$", "0.x"),
        ("[^a]", "b"),
    ],
)
def test_text_of_a_pattern_is_generated(pattern: str, text: str) -> None:
    assert "".join(choice[0] for choice in positions(pattern)) == text


T = ColumnType
ODD_COLUMNS = {
    "tiny range": Column("v", T.INTEGER, required=True, minimum="5", maximum="6"),
    "open range": Column("v", T.INTEGER, required=True, minimum="5", exclusive_minimum=True),
    "negative range": Column("v", T.INTEGER, required=True, maximum="-5"),
    "small fractions": Column("v", T.NUMBER, required=True, precision=3, scale=3, minimum="0", exclusive_minimum=True),
    "bound between digits": Column("v", T.NUMBER, required=True, precision=8, scale=1, minimum="0.55"),
    "wide number": Column("v", T.NUMBER, required=True, precision=38, scale=18),
    "whole number": Column("v", T.NUMBER, required=True, precision=2, scale=0),
    "open float": Column("v", T.FLOAT, required=True, minimum="0", exclusive_minimum=True, maximum="0.5"),
    "listed integers": Column("v", T.INTEGER, required=True, allowed=("3", "5")),
    "short text": Column("v", T.TEXT, required=True, min_length=2, max_length=3),
    "long text": Column("v", T.TEXT, required=True, min_length=80),
    "examples": Column("v", T.TEXT, required=True, examples=("it's", 'a "b"', "x,y", "ü")),
    "late dates": Column("v", T.DATE, required=True, minimum="2030-01-01"),
    "early dates": Column("v", T.DATE, required=True, maximum="1999-12-31", exclusive_maximum=True),
    "few days": Column("v", T.DATE, required=True, minimum="2026-01-01", maximum="2026-01-05"),
    "late times": Column("v", T.TIMESTAMPTZ, required=True, minimum="2030-01-01T00:00:00Z"),
    "json": Column("v", T.JSON, required=True),
    "hint": Column("v", T.TEXT, required=True, sample="upper(k)"),
}
KEYS = {
    T.TEXT: Column("k", T.TEXT, required=True, max_length=6),
    T.INTEGER: Column("k", T.INTEGER, required=True, minimum="-10"),
    T.NUMBER: Column("k", T.NUMBER, required=True, precision=6, scale=2),
    T.UUID: Column("k", T.UUID, required=True),
    T.DATE: Column("k", T.DATE, required=True),
    T.TIMESTAMP: Column("k", T.TIMESTAMP, required=True),
}


def small(*columns: Column, key: tuple[str, ...] = ("k",)) -> Contract:
    return Contract("small", "1", "", columns, key, None, Path("small.yaml"))


@pytest.mark.parametrize("column", ODD_COLUMNS.values(), ids=list(ODD_COLUMNS))
def test_odd_columns_get_allowed_values(tmp_path: Path, column: Column) -> None:
    rows = table(sample(tmp_path, small(KEYS[T.TEXT], column), 500), small(KEYS[T.TEXT], column))
    conditions = " OR ".join(f"({violation})" for violation in violations(column))
    assert duckdb.sql(f"SELECT count(*), count(*) FILTER ({conditions}) FROM {rows}").fetchone() == (500, 0)


@pytest.mark.parametrize("key", KEYS.values(), ids=list(map(str, KEYS)))
def test_keys_of_every_type_are_unique(tmp_path: Path, key: Column) -> None:
    rows = table(sample(tmp_path, small(key), 1_000), small(key))
    conditions = " OR ".join(f"({violation})" for violation in violations(key))
    found = duckdb.sql(f"SELECT count(DISTINCT k), count(*) FILTER ({conditions}) FROM {rows}").fetchone()
    assert found == (1_000, 0)


def test_composite_key_of_small_parts_is_used_up_to_its_last_value(tmp_path: Path) -> None:
    parts = (
        Column("a", T.BOOLEAN, required=True),
        Column("b", T.TEXT, required=True, allowed=("x", "y", "z")),
        Column("c", T.INTEGER, required=True, minimum="1", maximum="4"),
    )
    contract = small(*parts, key=("a", "b", "c"))
    rows = table(sample(tmp_path, contract, 24), contract)
    assert duckdb.sql(f"SELECT count(DISTINCT (a, b, c)) FROM {rows}").fetchone() == (24,)
    with pytest.raises(SampleError, match="only 24 different values"):
        sample(tmp_path, contract, 25)
