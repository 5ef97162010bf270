"""Files that are refused as a whole: each with code, message and remedy; none hangs, none shows a stack trace."""

from __future__ import annotations

import gzip
import io
import json
import os
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from include.contracts.model import ErrorBudget
from include.samples.badness import Bad, BadKind, SampleFormat

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import MakePipeline
    from ingest_pipeline import Pipeline

pytestmark = pytest.mark.integration

CSV, JSON, NDJSON, PARQUET = SampleFormat.CSV, SampleFormat.JSON, SampleFormat.NDJSON, SampleFormat.PARQUET
HEADER = b"sale_id,sale_date,customer_id,product,category,quantity,unit_price,total_amount,updated_at\n"
LINE = b"S1,2026-01-01,C1,Lamp,Toys,1,1,1,2026-01-01T00:00:00Z\n"


@pytest.mark.parametrize(
    ("file_format", "kind", "code", "said"),
    [
        (CSV, BadKind.EMPTY, "empty-file", "empty"),
        (JSON, BadKind.EMPTY, "empty-file", "empty"),
        (PARQUET, BadKind.EMPTY, "empty-file", "empty"),
        (CSV, BadKind.HEADER_ONLY, "no-rows", "no rows"),
        (JSON, BadKind.HEADER_ONLY, "no-rows", "no rows"),
        (PARQUET, BadKind.HEADER_ONLY, "no-rows", "no rows"),
        (CSV, BadKind.NOT_UTF8, "error-budget-exceeded", "0xff"),
        (NDJSON, BadKind.NOT_UTF8, "error-budget-exceeded", "not UTF-8"),
        (JSON, BadKind.NOT_UTF8, "error-budget-exceeded", "not UTF-8"),
        (CSV, BadKind.LATIN1, "undeclared-encoding", "cp1252"),
        (NDJSON, BadKind.LATIN1, "undeclared-encoding", "cp1252"),
        (PARQUET, BadKind.TRUNCATED, "truncated-file", "cut off"),
        (JSON, BadKind.TRUNCATED, "truncated-file", "cut off"),
        (SampleFormat.CSV_GZ, BadKind.TRUNCATED, "truncated-file", "gzip"),
        (SampleFormat.CSV_ZST, BadKind.TRUNCATED, "truncated-file", "zstd"),
        (CSV, BadKind.PNG, "unknown-format", "PNG"),
        (CSV, BadKind.MISSING_COLUMN, "missing-columns", "sale_date"),
        (JSON, BadKind.MISSING_COLUMN, "missing-columns", "sale_date"),
        (PARQUET, BadKind.MISSING_COLUMN, "missing-columns", "sale_date"),
        (CSV, BadKind.MANY_COLUMNS, "too-many-columns", "1,000"),
        (NDJSON, BadKind.MANY_COLUMNS, "too-many-columns", "the limit is 500"),
        (PARQUET, BadKind.MANY_COLUMNS, "too-many-columns", "1,000"),
        (CSV, BadKind.LONG_LINE, "error-budget-exceeded", "row-too-long"),
        (NDJSON, BadKind.LONG_LINE, "error-budget-exceeded", "row-too-long"),
        (JSON, BadKind.LONG_LINE, "row-too-long", "longer than a record may be"),
    ],
    ids=str,
)
def test_pipeline_refuses_a_bad_file_with_its_reason(
    pipeline: Pipeline, file_format: SampleFormat, kind: BadKind, code: str, said: str
) -> None:
    made = pipeline.sample(f"bad.{file_format}", 200, file_format, bad=[Bad(kind)])

    entry = pipeline.send(made.path.name, made.path.read_bytes())

    pipeline.assert_refused(entry, code)
    assert said in entry["error_message"]
    assert pipeline.count() == 0
    pipeline.assert_tidy()


def parquet(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def damaged_parquet() -> bytes:
    """A Parquet file with an intact footer and damaged pages."""
    body = bytearray(parquet(sale_id=[f"S{n}" for n in range(5000)], sale_date=["2026-01-01"] * 5000))
    body[100:4000] = os.urandom(3900)
    return bytes(body)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b" \n\r\n\t\n", "empty-file"),
        (b"\xef\xbb\xbf", "empty-file"),
        (b"\xff\xfe", "empty-file"),
        (gzip.compress(b""), "empty-file"),
        (b"PAR1", "truncated-file"),
        (b"\x1f\x8b\x08\x00", "truncated-file"),
        (b"\x1f\x8b" + b"nonsense" * 20, "unreadable-file"),
        (gzip.compress(HEADER + LINE * 100)[:-9], "truncated-file"),
        (zstandard.compress(HEADER + LINE)[:-4], "truncated-file"),
        (gzip.compress(parquet(a=[1])), "unknown-format"),
        (b"PK\x03\x04" + bytes(200), "unreadable-file"),
        (b"%PDF-1.7\n1 0 obj\n", "unknown-format"),
        (bytes(range(256)) * 20, "unknown-format"),
        (b"\x7fELF" + bytes(500), "unknown-format"),
        (b"just some words\nand more\n", "missing-columns"),
        (b"S1,2026-01-01,C1,Lamp,Toys,3,2.50,7.50,2026-01-01T00:00:00Z\n", "missing-columns"),
        (b"42", "missing-columns"),
        (b"<html><body>503 Service Unavailable</body></html>", "unknown-format"),
        (b'{"error": "rate limit"}', "missing-columns"),
        (HEADER.replace(b"product", b"sale_id"), "duplicate-columns"),
        (HEADER.replace(b"product", b"Sale-ID") + LINE, "duplicate-columns"),
        (b'"sale_id,sale_date\nS1,2026-01-01\n', "broken-quote"),
        (b"x" * 2 * 1024**2 + b"\n" + LINE, "row-too-long"),
        (b'[{"sale_id": "S1"}, {"sale_id": ', "truncated-file"),
        (b"[" * 100_000, None),
        (b'{"a":' * 100_000, None),
        (b"[1, 2, 3]", None),
        (b'["a", "b"]', None),
        (damaged_parquet(), None),
        (parquet(sale_id=["S1"]), "missing-columns"),
    ],
    ids=[
        "white space", "only a UTF-8 mark", "only a UTF-16 mark", "empty gzip", "only the start of Parquet",
        "start of gzip", "damaged gzip", "cut gzip", "cut zstd", "Parquet in gzip", "zip", "pdf", "all bytes",
        "program", "prose", "no header", "a number", "an error page", "an error as JSON", "column twice",
        "column twice, spelt otherwise", "quote open in the header", "long header", "JSON cut off", "deep array",
        "deep object", "array of numbers", "array of words", "damaged Parquet", "other Parquet",
    ],
)  # fmt: skip
def test_pipeline_refuses_nonsense_without_a_traceback(pipeline: Pipeline, body: bytes, code: str | None) -> None:
    entry = pipeline.send("nonsense.csv", body)

    pipeline.assert_refused(entry, code or entry["error_code"])
    assert entry["error_code"] not in {"internal", "worker-died", None}
    assert pipeline.count() == 0
    pipeline.assert_tidy()


@pytest.mark.parametrize(
    ("body", "line", "code"),
    [
        (b'{"id":1}\n%s', 1, "missing-value"),
        (b"{'sale_id':'S1'}\n%s", 1, "bad-row-json"),
        (b"{\n%s", 1, "bad-row-json"),
        (b"null\n%s", 1, "not-an-object"),
        (b"ERROR: timeout\n%s", 1, "bad-row-json"),
        (b'{"sale_id":"' + b"x" * 1_100_000 + b'"}\n%s', 1, "row-too-long"),
        (HEADER + LINE.replace(b"Lamp", b"La\0mp") + LINE.replace(b"S1", b"S2\x02"), 2, "bad-text"),
        (HEADER + LINE.replace(b"Lamp", bytes(2000)) + LINE.replace(b"S1", b"S2\x02"), 2, "bad-text"),
    ],
    ids=[
        "object of others", "single quotes", "bracket", "null", "words", "long line", "NUL in CSV",
        "NULs in CSV",
    ],
)  # fmt: skip
def test_pipeline_refuses_a_bad_first_row_alone(make_pipeline: MakePipeline, body: bytes, line: int, code: str) -> None:
    pipeline = make_pipeline(budget=ErrorBudget(rows=1))
    names, values = (text.decode().strip().split(",") for text in (HEADER, LINE))
    good = json.dumps(dict(zip(names, values, strict=True))).encode() + b"\n"

    entry = pipeline.send("first.csv", body.replace(b"%s", good))

    pipeline.assert_archived(entry, inserted=1, rejected=1)
    assert {(row["source_line"], row["code"]) for row in pipeline.rejected(entry["file_id"])} >= {(line, code)}
    assert {row["source_line"] for row in pipeline.rejected(entry["file_id"])} == {line}


@pytest.mark.parametrize(
    ("settings", "body", "code"),
    [
        ({"max_file_bytes": 100}, HEADER + LINE * 10, "too-large"),
        ({"max_expanded_bytes": 10_000}, gzip.compress(HEADER + LINE * 1_000), "too-large"),
        ({"max_expanded_bytes": 10_000}, zstandard.compress(HEADER + LINE * 1_000), "too-large"),
        ({"max_columns": 8}, HEADER + LINE, "too-many-columns"),
        ({"max_row_bytes": 200}, HEADER + LINE.replace(b"Lamp", b"L" * 700), "error-budget-exceeded"),
    ],
    ids=["file", "expanded gzip", "expanded zstd", "columns", "row"],
)
def test_pipeline_refuses_what_is_over_a_limit(
    make_pipeline: MakePipeline, settings: dict[str, int], body: bytes, code: str
) -> None:
    pipeline = make_pipeline(settings=settings)

    entry = pipeline.send("large.csv", body)

    pipeline.assert_refused(entry, code)
    assert any(f"{limit:,}" in entry["error_message"] for limit in settings.values())
    pipeline.assert_tidy()


def test_pipeline_refuses_a_bomb_before_it_fills_the_disk(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(settings={"max_expanded_bytes": 5 * 1024**2})
    bomb = gzip.compress(HEADER + LINE + b"\n" * 200 * 1024**2, compresslevel=1)

    entry = pipeline.send("bomb.csv.gz", bomb)

    pipeline.assert_refused(entry, "too-large")


@pytest.mark.parametrize(
    ("column", "values"),
    [("sale_date", [1.5]), ("quantity", [[1, 2]]), ("unit_price", [{"a": 1}]), ("updated_at", [True])],
    ids=["float as date", "list as integer", "struct as number", "boolean as time"],
)
def test_pipeline_refuses_a_parquet_column_of_another_type(pipeline: Pipeline, column: str, values: list[Any]) -> None:
    good = pipeline.sample("good.parquet", 1, PARQUET)
    table = pq.read_table(good.path)
    at = table.schema.get_field_index(column)
    sink = io.BytesIO()
    pq.write_table(table.set_column(at, column, pa.array(values)), sink)

    entry = pipeline.send("other.parquet", sink.getvalue())

    assert entry["error_code"] == "error-budget-exceeded"
    pipeline.assert_refused(entry, entry["error_code"])
    assert column in entry["error_message"]


@pytest.mark.parametrize(
    "body",
    [
        lambda p: p.sample("s.parquet", 50, PARQUET),
        lambda p: p.sample("s.ndjson", 50, NDJSON),
        lambda p: p.sample("s.json", 50, JSON),
    ],
    ids=["Parquet", "NDJSON", "JSON"],
)
def test_pipeline_uses_the_content_and_not_the_name(pipeline: Pipeline, body: Callable[[Pipeline], Any]) -> None:
    entry = pipeline.send("sales.csv", body(pipeline).path.read_bytes())

    pipeline.assert_archived(entry, inserted=50)
    assert not entry["format"].startswith("csv")
