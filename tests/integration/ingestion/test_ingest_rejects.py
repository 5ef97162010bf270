"""Bad rows: without an error budget they refuse the file, with one the good rows load and the bad ones are reported."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from include.contracts.model import ErrorBudget
from include.samples.badness import Bad, BadKind, SampleFormat

if TYPE_CHECKING:
    from conftest import MakePipeline
    from ingest_pipeline import Pipeline, Row

    from include.samples.report import BadRow, SampleReport

pytestmark = pytest.mark.integration

CSV, JSON, NDJSON, PARQUET = SampleFormat.CSV, SampleFormat.JSON, SampleFormat.NDJSON, SampleFormat.PARQUET
# What the message must contain or, for faults of the line itself, the raw record.
VALUES = {
    BadKind.BAD_DATE: "2026-02-30",
    BadKind.TEXT_IN_NUMBER: "twelve",
    BadKind.MISSING_KEY: "sale_id is required and empty",
    BadKind.NOT_IN_LIST: "Nonsense",
    BadKind.TOO_MANY_FIELDS: "surplus",
    BadKind.BROKEN_QUOTE: '"broken"quote',
    BadKind.NOT_AN_OBJECT: "[1, 2, 3]",
}
TEN_THOUSAND = [(CSV, kind) for kind in VALUES if kind is not BadKind.NOT_AN_OBJECT]
OTHERS = [
    (JSON, BadKind.BAD_DATE),
    (JSON, BadKind.MISSING_KEY),
    (NDJSON, BadKind.TEXT_IN_NUMBER),
    (NDJSON, BadKind.NOT_AN_OBJECT),
    (PARQUET, BadKind.MISSING_KEY),
    (PARQUET, BadKind.NOT_IN_LIST),
]


def assert_explained(row: Row, bad: BadRow) -> None:
    """Assert that a reject has row, line, column and code, and shows the value."""
    assert (row["source_row"], row["source_line"], row["column_name"], row["code"]) == (
        bad.source_row,
        bad.line,
        bad.column,
        bad.code,
    )
    assert VALUES[bad.kind] in row["message"] + row["raw_record"]
    assert row["raw_record"]


def made(pipeline: Pipeline, file_format: SampleFormat, kind: BadKind, rows: int) -> SampleReport:
    return pipeline.sample(f"bad.{file_format}", rows, file_format, bad=[Bad(kind)])


@pytest.mark.parametrize(
    ("rows", "file_format", "kind"),
    [(10_000, *case) for case in TEN_THOUSAND] + [(700, *case) for case in OTHERS],
    ids=str,
)
def test_pipeline_refuses_a_file_for_one_bad_row_and_explains_it(
    pipeline: Pipeline, rows: int, file_format: SampleFormat, kind: BadKind
) -> None:
    report = made(pipeline, file_format, kind, rows)

    entry = pipeline.send(report.path.name, report.path.read_bytes())

    noted_report = pipeline.assert_refused(entry, "error-budget-exceeded")
    assert (entry["rows_read"], entry["rows_rejected"], entry["loaded_at"]) == (rows, 1, None)
    assert pipeline.count() == 0
    (bad,) = report.bad_rows
    (noted,) = pipeline.rejected(entry["file_id"])
    assert_explained(noted, bad)
    assert [{**row, "file_id": entry["file_id"]} for row in noted_report["rejected_rows"]] == [noted]
    assert noted_report["rejects_by_code"] == {bad.code: 1}
    assert noted_report["rows"]["rejected"] == 1
    (line,) = pipeline.reject_file(entry)
    expected_line = {name: "" if value is None else str(value) for name, value in noted.items() if name != "file_id"}
    assert {**line, "raw_record": line["raw_record"].removeprefix("'")} == expected_line
    assert f"1 of {rows:,} rows" in entry["error_message"]
    assert bad.code in entry["error_message"]
    if bad.line:
        assert f"line {bad.line}" in entry["error_message"]
    pipeline.assert_tidy()


@pytest.mark.parametrize(
    ("rows", "file_format", "kind"),
    [(10_000, *case) for case in TEN_THOUSAND] + [(700, *case) for case in OTHERS],
    ids=str,
)
def test_pipeline_loads_the_good_rows_within_the_budget_and_keeps_the_bad_one(
    make_pipeline: MakePipeline, rows: int, file_format: SampleFormat, kind: BadKind
) -> None:
    pipeline = make_pipeline(budget=ErrorBudget(share=0.01))
    report = made(pipeline, file_format, kind, rows)

    entry = pipeline.send(report.path.name, report.path.read_bytes())

    pipeline.assert_archived(entry, inserted=rows - 1, rejected=1)
    (bad,) = report.bad_rows
    assert_explained(pipeline.rejected(entry["file_id"])[0], bad)
    stored = {row["_source_row"] for row in pipeline.rows(lineage=True)}
    assert stored == set(range(1, rows + 1)) - {bad.source_row}
    noted_report = pipeline.report(entry)
    assert (noted_report["status"], noted_report["code"]) == ("loaded", None)
    assert noted_report["rows"]["rejected"] == 1
    assert "Nothing must be done" in noted_report["what_to_do"]
    assert [line["code"] for line in pipeline.reject_file(entry)] == [bad.code]
    pipeline.assert_tidy()


@pytest.mark.parametrize(
    ("budget", "loads"),
    [
        (ErrorBudget(rows=5), True),
        (ErrorBudget(rows=4), False),
        (ErrorBudget(share=0.01), True),
        (ErrorBudget(share=0.009), False),
        (ErrorBudget(rows=5, share=0.009), False),
        (ErrorBudget(rows=4, share=0.01), False),
    ],
    ids=["rows exactly", "one row over", "share exactly", "over the share", "rows yes, share no", "share yes, rows no"],
)
def test_pipeline_applies_both_bounds_of_the_budget(
    make_pipeline: MakePipeline, budget: ErrorBudget, loads: bool
) -> None:
    pipeline = make_pipeline(budget=budget)
    report = pipeline.sample("bad.csv", 500, bad=[Bad(BadKind.RULE_BROKEN, 5)])

    entry = pipeline.send("bad.csv", report.path.read_bytes())

    if loads:
        pipeline.assert_archived(entry, inserted=495, rejected=5)
    else:
        pipeline.assert_refused(entry, "error-budget-exceeded")
        assert pipeline.count() == 0


def test_pipeline_explains_every_bad_row_of_a_file_and_keeps_the_first_in_the_ledger(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = make_pipeline(settings={"max_rejects_in_ledger": 20})
    kinds = [BadKind.BAD_DATE, BadKind.NOT_IN_LIST, BadKind.TOO_MANY_FIELDS, BadKind.BROKEN_QUOTE, BadKind.TOO_LONG]
    report = pipeline.sample("bad.csv", 2_000, bad=[Bad(kind, 10) for kind in kinds])

    entry = pipeline.send("bad.csv", report.path.read_bytes())

    pipeline.assert_refused(entry, "error-budget-exceeded")
    wanted = [(bad.source_row, bad.line, bad.column, bad.code) for bad in report.bad_rows]
    everything = [
        (int(row["source_row"]), int(row["source_line"]), row["column_name"] or None, row["code"])
        for row in pipeline.reject_file(entry)
    ]
    assert everything == wanted
    noted = pipeline.rejected(entry["file_id"])
    assert [(r["source_row"], r["source_line"], r["column_name"], r["code"]) for r in noted] == wanted[:20]
    assert entry["rows_rejected"] == 50


def test_pipeline_reports_all_faults_of_a_row(pipeline: Pipeline) -> None:
    entry = pipeline.send(
        "bad.csv",
        "sale_id,sale_date,customer_id,customer_name,product,category,quantity,unit_price,total_amount,region,updated_at\n"
        "S1,2026-13-01,C1,Ada,Lamp,Gadgets,0,1.005,-0.01,Middle,soon\n",
    )

    pipeline.assert_refused(entry, "error-budget-exceeded")
    assert entry["rows_rejected"] == 1
    assert {(row["column_name"], row["code"]) for row in pipeline.rejected(entry["file_id"])} == {
        ("sale_date", "bad-date"),
        ("category", "not-in-list"),
        ("quantity", "out-of-range"),
        ("unit_price", "too-many-decimals"),
        ("total_amount", "out-of-range"),
        ("region", "not-in-list"),
        ("updated_at", "bad-timestamp"),
    }


def test_pipeline_loads_the_corrected_file_under_the_same_name(pipeline: Pipeline) -> None:
    bad = pipeline.sample("bad.csv", 300, bad=[Bad(BadKind.BAD_DATE)])
    good = pipeline.sample("good.csv", 300)
    refused = pipeline.send("sales.csv", bad.path.read_bytes())

    entry = pipeline.send("sales.csv", good.path.read_bytes())

    pipeline.assert_archived(entry, inserted=300)
    assert entry["file_id"] != refused["file_id"]
    assert pipeline.entry(refused["file_id"]) == refused


def test_pipeline_keeps_a_nul_character_out_of_the_ledger(pipeline: Pipeline) -> None:
    """PostgreSQL's text type cannot store one: the row is refused, and noting the reject must not fail."""
    body = pipeline.sample("good.csv", 50).path.read_bytes().replace(b"Desk lamp", b"Desk\0lamp", 1)
    assert b"\0" in body

    entry = pipeline.send("nul.csv", body)

    pipeline.assert_refused(entry, "error-budget-exceeded")
    (row,) = pipeline.rejected(entry["file_id"])
    assert (row["column_name"], row["code"]) == ("product", "bad-text")
    assert "Desk\N{SYMBOL FOR NULL}lamp" in row["raw_record"]


def test_pipeline_disarms_formulas_in_the_reject_file(pipeline: Pipeline) -> None:
    header = "sale_id,sale_date,customer_id,product,category,quantity,unit_price,total_amount,updated_at\n"
    line = "=HYPERLINK(1),2026-02-30,C1,Lamp,Toys,1,1,1,2026-01-01T00:00:00Z"

    entry = pipeline.send("formula.csv", header + line + "\n")

    (row,) = pipeline.reject_file(entry)
    assert row["raw_record"] == "'" + line
    assert pipeline.rejected(entry["file_id"])[0]["raw_record"] == line


def test_pipeline_dates_are_bounded_as_the_contract_says(pipeline: Pipeline) -> None:
    good = pipeline.sample("good.csv", 20)
    lines = good.path.read_text().splitlines(keepends=True)
    day = lines[5].split(",")[1]
    lines[5] = lines[5].replace(day, "1999-12-31", 1)
    assert dt.date.fromisoformat(day).year > 1999

    entry = pipeline.send("old.csv", "".join(lines))

    (row,) = pipeline.rejected(entry["file_id"])
    assert (row["source_row"], row["source_line"], row["column_name"], row["code"]) == (
        5,
        6,
        "sale_date",
        "out-of-range",
    )
