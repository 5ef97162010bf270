"""Stage 1 on whole files: every kind of bad row is found with the row, line, column and code of the sample report."""

import gzip
import hashlib
import json
import re
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contracts.describe import describe
from include.contracts.model import Column, ColumnType, ErrorBudget, RowRule, UnknownColumns
from include.contracts.reader import read_contract
from include.contracts.types import TYPES
from include.errors import Code
from include.ingestion.readers import row_by_row
from include.ingestion.records import DuplicateContentError, FileRefusedError, Validated
from include.samples.badness import FILE_KINDS, Bad, BadKind, SampleError, SampleFormat, check_applies
from include.samples.report import SampleReport
from include.samples.writer import Sample, write_sample
from include.settings import CONTRACTS_DIR, IngestSettings

pytestmark = pytest.mark.unit

GENEROUS = ErrorBudget(share=1.0)
CONTRACTS = {
    name: replace(read_contract(CONTRACTS_DIR / f"{name}.yaml"), budget=GENEROUS) for name in ("sales", "inventory")
}
SALES, INVENTORY = CONTRACTS.values()
STRICT_SALES = replace(SALES, budget=ErrorBudget())
FORMATS = [SampleFormat.CSV, SampleFormat.CSV_GZ, SampleFormat.JSON, SampleFormat.NDJSON, SampleFormat.PARQUET]
# Kinds that a contract has no column for.
FOREIGN_KINDS = {
    "sales": {BadKind.BAD_BOOLEAN, BadKind.BAD_UUID, BadKind.BAD_JSON, BadKind.PATTERN_MISMATCH},
    "inventory": {BadKind.TOO_MANY_DECIMALS, BadKind.NOT_IN_LIST},
}


def applies(kind: BadKind, file_format: SampleFormat) -> bool:
    try:
        check_applies((Bad(kind),), file_format)
    except SampleError:
        return False
    return True


ROW_CASES = [
    pytest.param(dataset, file_format, kind, id=f"{dataset}-{file_format}-{kind}")
    for dataset in CONTRACTS
    for file_format in FORMATS
    for kind in BadKind
    if kind not in FILE_KINDS | FOREIGN_KINDS[dataset] | {BadKind.LONG_LINE} and applies(kind, file_format)
]


def sample(folder: Path, contract: str, file_format: SampleFormat, *bad: Bad, rows: int = 120) -> SampleReport:
    return write_sample(Sample(CONTRACTS[contract], rows, bad=bad), folder / f"sample.{file_format}", file_format)


def found(validated: Validated) -> set[tuple]:
    return {(r.source_row, r.source_line, r.column, r.code) for r in validated.rejects.first}


@pytest.mark.parametrize(("dataset", "file_format", "kind"), ROW_CASES)
def test_validate_names_row_line_column_and_code(
    tmp_path: Path, stages, dataset: str, file_format: SampleFormat, kind: BadKind
) -> None:
    report = sample(tmp_path, dataset, file_format, Bad(kind, 3))
    validated = stages.validate(CONTRACTS[dataset], report.path)
    assert len(report.bad_rows) == 3
    named = {(bad.source_row, bad.line, bad.column, bad.code) for bad in report.bad_rows}
    # A negative number on hand is also less than the number reserved.
    if kind is BadKind.OUT_OF_RANGE:
        assert {code for *_, code in found(validated) - named} <= {Code.RULE_BROKEN}
        named |= {fault for fault in found(validated) if fault[0] in {bad.source_row for bad in report.bad_rows}}
    assert found(validated) == named
    assert (validated.rows_read, validated.rejects.rows) == (120, 3)
    kept = pq.read_table(validated.path).column("_source_row").to_pylist()
    assert kept == [row for row in range(1, 121) if row not in {bad.source_row for bad in report.bad_rows}]


def test_validate_reports_all_kinds_of_one_file_together(tmp_path: Path, stages) -> None:
    kinds = [kind for dataset, form, kind in (case.values for case in ROW_CASES) if (dataset, form) == ("sales", "csv")]
    report = sample(tmp_path, "sales", SampleFormat.CSV, *(Bad(kind, 2) for kind in kinds), rows=500)
    validated = stages.validate(SALES, report.path)
    assert len(kinds) > 10
    assert found(validated) == {(bad.source_row, bad.line, bad.column, bad.code) for bad in report.bad_rows}


ANY = (SampleFormat.CSV, SampleFormat.JSON, SampleFormat.NDJSON, SampleFormat.PARQUET)
TEXT = (SampleFormat.CSV, SampleFormat.JSON, SampleFormat.NDJSON)
CSV = (SampleFormat.CSV,)
OUTCOMES = [
    (BadKind.EMPTY, ANY, Code.EMPTY_FILE),
    (BadKind.HEADER_ONLY, (SampleFormat.CSV, SampleFormat.JSON, SampleFormat.PARQUET), Code.NO_ROWS),
    (BadKind.PNG, ANY, Code.UNKNOWN_FORMAT),
    (BadKind.TRUNCATED, (SampleFormat.PARQUET, SampleFormat.JSON), Code.TRUNCATED_FILE),
    (BadKind.TRUNCATED, (SampleFormat.CSV_GZ, SampleFormat.CSV_ZST, SampleFormat.NDJSON_GZ), Code.TRUNCATED_FILE),
    (BadKind.TRUNCATED, (SampleFormat.CSV, SampleFormat.NDJSON), Code.ERROR_BUDGET_EXCEEDED),
    (BadKind.MISSING_COLUMN, ANY, Code.MISSING_COLUMNS),
    (BadKind.MANY_COLUMNS, ANY, Code.TOO_MANY_COLUMNS),
    (BadKind.REORDERED_COLUMNS, ANY, None),
    (BadKind.EXTRA_COLUMN, ANY, None),
    (BadKind.DUPLICATE_KEYS, ANY, None),
    (BadKind.UTF16, TEXT, None),
    (BadKind.LATIN1, TEXT, Code.UNDECLARED_ENCODING),
    (BadKind.BOM, TEXT, None),
    (BadKind.CRLF, TEXT, None),
    (BadKind.SEMICOLON, CSV, None),
    (BadKind.TAB, CSV, None),
    (BadKind.LONG_LINE, (SampleFormat.CSV, SampleFormat.NDJSON), Code.ERROR_BUDGET_EXCEEDED),
    (BadKind.LONG_LINE, (SampleFormat.JSON,), Code.ROW_TOO_LONG),
    (BadKind.NOT_UTF8, (SampleFormat.JSON,), Code.ERROR_BUDGET_EXCEEDED),
]
FILE_CASES = [
    pytest.param(file_format, kind, code, id=f"{file_format}-{kind}-{code or 'ok'}")
    for kind, formats, code in OUTCOMES
    for file_format in formats
]


def test_validate_outcomes_leave_no_kind_of_file_out() -> None:
    assert {kind for kind, _, _ in OUTCOMES} >= FILE_KINDS


@pytest.mark.parametrize(("file_format", "kind", "code"), FILE_CASES)
def test_validate_gives_each_kind_of_file_its_outcome(
    tmp_path: Path, stages, file_format: SampleFormat, kind: BadKind, code: Code | None
) -> None:
    report = sample(tmp_path, "sales", file_format, Bad(kind))
    if code is None:
        assert stages.validate(STRICT_SALES, report.path).rows_read == 120
        return
    refusal = stages.refusal(STRICT_SALES, report.path)
    assert refusal.code is code
    assert_human(refusal)
    assert refusal.sha256 == hashlib.sha256(report.path.read_bytes()).hexdigest()


def assert_human(refusal: FileRefusedError) -> None:
    """The message and the remedy are sentences without names from the code."""
    for text in (refusal.message, refusal.remedy):
        assert text[0].isupper() or text[0].isdigit() or text[0] == "'", text
        assert len(text) < 1_500, text
        assert not re.search(r"Traceback|[A-Z][a-z]+(Error|Exception)\b|<class|0x7f|\.py\b|duckdb|pyarrow", text), text


@pytest.mark.parametrize("file_format", ANY)
def test_validate_rescues_an_unknown_column(tmp_path: Path, stages, file_format: SampleFormat) -> None:
    report = sample(tmp_path, "sales", file_format, Bad(BadKind.EXTRA_COLUMN))
    rows = stages.rows(STRICT_SALES, report.path)
    assert all(re.fullmatch(r'\{"extra_number": ?"?\d+"?\}', row["_rescued"]) for row in rows)


def test_validate_reads_every_layout_to_the_same_rows(tmp_path: Path, stages) -> None:
    plain = stages.rows(SALES, sample(tmp_path, "sales", SampleFormat.CSV).path)
    assert len(plain) == 120
    for kind in (BadKind.REORDERED_COLUMNS, BadKind.UTF16, BadKind.BOM, BadKind.CRLF, BadKind.SEMICOLON, BadKind.TAB):
        report = sample(tmp_path, "sales", SampleFormat.CSV, Bad(kind))
        assert stages.rows(STRICT_SALES, report.path) == plain, kind


@pytest.mark.parametrize("dataset", CONTRACTS)
def test_validate_reads_every_format_to_the_same_rows(tmp_path: Path, stages, dataset: str) -> None:
    plain = stages.rows(CONTRACTS[dataset], sample(tmp_path, dataset, SampleFormat.CSV).path)
    for file_format in SampleFormat:
        rows = stages.rows(CONTRACTS[dataset], sample(tmp_path, dataset, file_format).path)
        assert without_spelling(rows) == without_spelling(plain), file_format


def without_spelling(rows: list[dict]) -> list[dict]:
    """The rows without the spaces in JSON, which differ between writers and which jsonb does not store."""
    return [row | {"attributes": re.sub(r"\s+", "", row.get("attributes") or "")} for row in rows]


def test_validate_reads_good_files_on_the_fast_path_and_bad_ones_on_the_slow_path(tmp_path: Path, stages) -> None:
    good = sample(tmp_path, "sales", SampleFormat.CSV)
    assert stages.validate(SALES, good.path).path_taken == "fast"
    bad = sample(tmp_path, "sales", SampleFormat.CSV, Bad(BadKind.BAD_DATE))
    assert stages.validate(SALES, bad.path).path_taken == "slow"


def test_validate_reads_a_line_of_fifty_megabytes_in_bounded_memory(tmp_path: Path, stages) -> None:
    report = sample(tmp_path, "sales", SampleFormat.CSV, Bad(BadKind.LONG_LINE))
    tracemalloc.start()
    validated = stages.validate(SALES, report.path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found(validated) == {(bad.source_row, bad.line, None, Code.ROW_TOO_LONG) for bad in report.bad_rows}
    assert peak < 40 * 1024**2
    assert all(len(reject.raw) <= 10_000 for reject in validated.rejects.first)


# The error budget


@pytest.mark.parametrize(
    ("budget", "bad", "code"),
    [
        pytest.param(ErrorBudget(), 0, None, id="none-and-none-bad"),
        pytest.param(ErrorBudget(), 1, Code.ERROR_BUDGET_EXCEEDED, id="none-and-one-bad"),
        pytest.param(ErrorBudget(rows=2), 2, None, id="rows-just-enough"),
        pytest.param(ErrorBudget(rows=2), 3, Code.ERROR_BUDGET_EXCEEDED, id="rows-one-too-many"),
        pytest.param(ErrorBudget(share=0.025), 3, None, id="share-just-enough"),
        pytest.param(ErrorBudget(share=0.025), 4, Code.ERROR_BUDGET_EXCEEDED, id="share-one-too-many"),
        pytest.param(ErrorBudget(unlimited=True), 60, None, id="no-limit"),
        pytest.param(ErrorBudget(rows=10, share=0.025), 4, Code.ERROR_BUDGET_EXCEEDED, id="both-must-hold"),
    ],
)
def test_validate_keeps_to_the_error_budget(
    tmp_path: Path, stages, budget: ErrorBudget, bad: int, code: Code | None
) -> None:
    report = sample(tmp_path, "sales", SampleFormat.CSV, *([Bad(BadKind.BAD_DATE, bad)] if bad else []))
    contract = replace(SALES, budget=budget)
    if code is None:
        assert stages.validate(contract, report.path).rejects.rows == bad
    else:
        refusal = stages.refusal(contract, report.path)
        assert (refusal.code, refusal.rows_read, refusal.rejects.rows) == (code, 120, bad)


@pytest.mark.parametrize(
    ("budget", "bounds"),
    [
        pytest.param(ErrorBudget(), "none", id="none"),
        pytest.param(ErrorBudget(rows=1), "1 row", id="one row"),
        pytest.param(ErrorBudget(share=0.005), "0.5 % of the rows", id="share"),
        pytest.param(ErrorBudget(rows=2, share=0.5), "2 rows and 50 % of the rows", id="both"),
    ],
)
def test_refusal_and_description_name_the_same_bounds(tmp_path: Path, stages, budget: ErrorBudget, bounds: str) -> None:
    report = sample(tmp_path, "sales", SampleFormat.CSV, Bad(BadKind.BAD_DATE, 3))
    contract = replace(SALES, budget=budget)
    assert f"the contract allows {bounds}. First: " in stages.refusal(contract, report.path).message
    row = next(line for line in describe(contract).splitlines() if line.startswith("| Error budget |"))
    assert row.startswith(
        f"| Error budget | {bounds}:" if bounds == "none" else f"| Error budget | at most {bounds} of"
    )


def test_validate_says_where_the_first_bad_row_is(tmp_path: Path, stages) -> None:
    report = sample(tmp_path, "sales", SampleFormat.CSV, Bad(BadKind.BAD_DATE, 2))
    first = min(bad.line for bad in report.bad_rows)
    refusal = stages.refusal(STRICT_SALES, report.path)
    assert refusal.message.startswith("2 of 120 rows are refused; the contract allows none.")
    assert f"line {first}, sale_date: '2026-02-30' is not a date" in refusal.message
    assert_human(refusal)


def test_validate_refuses_a_file_of_bad_rows_only_but_for_a_full_budget(stages, contract_of) -> None:
    contract = contract_of(Column("id", ColumnType.INTEGER, required=True))
    validated = stages.validate(contract, b"id\nx\ny\n")
    assert (validated.rows_read, validated.rejects.rows) == (2, 2)
    assert stages.processed(contract, validated) == []


def test_validate_keeps_some_rejects_and_writes_all_of_them(tmp_path: Path, stages) -> None:
    report = sample(tmp_path, "sales", SampleFormat.CSV, Bad(BadKind.BAD_DATE, 20))
    validated = stages.validate(SALES, report.path, IngestSettings(max_rejects_in_ledger=5))
    assert (validated.rejects.rows, len(validated.rejects.first)) == (20, 5)
    assert len(validated.rejects.path.read_text().splitlines()) == 21


def parquet_of(**columns: list) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("mode", "content", "code"),
    [
        pytest.param("rescue", b'{"id":1,"x":"a\\u0000b"}\n{"id":2,"x":"c"}\n', Code.BAD_JSON, id="ndjson-rescued"),
        pytest.param("evolve", b'{"id":1,"x":"a\\u0000b"}\n{"id":2,"x":"c"}\n', Code.BAD_TEXT, id="ndjson-added"),
        pytest.param("rescue", b'{"id":1,"x":1e999999}\n{"id":2,"x":"c"}\n', Code.BAD_JSON, id="ndjson-endless-number"),
        pytest.param("rescue", parquet_of(id=[1, 2], x=["a\0b", "c"]), Code.BAD_JSON, id="parquet-rescued"),
        pytest.param("evolve", parquet_of(id=[1, 2], x=["a\0b", "c"]), Code.BAD_TEXT, id="parquet-added"),
    ],
)
def test_validate_refuses_rows_whose_unknown_values_no_column_can_keep(
    stages, contract_of, mode: str, content: bytes, code: Code
) -> None:
    contract = contract_of(Column("id", ColumnType.INTEGER, required=True), unknown_columns=UnknownColumns(mode))
    validated = stages.validate(contract, content)
    assert [(r.source_row, r.column, r.code) for r in validated.rejects.first] == [(1, None, code)]
    assert "contract does not name" in validated.rejects.first[0].message
    assert [row["id"] for row in stages.processed(contract, validated)] == [2]


def test_validate_knows_the_lines_of_a_documents_rejects_in_every_chunk(
    stages, contract_of, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_by_row, "CHUNK_ROWS", 7)
    contract = contract_of(Column("id", ColumnType.INTEGER, required=True), budget=ErrorBudget(share=1.0))
    records = ",\n".join('{"id": %s}' % ('"x"' if at % 5 == 0 else at) for at in range(1, 5001))
    validated = stages.validate(contract, f"[\n{records}\n]".encode())
    assert [(r.source_row, r.source_line) for r in validated.rejects.first] == [(n, n + 1) for n in range(5, 5001, 5)]


# Limits and identity


def test_validate_refuses_a_file_over_the_size_limit(stages) -> None:
    refusal = stages.refusal(SALES, b"x" * 101, IngestSettings(max_file_bytes=100))
    assert refusal.code is Code.TOO_LARGE
    assert "INGEST_MAX_FILE_BYTES" in refusal.remedy


@pytest.mark.parametrize("content", [b"id\n", b'{"id": 1}\n'], ids=["csv", "ndjson"])
def test_validate_refuses_a_gzip_bomb(stages, content: bytes) -> None:
    bomb = gzip.compress(content * (40_000_000 // len(content)), compresslevel=1)
    tracemalloc.start()
    refusal = stages.refusal(SALES, bomb, IngestSettings(max_expanded_bytes=8_000_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refusal.code is Code.TOO_LARGE
    assert peak < 30_000_000


def test_validate_refuses_content_that_was_loaded_before(tmp_path: Path, stages) -> None:
    content = sample(tmp_path, "sales", SampleFormat.CSV).path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    with pytest.raises(DuplicateContentError) as caught:
        stages.validate(SALES, content, find_duplicate=lambda sha256: 41 if sha256 == digest else None)
    assert (caught.value.of, caught.value.sha256) == (41, digest)


# What a contract may ask for


@pytest.mark.parametrize("slow", [False, True], ids=["fast", "slow"])
@pytest.mark.parametrize(
    ("mode", "rescued"),
    [
        (UnknownColumns.REJECT, Code.UNKNOWN_COLUMNS),
        (UnknownColumns.IGNORE, None),
        (UnknownColumns.RESCUE, '{"Odd One":"x"}'),
        (UnknownColumns.EVOLVE, None),
    ],
    ids=["reject", "ignore", "rescue", "evolve"],
)
@pytest.mark.parametrize(
    "content", [b"id,Odd One\n1,x\n", b'{"id": "1", "Odd One": "x"}\n', b'[{"id": "1", "Odd One": "x"}]'],
    ids=["csv", "ndjson", "json"],
)  # fmt: skip
def test_validate_treats_unknown_columns_as_the_contract_says(
    stages, mode: UnknownColumns, rescued: str | Code | None, content: bytes, slow: bool
) -> None:
    contract = stages.contract_of(Column("id", ColumnType.TEXT, required=True), unknown_columns=mode)
    if isinstance(rescued, Code):
        refusal = stages.refusal(contract, content, slow=slow)
        assert refusal.code is rescued
        assert "Odd One" in refusal.message
        return
    validated = stages.validate(contract, content, slow=slow)
    (row,) = stages.processed(contract, validated)
    evolved = ("odd_one",) if mode is UnknownColumns.EVOLVE else ()
    assert validated.extra_columns == evolved
    assert row == {"id": "1", "_rescued": rescued, "_source_row": 1} | dict.fromkeys(evolved, "x")


def test_validate_sees_keys_that_come_late_in_ndjson(stages, contract_of) -> None:
    contract = contract_of(Column("id", ColumnType.INTEGER, required=True), Column("note", ColumnType.TEXT))
    early = b"".join(b'{"id": %d}\n' % number for number in range(20_050))
    late = b'{"id": 20050, "note": "kept"}\n{"id": 20051, "odd": true}\n'
    rows = stages.rows(contract, early + late)
    assert rows[0] == {"id": 0, "note": None, "_rescued": None, "_source_row": 1}
    assert rows[-2:] == [
        {"id": 20050, "note": "kept", "_rescued": None, "_source_row": 20051},
        {"id": 20051, "note": None, "_rescued": '{"odd":true}', "_source_row": 20052},
    ]


# Over a chunk of rows, or of characters.
WITHOUT_KEY = {"rows": [b'{"x": 1}'] * 20_000, "characters": [b'{"x": "%s"}' % (b"a" * 900_000)] * 10}


@pytest.mark.parametrize("mode", [UnknownColumns.RESCUE, UnknownColumns.IGNORE, UnknownColumns.EVOLVE])
@pytest.mark.parametrize("shape", ["ndjson", "json"])
@pytest.mark.parametrize("order", ["first", "last"])
@pytest.mark.parametrize("size", WITHOUT_KEY)
def test_validate_refuses_rows_without_a_required_key_before_and_after_the_others(
    stages, size: str, order: str, shape: str, mode: UnknownColumns
) -> None:
    contract = stages.contract_of(Column("id", ColumnType.TEXT, required=True), unknown_columns=mode)
    without, some = WITHOUT_KEY[size], [b'{"ID": "z"}', b'{"ID": "y", "x": 2}']
    lines = some + without if order == "first" else without + some
    content = b"\n".join(lines) if shape == "ndjson" else b"[" + b",\n".join(lines) + b"]"
    validated = stages.validate(contract, content)
    assert validated.rejects.by_code == {Code.MISSING_VALUE: len(without)}
    assert [row["id"] for row in stages.processed(contract, validated)] == ["z", "y"]


@pytest.mark.parametrize(
    ("late", "code"),
    [
        pytest.param(b'{"y": 1}', Code.MISSING_COLUMNS, id="nowhere"),
        pytest.param(b'{"id": 1', Code.MISSING_COLUMNS, id="in-a-broken-record"),
        pytest.param(b'{"id": 1, "ID": 1}', Code.DUPLICATE_COLUMNS, id="in-two-spellings"),
    ],
)
def test_validate_refuses_a_file_without_a_required_key(stages, contract_of, late: bytes, code: Code) -> None:
    contract = contract_of(Column("id", ColumnType.INTEGER, required=True))
    assert stages.refusal(contract, b"\n".join([*WITHOUT_KEY["rows"], late])).code is code


@pytest.mark.parametrize("mode", [UnknownColumns.REJECT, UnknownColumns.EVOLVE], ids=["reject", "evolve"])
def test_validate_treats_late_unknown_keys_as_early_ones(stages, contract_of, mode: UnknownColumns) -> None:
    contract = contract_of(Column("id", ColumnType.INTEGER, required=True), unknown_columns=mode)
    content = b"".join(b'{"id": %d}\n' % number for number in range(20_050)) + b'{"id": 90009, "odd": "late"}\n'
    if mode is UnknownColumns.REJECT:
        assert stages.refusal(contract, content).code is Code.UNKNOWN_COLUMNS
        return
    validated = stages.validate(contract, content)
    assert validated.extra_columns == ("odd",)
    assert [row["odd"] for row in stages.processed(contract, validated)[-2:]] == [None, "late"]


@pytest.mark.parametrize("slow", [False, True], ids=["fast", "slow"])
def test_validate_refuses_a_row_whose_rule_cannot_be_calculated(stages, contract_of, slow: bool) -> None:
    contract = contract_of(
        Column("id", ColumnType.TEXT, required=True),
        Column("a", ColumnType.INTEGER),
        row_rules=(RowRule("square", "a * a >= 0", "The square is known"),),
    )
    validated = stages.validate(contract, b"id,a\n1,2\n2,9000000000000000000\n3,\n", slow=slow)
    assert found(validated) == {(2, 3, None, Code.RULE_BROKEN)}
    assert "9000000000000000000" in validated.rejects.first[0].message


@pytest.mark.parametrize(
    ("precision", "scale", "number", "code"),
    [
        (38, 0, "1.5", Code.TOO_MANY_DECIMALS),
        (38, 10, "1.12345678901", Code.TOO_MANY_DECIMALS),
        (10, 2, "1e-40", Code.TOO_MANY_DECIMALS),
        (10, 2, "0." + "0" * 35 + "1", Code.TOO_MANY_DECIMALS),
        (3, 3, "1e-40", Code.TOO_MANY_DECIMALS),
        (4, 2, "99.995", Code.TOO_MANY_DECIMALS),
        (10, 2, "12345678901e-3", Code.TOO_MANY_DECIMALS),
        (10, 2, "123456789", Code.OUT_OF_RANGE),
        (10, 2, "1.2500e1", None),
        (10, 2, "12500e-3", None),
        (10, 2, "0e-99", None),
        (38, 38, "0.5", None),
    ],
)
def test_validate_rounds_no_number_however_wide_its_type_is(
    stages, precision: int, scale: int, number: str, code: Code | None
) -> None:
    column = Column("x", ColumnType.NUMBER, precision=precision, scale=scale)
    validated = stages.validate(
        stages.contract_of(Column("id", ColumnType.INTEGER), column), f"id,x\n1,{number}\n".encode()
    )
    assert [reject.code for reject in validated.rejects.first] == ([] if code is None else [code])


@pytest.mark.parametrize("slow", [False, True], ids=["fast", "slow"])
@pytest.mark.parametrize(
    ("scale", "bounds", "kept"),
    [
        (0, {"minimum": "0"}, ["9" * 38, "0", "1"]),
        (0, {"minimum": "0.5", "maximum": "1.5"}, ["1"]),
        (0, {"minimum": "0", "exclusive_minimum": True}, ["9" * 38, "1"]),
        (20, {"minimum": "0." + "0" * 19 + "1"}, ["1"]),
    ],
    ids=["wide", "bounds-between", "exclusive", "fine"],
)
def test_validate_compares_the_widest_numbers_with_bounds_of_any_scale(
    stages, scale: int, bounds: dict, kept: list[str], slow: bool
) -> None:
    column = Column("x", ColumnType.NUMBER, precision=38, scale=scale, **bounds)
    numbers = ["9" * 38, "0", "1", "-1"] if scale == 0 else ["0", "1"]
    content = "".join(f"{at},{number}\n" for at, number in enumerate(numbers))
    rows = stages.rows(
        stages.contract_of(Column("id", ColumnType.INTEGER), column), f"id,x\n{content}".encode(), slow=slow
    )
    assert [str(row["x"].normalize() if scale else row["x"]) for row in rows] == kept


@pytest.mark.parametrize("slow", [False, True], ids=["fast", "slow"])
@pytest.mark.parametrize("kind", [ColumnType.DATE, ColumnType.TIMESTAMP, ColumnType.TIMESTAMPTZ], ids=str)
def test_validate_refuses_words_as_timestamps_in_any_format(stages, contract_of, kind: ColumnType, slow: bool) -> None:
    contract = contract_of(Column("id", ColumnType.INTEGER), Column("at", kind, formats=("%d/%m/%Y %H:%M",)))
    words = ["infinity", "-infinity", "Epoch", " infinity ", "today", "31/12/2025 00:00"]
    content = "id,at\n" + "".join(f"{at},{word}\n" for at, word in enumerate(words))
    validated = stages.validate(contract, content.encode(), slow=slow)
    assert [reject.source_row for reject in validated.rejects.first] == [1, 2, 3, 4, 5]
    assert {reject.code for reject in validated.rejects.first} <= {Code.BAD_DATE, Code.BAD_TIMESTAMP}


@pytest.mark.parametrize("required", [False, True])
@pytest.mark.parametrize("content", [
    b'{"id": 1, "j": ""}\n{"id": 2, "j": " \\t"}\n{"id": 3, "j": null}\n{"id": 4, "j": "x"}\n{"id": 5, "j": []}\n',
    b'id,j\n1,""\n2," \t"\n3,\n4,"""x"""\n5,[]\n',
], ids=["ndjson", "csv"])  # fmt: skip
def test_validate_takes_an_empty_text_in_a_json_column_for_no_value(
    stages, contract_of, content: bytes, required: bool
) -> None:
    contract = contract_of(Column("id", ColumnType.INTEGER), Column("j", ColumnType.JSON, required=required))
    validated = stages.validate(contract, content)
    kept = {row["id"]: row["j"] for row in stages.processed(contract, validated)}
    assert kept == ({} if required else {1: None, 2: None, 3: None}) | {4: '"x"', 5: "[]"}
    assert [reject.source_row for reject in validated.rejects.first] == ([1, 2, 3] if required else [])


@pytest.mark.parametrize("offset", ["Z", "+02:00", "-05:00"])
def test_validate_reads_times_with_an_offset_on_the_fast_path(
    stages, contract_of, offset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.ingestion.validate._slow_path", None)
    contract = contract_of(Column("id", ColumnType.INTEGER), Column("at", ColumnType.TIMESTAMPTZ))
    (row,) = stages.rows(contract, f"id,at\n1,2026-03-01T12:00:00{offset}\n".encode())
    hours = {"Z": 12, "+02:00": 10, "-05:00": 17}[offset]
    assert row["at"].astimezone(UTC) == datetime(2026, 3, 1, hours, tzinfo=UTC)


def test_validate_gives_row_rules_no_rounded_number(stages, contract_of) -> None:
    contract = contract_of(
        Column("id", ColumnType.INTEGER),
        Column("x", ColumnType.NUMBER, precision=5, scale=0),
        row_rules=(RowRule("small", "x < 2", "Below two"),),
    )
    validated = stages.validate(contract, b"id,x\n1,1.5\n")
    assert [reject.code for reject in validated.rejects.first] == [Code.TOO_MANY_DECIMALS]


@pytest.mark.parametrize("kind", [kind for kind in TYPES.values() if kind.bad], ids=str)
def test_an_unreadable_cell_is_null_to_row_rules(stages, contract_of, kind: ColumnType) -> None:
    text, code = kind.bad
    contract = contract_of(
        Column("id", ColumnType.INTEGER), Column("x", kind), row_rules=(RowRule("null", "x IS NULL", "Nothing"),)
    )
    quoted = text.replace('"', '""')
    validated = stages.validate(contract, f'id,x\n1,"{quoted}"\n2,\n'.encode())
    assert [(one.source_row, one.code) for one in validated.rejects.first] == [(1, code)]


def test_a_text_with_nul_is_null_to_row_rules(stages, contract_of) -> None:
    rules = (RowRule("null", "x IS NULL", "Nothing"),)
    contract = contract_of(Column("id", ColumnType.INTEGER), Column("x", ColumnType.TEXT), row_rules=rules)
    validated = stages.validate(contract, b"id,x\n1,a\0b\n")
    assert [(one.source_row, one.code) for one in validated.rejects.first] == [(1, Code.BAD_TEXT)]


@pytest.mark.parametrize("slow", [False, True], ids=["fast", "slow"])
@pytest.mark.parametrize("mode", [UnknownColumns.EVOLVE, UnknownColumns.RESCUE], ids=str)
@pytest.mark.parametrize(
    "content",
    [b'id,odd\n1,\n2,""\n3,x\n', b'{"id":1,"odd":""}\n{"id":2,"odd":null}\n{"id":3,"odd":"x"}\n',
     parquet_of(id=[1, 2, 3], odd=["", None, "x"])],
    ids=["csv", "ndjson", "parquet"],
)  # fmt: skip
def test_validate_takes_an_empty_text_of_an_unknown_column_for_null(
    stages, contract_of, mode: UnknownColumns, content: bytes, slow: bool
) -> None:
    contract = contract_of(Column("id", ColumnType.INTEGER, required=True), unknown_columns=mode)
    rows = stages.rows(contract, content, slow=slow)
    kept = [row["odd" if mode is UnknownColumns.EVOLVE else "_rescued"] for row in rows]
    if mode is UnknownColumns.EVOLVE:
        assert kept == [None, None, "x"]
    else:  # JSON is kept as it was sent; an empty cell of a table is null
        first = '{"odd":""}' if content.startswith(b"{") else '{"odd":null}'
        assert kept == [first, '{"odd":null}', '{"odd":"x"}']


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_wide_rows_are_read_in_the_engines_memory(stages, contract_of, form: str) -> None:
    """300 columns of several types, one of 500 rows bad: the slow path types some columns at a time."""
    kinds = (ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.DATE, ColumnType.TEXT)
    columns = [Column("id", ColumnType.INTEGER, required=True)]
    columns += [Column(f"c{at}", kinds[at % 4]) for at in range(299)]
    cells = {"integer": "7", "number": "1.25", "date": "2026-01-31", "text": "abc"}
    rows = [{"id": str(at), **{c.name: cells[str(c.type)] for c in columns[1:]}} for at in range(500)]
    rows[250]["c296"] = rows[250]["c1"] = "bad"
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    content = {
        "csv": "\n".join(lines).encode(),
        "ndjson": "\n".join(map(json.dumps, rows)).encode(),
        "parquet": parquet_of(**{name: [row[name] for row in rows] for name in rows[0]}),
    }[form]
    validated = stages.validate(contract_of(*columns), content, IngestSettings(engine_memory_mb=64))
    assert (validated.rows_read, validated.rejects.rows) == (500, 1)
    assert [(reject.source_row, reject.column) for reject in validated.rejects.first] == [(251, "c1"), (251, "c296")]
    assert pq.read_table(validated.path).num_rows == 499
