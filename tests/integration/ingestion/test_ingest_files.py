"""Parquet values, names of columns and sizes of rows, from the dropped file to the table."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import random
import string
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contracts.column_names import table_column
from include.contracts.model import Column, ColumnType, ErrorBudget, UnknownColumns

if TYPE_CHECKING:
    from conftest import MakePipeline
    from ingest_pipeline import Pipeline

pytestmark = pytest.mark.integration

ID = Column("id", ColumnType.TEXT, required=True)


@pytest.fixture
def things(make_pipeline: MakePipeline) -> MakePipeline:
    """Makes datasets with a key and the given columns."""

    def make(*columns: Column, **changes: object) -> Pipeline:
        defaults = {"key": ("id",), "newest_by": None, "row_rules": (), "budget": ErrorBudget(rows=99)}
        return make_pipeline(columns=(ID, *columns), **{**defaults, **changes})

    return make  # type: ignore[return-value]


def csv_of(*rows: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def parquet(**columns: pa.Array) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


# --- Parquet


def test_parquet_of_the_same_floats_on_the_other_path_changes_no_row(things: MakePipeline) -> None:
    pipeline = things(Column("v", ColumnType.FLOAT), Column("z", ColumnType.INTEGER))
    ids, floats = pa.array(["a", "b", "c"]), pa.array([0.1, 1.5, 123456792.0], pa.float32())
    pipeline.assert_archived(pipeline.send("1.parquet", parquet(id=ids, v=floats, z=pa.array([1, 1, 1]))), inserted=3)
    second = pipeline.send("2.parquet", parquet(id=ids, v=floats, z=pa.array(["1", "1", "1"])))
    pipeline.assert_archived(second, unchanged=3)
    third = pipeline.send("3.csv", b"id,v,z\na,0.1,1\nb,1.5,1\nc,123456792,1\n")
    pipeline.assert_archived(third, unchanged=3)
    assert [row["v"] for row in pipeline.rows()] == [0.1, 1.5, 123456792.0]


def test_parquet_moments_of_nanoseconds_are_those_of_csv(things: MakePipeline) -> None:
    pipeline = things(Column("n", ColumnType.TIMESTAMP), Column("m", ColumnType.TIMESTAMPTZ))
    before = pa.array([-1], pa.int64())
    body = parquet(id=pa.array(["a"]), n=before.cast(pa.timestamp("ns")), m=before.cast(pa.timestamp("ns", "UTC")))
    pipeline.assert_archived(pipeline.send("1.parquet", body), inserted=1)
    text = b"id,n,m\na,1969-12-31T23:59:59.999999999,1969-12-31T23:59:59.999999999Z\n"
    pipeline.assert_archived(pipeline.send("2.csv", text), unchanged=1)
    moment = dt.datetime(1969, 12, 31, 23, 59, 59, 999_999, dt.UTC)
    (row,) = pipeline.rows()
    assert (row["n"], row["m"]) == (moment.replace(tzinfo=None), moment)


def test_parquet_row_with_bytes_that_are_not_text_is_refused_alone(things: MakePipeline) -> None:
    pipeline = things(Column("n", ColumnType.TEXT))
    entry = pipeline.send("a.parquet", parquet(id=pa.array(["a", "b"]), n=pa.array(["café".encode(), b"\xff\xfe"])))
    pipeline.assert_archived(entry, inserted=1, rejected=1)
    (reject,) = pipeline.rejected(entry["file_id"])
    assert (reject["source_row"], reject["column_name"], reject["code"]) == (2, "n", "bad-encoding")
    assert [row["n"] for row in pipeline.rows()] == ["café"]


# --- sizes


def text_of(rng: random.Random, length: int, letters: str = string.ascii_letters) -> str:
    return "".join(rng.choice(letters) for _ in range(length))


@pytest.mark.parametrize(
    ("length", "letters", "fits"),
    [(15, string.ascii_letters, True), (16, string.ascii_letters, False), (23, string.ascii_letters, False),
     (24, string.ascii_letters, False), (30, string.ascii_letters, False), (40, string.ascii_letters, False),
     (40, "x", True), (16, "x", False), (30, "x", False)],
    ids=lambda value: str(value)[:10],
)  # fmt: skip
def test_row_that_is_wider_than_a_page_is_refused_alone(
    things: MakePipeline, length: int, letters: str, *, fits: bool
) -> None:
    """500 texts: the row either loads, or is refused before PostgreSQL refuses the whole file."""
    rng = random.Random(7)
    columns = [Column(f"c{at}", ColumnType.TEXT) for at in range(499)]
    pipeline = things(*columns)
    header = ["id", *(column.name for column in columns)]
    wide = ["wide", *(text_of(rng, length, letters) for _ in columns)]
    entry = pipeline.send("a.csv", csv_of(header, wide, ["narrow", *(["x"] * 499)]))
    pipeline.assert_archived(entry, **({"inserted": 2} if fits else {"inserted": 1, "rejected": 1}))
    assert [(r["source_line"], r["code"]) for r in pipeline.rejected(entry["file_id"])] == (
        [] if fits else [(2, "row-too-wide")]
    )


def test_row_size_is_the_one_that_postgresql_counts(things: MakePipeline) -> None:
    """Rows of all types around the limit: the server refuses none that passes, and both outcomes occur."""
    rng = random.Random(3)
    kinds = (ColumnType.TEXT, ColumnType.TEXT, ColumnType.TEXT, ColumnType.NUMBER, ColumnType.DATE, ColumnType.UUID)
    columns = [Column(f"c{at}", kinds[at % 6], precision=38, scale=10) for at in range(499)]
    values = {
        ColumnType.NUMBER: lambda: f"{rng.randrange(10 ** rng.randrange(1, 20))}.{rng.randrange(10**10)}",
        ColumnType.DATE: lambda: "2026-01-31",
        ColumnType.UUID: lambda: "6f1c2a34-9d1e-4c55-8a86-0c1f6f0b7e21",
        ColumnType.TEXT: lambda: text_of(
            rng, rng.choice((18, 22, 23, 24, 40)), rng.choice(("ab", string.ascii_letters))
        ),
    }
    rows = []
    for at in range(60):
        row = [values[column.type]() if rng.random() > at / 400 else "" for column in columns]
        rows.append([f"k{at}", *row])
    pipeline = things(*columns)
    entry = pipeline.send("a.csv", csv_of(["id", *(column.name for column in columns)], *rows))
    codes = {reject["code"] for reject in pipeline.rejected(entry["file_id"])}
    pipeline.assert_archived(entry, inserted=pipeline.count(), rejected=60 - pipeline.count())
    assert codes == {"row-too-wide"}
    assert 5 < pipeline.count() < 55


@pytest.mark.parametrize(
    ("key", "fits"),
    [(lambda rng: text_of(rng, 2_690), True), (lambda rng: text_of(rng, 2_700), False),
     (lambda rng: text_of(rng, 9_000), False), (lambda rng: "k" * 9_000, True), (lambda rng: "é" * 1_000, True),
     (lambda rng: text_of(rng, 1_000, "абвгдежзийклмнопрстуфхцчшщъыьэюя"), True),
     (lambda rng: "".join(chr(rng.randrange(0x4E00, 0x9FFF)) for _ in range(1_000)), False)],
    ids=["2,690", "2,700", "9,000", "9,000 alike", "accents", "cyrillic", "cjk"],
)  # fmt: skip
def test_row_with_a_key_too_long_for_the_index_is_refused_alone(things: MakePipeline, key, *, fits: bool) -> None:
    pipeline = things(Column("n", ColumnType.TEXT))
    entry = pipeline.send("a.csv", csv_of(["id", "n"], [key(random.Random(5)), "x"], ["short", "y"]))
    pipeline.assert_archived(entry, **({"inserted": 2} if fits else {"inserted": 1, "rejected": 1}))
    if not fits:
        (reject,) = pipeline.rejected(entry["file_id"])
        assert (reject["source_line"], reject["column_name"], reject["code"]) == (2, "id", "key-too-long")


def test_length_of_a_key_is_that_of_all_its_columns(things: MakePipeline) -> None:
    rng = random.Random(5)
    part = Column("part", ColumnType.TEXT, required=True)
    pipeline = things(part, key=("id", "part"))
    rows = [[text_of(rng, 500), text_of(rng, length)] for length in (500, 2_180, 2_200)]
    entry = pipeline.send("a.csv", csv_of(["id", "part"], *rows))
    pipeline.assert_archived(entry, inserted=2, rejected=1)
    (reject,) = pipeline.rejected(entry["file_id"])
    assert (reject["source_line"], reject["column_name"], reject["code"]) == (4, None, "key-too-long")


# --- wide files


@pytest.mark.parametrize("width", [201, 301, 500])
def test_wide_file_with_one_bad_row_loads_the_others(things: MakePipeline, width: int) -> None:
    """On the slow path, within the engine's memory limit."""
    kinds = (ColumnType.INTEGER, ColumnType.TEXT, ColumnType.NUMBER, ColumnType.DATE)
    columns = [Column(f"c{at}", kinds[at % 4]) for at in range(width - 1)]
    pipeline = things(*columns, settings={"max_columns": width})
    cells = {ColumnType.INTEGER: "7", ColumnType.TEXT: "abc", ColumnType.NUMBER: "1.25", ColumnType.DATE: "2026-01-31"}
    good = ",".join(cells[column.type] for column in columns)
    lines = [f"k{at},{good}" for at in range(1_500)]
    lines[750] = f"k750,bad{good[1:]}"
    header = ",".join(["id", *(column.name for column in columns)])
    entry = pipeline.send("a.csv", "\n".join([header, *lines, ""]))
    pipeline.assert_archived(entry, inserted=1_499, rejected=1)
    (reject,) = pipeline.rejected(entry["file_id"])
    assert (reject["source_line"], reject["column_name"], reject["code"]) == (752, "c0", "bad-integer")


# --- names of columns


def added(pipeline: Pipeline) -> dict[str, str]:
    """The columns that files added to the table, with the header that the warehouse stores."""
    found = pipeline.sql(
        "SELECT column_name, source_name FROM ops.dataset_column WHERE dataset = %s ORDER BY added_at, column_name",
        pipeline.contract.dataset,
    )
    return {row["column_name"]: row["source_name"] for row in found}


def test_headers_of_other_scripts_become_columns_of_their_own(things: MakePipeline) -> None:
    pipeline = things(unknown_columns=UnknownColumns.EVOLVE)
    for at, header in enumerate(("価格", "数量", "Цена")):
        entry = pipeline.send(f"{at}.csv", csv_of(["id", header], [f"k{at}", str(at)]))
        pipeline.assert_archived(entry, inserted=1)
    rows = [{name: row[name] for name in ("価格", "数量", "цена")} for row in pipeline.rows()]
    assert rows == [
        {"価格": "0", "数量": None, "цена": None},
        {"価格": None, "数量": "1", "цена": None},
        {"価格": None, "数量": None, "цена": "2"},
    ]
    assert added(pipeline) == {"価格": "価格", "数量": "数量", "цена": "Цена"}


@pytest.mark.parametrize(
    "headers",
    [("price $", "price %"), ("x" * 70 + "1", "x" * 70 + "2"), ("Ж" * 40, "Ж" * 41), ("2024", "column 2024"),
     ("%%", "😀"), ("a.b", "a b"), ("Straße", "Strasse")],
    ids=lambda headers: headers[0][:8],
)  # fmt: skip
def test_headers_of_two_files_never_share_a_column(things: MakePipeline, headers: tuple[str, str]) -> None:
    pipeline = things(unknown_columns=UnknownColumns.EVOLVE)
    for at, header in enumerate(headers):
        pipeline.assert_archived(pipeline.send(f"{at}.csv", csv_of(["id", header], [f"k{at}", str(at)])), inserted=1)
    names = [table_column(header) for header in headers]
    assert len(set(names)) == 2
    first, second = pipeline.rows()
    assert (first[names[0]], first[names[1]], second[names[0]], second[names[1]]) == ("0", None, None, "1")


def letters(count: int, first: str, last: str) -> str:
    """Random letters, which PostgreSQL cannot compress."""
    chosen = random.Random(count)
    return "".join(chr(chosen.randint(ord(first), ord(last))) for _ in range(count))


@pytest.mark.parametrize(
    "header",
    [letters(6_000, "a", "z"), letters(1_200, "\u4e00", "\u9fa5"), "\\x" + letters(2_800, "a", "z")],
    ids=["letters", "other script", "backslash"],
)
@pytest.mark.parametrize("form", ["csv", "json"])
def test_header_of_any_length_becomes_a_column(things: MakePipeline, header: str, form: str) -> None:
    pipeline = things(unknown_columns=UnknownColumns.EVOLVE)
    for at in range(2):
        row = {"id": f"k{at}", header: "a"}
        body = csv_of(list(row), list(row.values())) if form == "csv" else json.dumps(row)
        pipeline.assert_archived(pipeline.send(f"{at}.{form}", body), inserted=1)
    column = table_column(header)
    assert len(column.encode()) <= 63
    assert [row[column] for row in pipeline.rows()] == ["a", "a"]
    assert added(pipeline) == {column: header}


@pytest.mark.parametrize("form", ["csv", "json"])
def test_headers_of_other_spelling_are_the_same_column(things: MakePipeline, form: str) -> None:
    pipeline = things(unknown_columns=UnknownColumns.EVOLVE)
    for at, header in enumerate(("Prix é", "PRIX-e\u0301", "prix_é")):
        body = csv_of(["id", header], [f"k{at}", "1"]) if form == "csv" else f'{{"id": "k{at}", "{header}": "1"}}'
        pipeline.assert_archived(pipeline.send(f"{at}.{form}", body), inserted=1)
    assert [row["prix_é"] for row in pipeline.rows()] == ["1", "1", "1"]
    assert added(pipeline) == {"prix_é": "Prix é"}


def test_column_of_another_header_is_not_written_to(things: MakePipeline) -> None:
    """Two headers with one hash: only the stored header of the first one shows the difference."""
    pipeline = things(unknown_columns=UnknownColumns.EVOLVE)
    pipeline.sql(
        "INSERT INTO ops.dataset_column (dataset, column_name, source_name) VALUES (%s, 'price', 'Another price')",
        pipeline.contract.dataset,
    )
    entry = pipeline.send("a.csv", csv_of(["id", "Price"], ["a", "1"]))
    pipeline.assert_refused(entry, "duplicate-columns", "loading")
    assert "belongs to the header 'Another price'" in entry["error_message"]
    assert pipeline.count() == 0


def test_long_header_of_another_column_gets_no_second_column(things: MakePipeline) -> None:
    pipeline, header = things(unknown_columns=UnknownColumns.EVOLVE), letters(6_000, "a", "z")
    pipeline.sql(
        "INSERT INTO ops.dataset_column (dataset, column_name, source_name) VALUES (%s, 'other', %s)",
        pipeline.contract.dataset, header,
    )  # fmt: skip
    entry = pipeline.send("a.csv", csv_of(["id", header], ["a", "1"]))
    pipeline.assert_refused(entry, "duplicate-columns", "loading")
    assert pipeline.count() == 0


@pytest.mark.parametrize("mode", [UnknownColumns.RESCUE, UnknownColumns.EVOLVE], ids=str)
def test_headers_that_differ_in_case_alone_are_refused(things: MakePipeline, mode: UnknownColumns) -> None:
    pipeline = things(unknown_columns=mode)
    entry = pipeline.send("a.csv", csv_of(["id", "Note", "NOTE"], ["a", "1", "2"]))
    report = pipeline.assert_refused(entry, "duplicate-columns")
    assert "differ only in case, spaces, dashes or underscores: NOTE, Note" in report["message"]


def test_contract_may_name_columns_in_any_script(things: MakePipeline) -> None:
    pipeline = things(Column("цена", ColumnType.NUMBER), Column("сумма", ColumnType.NUMBER, derived='"цена" * 2'))
    for name, body in (("a.csv", "id,ЦЕНА\na,1.50\n"), ("a.ndjson", '{"id": "b", "Цена": 2.25}\n')):
        pipeline.assert_archived(pipeline.send(name, body), inserted=1)
    assert [(str(row["цена"]), str(row["сумма"])) for row in pipeline.rows()] == [("1.50", "3.00"), ("2.25", "4.50")]
