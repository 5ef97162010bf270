"""Good files of every format give the same rows; a file that is sent again changes nothing, or only newer rows."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from include.contracts.model import OnDuplicate
from include.samples.badness import Bad, BadKind, SampleFormat
from include.samples.writer import Sample, write_sample

if TYPE_CHECKING:
    from conftest import MakePipeline
    from ingest_pipeline import Pipeline, Row

    from include.contracts.model import Contract

pytestmark = pytest.mark.integration

HEADER = (
    "sale_id,sale_date,customer_id,customer_name,product,category,quantity,unit_price,total_amount,region,updated_at\n"
)


def sale(key: str, updated_at: str = "2026-01-01T00:00:00Z", product: str = "Desk lamp") -> str:
    """One good line."""
    return f"{key},2026-01-01,C1,Ada,{product},Furniture,1,1.00,1.00,North,{updated_at}\n"


@pytest.fixture(scope="module")
def ten_thousand(
    contracts: dict[str, Contract], tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Row], dict[str, int]]:
    """The rows of the sample that every format is made from, read without the pipeline, in key order, and the position
    of each in the file.
    """
    path = tmp_path_factory.mktemp("sample") / "sales.csv"
    write_sample(Sample(contracts["sales"], 10_000), path)
    with path.open(newline="") as file:
        found = list(csv.DictReader(file))
    readers = {
        "sale_date": dt.date.fromisoformat,
        "quantity": int,
        "unit_price": Decimal,
        "total_amount": Decimal,
        "updated_at": dt.datetime.fromisoformat,
    }
    rows = [{name: readers.get(name, str)(text) if text else None for name, text in row.items()} for row in found]
    positions = {row["sale_id"]: at for at, row in enumerate(found, start=1)}
    return sorted(rows, key=lambda row: row["sale_id"].encode()), positions


@pytest.mark.parametrize("file_format", list(SampleFormat), ids=str)
def test_pipeline_loads_the_same_rows_from_every_format(
    make_pipeline: MakePipeline,
    contracts: dict[str, Contract],
    ten_thousand: tuple[list[Row], dict[str, int]],
    file_format: SampleFormat,
) -> None:
    pipeline = make_pipeline(expectations=contracts["sales"].expectations)
    made = pipeline.sample(f"sales.{file_format}", 10_000, file_format)

    entry = pipeline.send(f"sales.{file_format}", made.path.read_bytes())

    pipeline.assert_archived(entry, inserted=10_000)
    pipeline.assert_tidy()
    stored = pipeline.rows(lineage=True)
    expected, positions = ten_thousand
    assert [{name: row[name] for name in expected[0]} for row in stored] == expected
    assert {row["sale_id"]: row["_source_row"] for row in stored} == positions
    assert {row["_file_id"] for row in stored} == {entry["file_id"]}
    assert {row["_rescued"] for row in stored} == {None}
    assert entry["format"].startswith(file_format.value.split(".")[0].replace("tsv", "csv"))
    assert {row["_loaded_at"] for row in stored} != {None}
    assert entry["attempts"] == 1
    assert pipeline.events(entry["file_id"]) == ["claimed", "claimed", "validated", "processed", "loaded", "archived"]
    assert pipeline.sql(
        "SELECT count(*) AS n FROM ops.quality_result WHERE file_id = %s AND success", entry["file_id"]
    ) == [{"n": len(contracts["sales"].expectations)}]


@pytest.mark.parametrize(
    "second_name", ["first.csv", "another name.csv", "first.parquet"], ids=["same name", "other name", "wrong ending"]
)
def test_pipeline_changes_no_row_when_the_same_bytes_are_sent_again(pipeline: Pipeline, second_name: str) -> None:
    body = pipeline.sample("sales.csv", 500).path.read_bytes()
    first = pipeline.send("first.csv", body)
    before = pipeline.versions()

    second = pipeline.send(second_name, body)

    pipeline.assert_archived(first, inserted=500)
    assert second["file_id"] > first["file_id"]
    assert (second["status"], second["error_code"]) == ("duplicate", "duplicate-content")
    assert f"file {first['file_id']}" in second["error_message"]
    assert second["settled_key"] == f"processed/{second['dataset']}/{second['file_id']}/{second_name}"
    assert pipeline.objects.head(pipeline.bucket, second["settled_key"]) is not None
    assert pipeline.versions() == before
    pipeline.assert_tidy()


def test_pipeline_treats_the_same_rows_in_other_bytes_as_another_file(pipeline: Pipeline) -> None:
    """A compressed copy has other bytes: it is another file, and its rows are unchanged."""
    body = pipeline.sample("sales.csv", 200).path.read_bytes()
    pipeline.send("sales.csv", body)
    before = pipeline.versions()

    again = pipeline.send("sales.csv.gz", gzip.compress(body))

    pipeline.assert_archived(again, unchanged=200)
    assert pipeline.versions() == before


def test_pipeline_enters_the_same_name_with_new_content_a_second_time(pipeline: Pipeline) -> None:
    old = pipeline.sample("old.csv", 1_000)
    new = pipeline.sample("new.csv", 1_000, start=400, version=2)
    pipeline.send("sales.csv", old.path.read_bytes())

    entry = pipeline.send("sales.csv", new.path.read_bytes())

    first, second = pipeline.entries()
    assert first["object_key"] == second["object_key"]
    assert (first["sha256"] == second["sha256"], first["etag"] == second["etag"]) == (False, False)
    pipeline.assert_archived(first, inserted=1_000)
    pipeline.assert_archived(entry, inserted=400, updated=600)
    assert pipeline.count() == 1_400
    with new.path.open(newline="") as file:
        newer = {row["sale_id"]: row["customer_id"] for row in csv.DictReader(file)}
    stored = {row["sale_id"]: row for row in pipeline.rows(lineage=True)}
    assert {key: stored[key]["customer_id"] for key in newer} == newer
    assert {stored[key]["_file_id"] for key in newer} == {second["file_id"]}
    assert sum(row["_file_id"] == first["file_id"] for row in stored.values()) == 400


def test_pipeline_keeps_the_newer_row_when_an_older_version_arrives_later(pipeline: Pipeline) -> None:
    newer = pipeline.sample("newer.csv", 300, version=3)
    older = pipeline.sample("older.csv", 400, version=1)
    pipeline.send("newer.csv", newer.path.read_bytes())
    before = pipeline.versions()

    entry = pipeline.send("older.csv", older.path.read_bytes())

    pipeline.assert_archived(entry, inserted=100, unchanged=300)
    assert before.items() <= pipeline.versions().items()


@pytest.mark.parametrize(
    ("second", "outcome", "product"),
    [
        ("2026-01-02T00:00:00Z", {"updated": 1}, "New lamp"),
        ("2026-01-01T00:00:00Z", {"updated": 1}, "New lamp"),
        ("2025-12-31T23:59:59Z", {"unchanged": 1}, "Desk lamp"),
        ("2026-01-01T00:59:59+01:00", {"unchanged": 1}, "Desk lamp"),
        ("2026-01-01T00:00:00-01:00", {"updated": 1}, "New lamp"),
    ],
    ids=["later", "equal, the later file wins", "earlier", "earlier by its offset", "later by its offset"],
)
def test_pipeline_keeps_the_newer_row_by_the_newest_by_column(
    pipeline: Pipeline, second: str, outcome: dict[str, int], product: str
) -> None:
    pipeline.send("1.csv", HEADER + sale("S1"))

    entry = pipeline.send("2.csv", HEADER + sale("S1", second, "New lamp"))

    pipeline.assert_archived(entry, **outcome)
    assert [row["product"] for row in pipeline.rows()] == [product]


@pytest.mark.parametrize("file_format", [SampleFormat.CSV, SampleFormat.NDJSON, SampleFormat.PARQUET], ids=str)
def test_pipeline_keeps_the_newest_of_duplicate_keys_and_counts_the_others(
    pipeline: Pipeline, file_format: SampleFormat
) -> None:
    made = pipeline.sample(f"duplicates.{file_format}", 2_000, file_format, bad=[Bad(BadKind.DUPLICATE_KEYS, 300)])
    plain = pipeline.sample("duplicates.csv", 2_000, bad=[Bad(BadKind.DUPLICATE_KEYS, 300)])
    newest: dict[str, tuple[str, int]] = {}
    with plain.path.open(newline="") as file:
        for at, row in enumerate(csv.DictReader(file), start=1):
            newest[row["sale_id"]] = max(newest.get(row["sale_id"], ("", 0)), (row["updated_at"], at))

    entry = pipeline.send(made.path.name, made.path.read_bytes())

    pipeline.assert_archived(entry, inserted=1_700, duplicate=300)
    stored = {row["sale_id"]: row["_source_row"] for row in pipeline.rows(lineage=True)}
    assert stored == {key: at for key, (_, at) in newest.items()}


def test_pipeline_takes_the_last_of_equally_new_duplicates_where_the_contract_says_so(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = make_pipeline(on_duplicate=OnDuplicate.LAST_WINS)
    entry = pipeline.send(
        "sales.csv", HEADER + sale("S1", product="A") + sale("S1", product="B") + sale(" S1 ", product="C")
    )

    pipeline.assert_archived(entry, inserted=1, duplicate=2)
    assert [(row["sale_id"], row["product"]) for row in pipeline.rows()] == [("S1", "C")]


@pytest.mark.parametrize(
    "kind",
    [
        BadKind.BOM,
        BadKind.CRLF,
        BadKind.SEMICOLON,
        BadKind.TAB,
        BadKind.UTF16,
        BadKind.REORDERED_COLUMNS,
    ],
    ids=str,
)
def test_pipeline_loads_every_dialect_of_csv(pipeline: Pipeline, kind: BadKind) -> None:
    plain = pipeline.sample("plain.csv", 300)
    odd = pipeline.sample("odd.csv", 300, bad=[Bad(kind)])
    with plain.path.open(newline="") as file:
        wanted = {row["sale_id"]: row["product"] for row in csv.DictReader(file)}

    entry = pipeline.send("odd.csv", odd.path.read_bytes())

    pipeline.assert_archived(entry, inserted=300)
    assert {row["sale_id"]: row["product"] for row in pipeline.rows()} == wanted


def test_pipeline_keeps_quoted_line_breaks_and_unicode_in_csv(pipeline: Pipeline) -> None:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(HEADER.strip().split(","))
    name = 'Łucja "Lu" 王, 😀\nsecond line'
    writer.writerow(["S1", "2026-01-01", "C1", "Zoë", name, "Toys", 1, "2.50", "2.50", "", "2026-01-01T00:00:00Z"])
    writer.writerow(["S2", "2026-01-01", "C1", "", "Kite", "Toys", 2, "2.50", "5", "East", "2026-01-01 00:00:00.25Z"])

    entry = pipeline.send("sales.csv", written.getvalue())

    pipeline.assert_archived(entry, inserted=2)
    first, second = pipeline.rows(lineage=True)
    # the contract collapses white space in product, a line break is white space
    assert (first["product"], first["customer_name"], first["region"]) == (name.replace("\n", " "), "Zoë", None)
    assert (second["customer_name"], second["total_amount"], second["_source_row"]) == (None, Decimal("5.00"), 2)
    assert second["updated_at"] == dt.datetime(2026, 1, 1, 0, 0, 0, 250_000, dt.UTC)
