"""Contracts whose columns have names that the pipeline's own queries use, or that DuckDB gives to its own columns.

A file is read twice, with these names and with plain ones: rows and rejects must be the same.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contracts.column_names import is_column_name, table_column
from include.contracts.model import Cleaning, Column, ColumnType, Contract, OnDuplicate, RowRule, UnknownColumns
from include.ingestion.loaded_rows import parquet_rows

pytestmark = pytest.mark.unit

PLAIN = ("part", "line_no", "changed", "label", "extra", "ratio", "derived", "more")
NAMES = (
    *("rowid", "filename", "file_row_number", "file_index", "row_number", "count", "hash", "position", "excluded"),
    *("key_number", "newest", "other_row", "first_row", "first_content", "content", "equally_new", "documents"),
    *("source_row", "source_line", "raw", "rescued", "refused", "violations", "file_id", "loaded_at", "rejected"),
    *("repeated_keys", "repeated", "tied", "top", "contents", "conflicts", "others", "superseded", "records", "texts"),
    *("typed", "parquet_columns", "unknown", "staging", "s", "t", "r", "k", "f", "d", "o", "c", "v", "n"),
    *("c0", "c1", "c5", "column0", "code", "column_name", "rule", "text", "message", "key", "value", "id", "rows"),
)
GOOD = """
1,1,5,x,{},7,q
1,1,5,x,{},7,q
1,2,5,y,"[1, 2]",8,
1,2,5,y,"[1,2]",8,
1,3,4,z,,9,
2,1,5,x,,1,
2,1,5,w,,1,
2,1,4,v,,1,
2,2,5,x,,1,a
2,2,5,x,,1,b
"""
BAD = """2,3,late,x,,1,
,4,5,x,,1,
2,5,5,no,,1,
3,1,5,x,,0,
"""


def named(make: Callable[..., Contract], names: tuple[str, ...], options: dict[str, Any]) -> Contract:
    """Two key columns, the newest-by column, a text, a document, a number and a derived column."""
    part, line, changed, label, extra, ratio, derived, _ = names
    columns = (
        Column(part, ColumnType.TEXT, required=True, cleaning=(Cleaning.TRIM,)),
        Column(line, ColumnType.INTEGER, required=True),
        Column(changed, ColumnType.INTEGER),
        Column(label, ColumnType.TEXT),
        Column(extra, ColumnType.JSON),
        Column(ratio, ColumnType.NUMBER, precision=10, scale=2),
        Column(derived, ColumnType.TEXT, derived=f"""concat("{label}", '-', "{part}")"""),
    )
    rule = RowRule("labelled", f'"{label}" <> \'no\' AND "{ratio}" > 0', "")
    return make(*columns, key=(part, line), newest_by=changed, row_rules=(rule,), **options)


Outcome = tuple[list[list[object]], list[tuple[object, ...]], int, str]


def outcome(stages, contract: Contract, names: tuple[str, ...], rows: str) -> Outcome:
    """The rows, the rejects with plain names, the number of superseded rows, and the path that read the file."""
    header = ",".join([*names[:6], names[7]])
    validated = stages.validate(contract, f"{header}{rows}".encode())
    plain = dict(zip(names, PLAIN, strict=True))
    rejects = [
        (one.source_row, one.source_line, plain.get(one.column or ""), one.code, one.raw)
        for one in validated.rejects.first
    ]
    loaded = [
        [str(value).replace(f'"{names[-1]}"', '"more"') if name == "_rescued" else value for name, value in row.items()]
        for row in stages.processed(contract, validated)
    ]
    return loaded, rejects, validated.duplicates.superseded, validated.path_taken


KINDS = {
    "conflicts on the fast path": (GOOD, {"unknown_columns": UnknownColumns.EVOLVE}, "fast", 5, 2),
    "last wins on the fast path": (
        GOOD, {"unknown_columns": UnknownColumns.RESCUE, "on_duplicate": OnDuplicate.LAST_WINS}, "fast", 0, 5,
    ),
    "conflicts on the slow path": (GOOD + BAD, {"unknown_columns": UnknownColumns.EVOLVE}, "slow", 9, 2),
    "conflicts of rescued values": (GOOD + BAD, {"unknown_columns": UnknownColumns.RESCUE}, "slow", 9, 2),
}  # fmt: skip


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest, stages, contract_of) -> tuple[str, dict[str, Any], Outcome]:
    """Rows, the contract's options, and their outcome with plain names."""
    rows, options, path, rejected, superseded = KINDS[request.param]
    expected = outcome(stages, named(contract_of, PLAIN, options), PLAIN, rows)
    assert (len(expected[1]), *expected[2:]) == (rejected, superseded, path)
    return rows, options, expected


@pytest.mark.parametrize("at", range(0, len(NAMES), 2), ids=NAMES[::2])
def test_columns_named_as_the_pipelines_own_give_the_same_rows_and_rejects(stages, contract_of, kind, at) -> None:
    """Each name is a key column once."""
    names = tuple(NAMES[(at + step) % len(NAMES)] for step in range(len(PLAIN)))
    rows, options, expected = kind

    assert outcome(stages, named(contract_of, names, options), names, rows) == expected


@pytest.mark.parametrize("name", ["_key_number", "_source_row", "_rescued", "_refused", "_", "_rowid", "ctid", "xmin"])
def test_contract_has_no_column_of_a_reserved_name(name: str) -> None:
    assert not is_column_name(name)
    assert is_column_name(table_column(name))


def test_folder_named_as_a_partition_is_no_column(tmp_path: Path) -> None:
    folder = tmp_path / "region=eu"
    folder.mkdir()
    pq.write_table(pa.table({"region": ["us"], "id": [1]}), folder / "rows.parquet")

    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT * FROM {parquet_rows(folder / 'rows.parquet')}").fetchall()

    assert found == [("us", 1)]
