"""The keys of a snapshot's refused rows, which count as sent; and rows that are appended without a key."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contracts.model import APPEND_KEY, Cleaning, Column, ColumnType, Deletes, ErrorBudget, Mode, RowRule
from include.ingestion.records import RefusedKeys, Validated
from include.ingestion.row_size import RowSize

pytestmark = pytest.mark.unit

ID = Column("id", ColumnType.TEXT, required=True, cleaning=(Cleaning.TRIM, Cleaning.LOWER), max_length=5)
SHOP = Column("shop", ColumnType.INTEGER, required=True)
PIECES = Column("pieces", ColumnType.INTEGER)
SNAPSHOT: dict[str, Any] = {
    "mode": Mode.SNAPSHOT,
    "deletes": Deletes.HARD,
    "key": ("id", "shop"),
    "budget": ErrorBudget(share=1.0),
}


def found(keys: RefusedKeys) -> set[tuple[object, ...]]:
    return {tuple(row.values()) for path in keys.paths for row in pq.read_table(path).to_pylist()}


def validated(stages: Any, content: bytes, *columns: Column, slow: bool = False, **options: Any) -> Validated:
    result: Validated = stages.validate(
        stages.contract_of(*(columns or (ID, SHOP, PIECES)), **SNAPSHOT | options), content, slow=slow
    )
    return result


def parquet(rows: list[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


ROWS = [
    {"id": "a", "shop": 1, "pieces": "1"},
    {"id": " B ", "shop": 2, "pieces": "many"},
    {"id": "c", "shop": 3, "pieces": "3"},
    {"id": "toolong", "shop": 4, "pieces": "4"},
]
CONTENTS = {
    "csv": b"id,shop,pieces\na,1,1\n B ,2,many\nc,3,3\ntoolong,4,4\n",
    "ndjson": "\n".join(map(json.dumps, ROWS)).encode(),
    "json": json.dumps(ROWS).encode(),
    "parquet": parquet(ROWS),
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=list(CONTENTS))
def test_key_of_a_refused_row_is_cleaned_and_one_at_fault_is_unreadable(stages: Any, content: bytes) -> None:
    keys = validated(stages, content).refused_keys

    assert found(keys) == {("b", 2)}
    assert keys.unreadable == 1


@pytest.mark.parametrize(
    ("line", "why"),
    [
        pytest.param("a,x,1", "bad-integer", id="a part of the key is no number"),
        pytest.param("a,,1", "missing-value", id="a part of the key is missing"),
        pytest.param(",1,1", "missing-value", id="the first part is missing"),
        pytest.param("a,1", "too-few-fields", id="too few fields"),
        pytest.param("a,1,1,1", "too-many-fields", id="too many fields"),
        pytest.param('a,1,"1', "broken-quote", id="a quote without an end"),
    ],
)
def test_row_without_a_known_key_is_counted(stages: Any, line: str, why: str) -> None:
    result = validated(stages, f"id,shop,pieces\nb,2,2\n{line}\n".encode())

    assert set(result.rejects.by_code) == {why}
    assert (found(result.refused_keys), result.refused_keys.unreadable) == (set(), 1)


def test_row_with_a_fault_in_its_key_and_in_another_column_counts_once(stages: Any) -> None:
    keys = validated(stages, b"id,shop,pieces\na,x,many\nb,2,many\n").refused_keys

    assert (found(keys), keys.unreadable) == ({("b", 2)}, 1)


def test_keys_of_conflicting_rows_are_known(stages: Any) -> None:
    content = b"id,shop,pieces\nA,1,1\na,1,2\nb,2,2\nb,2,2\n"

    keys = validated(stages, content).refused_keys

    assert (found(keys), keys.unreadable) == ({("a", 1)}, 0)


def test_key_of_a_row_that_breaks_a_rule_is_known(stages: Any) -> None:
    rule = RowRule("few", "pieces < 5", "Few.")

    keys = validated(stages, b"id,shop,pieces\na,1,9\nb,2,2\n", row_rules=(rule,)).refused_keys

    assert (found(keys), keys.unreadable) == ({("a", 1)}, 0)


def test_key_of_a_row_without_its_derived_column_is_known(stages: Any) -> None:
    half = Column("half", ColumnType.INTEGER, derived="pieces / 2")

    result = validated(stages, b"id,shop,pieces\n A ,1,7\nb,2,2\n", ID, SHOP, PIECES, half)

    assert set(result.rejects.by_code) == {"derivation-failed"}
    assert (found(result.refused_keys), result.refused_keys.unreadable) == ({("a", 1)}, 0)


@pytest.mark.parametrize("options", [{"mode": Mode.MERGE}, {"key": ("id", "half")}], ids=["no snapshot", "derived key"])
def test_rows_without_a_derived_column_are_kept_only_for_their_keys(stages: Any, options: dict[str, Any]) -> None:
    half = Column("half", ColumnType.INTEGER, derived="pieces / 2", required=True)
    content = b"id,shop,pieces\na,1,7\nb,2,2\n"
    kept = "underivable_rows.parquet"

    result = validated(stages, content, ID, SHOP, PIECES, half)
    assert (result.path.parent / kept).exists()
    result = validated(stages, content, ID, SHOP, PIECES, half, **options)
    assert set(result.rejects.by_code) == {"derivation-failed"}
    assert not (result.path.parent / kept).exists()


@pytest.mark.parametrize("pieces", ["7", "many"])
def test_derived_key_of_a_refused_row_is_unreadable(stages: Any, pieces: str) -> None:
    half = Column("half", ColumnType.INTEGER, derived="pieces / 2", required=True)
    content = f"id,shop,pieces\na,1,{pieces}\nb,2,2\n".encode()

    keys = validated(stages, content, ID, SHOP, PIECES, half, key=("id", "half")).refused_keys

    assert (found(keys), keys.unreadable) == (set(), 1)


def test_row_too_large_for_postgresql_is_known_by_its_key(stages: Any) -> None:
    texts = [Column(f"t{at}", ColumnType.TEXT) for at in range(450)]
    names = ",".join(["id", "shop", *(column.name for column in texts)])
    wide, narrow = ",".join(["x" * 23] * 450), ",".join(["x"] * 450)

    result = validated(stages, f"{names}\na,1,{wide}\nb,2,{narrow}\n".encode(), ID, SHOP, *texts)

    assert set(result.rejects.by_code) == {"row-too-wide"}
    assert (found(result.refused_keys), result.refused_keys.unreadable) == ({("a", 1)}, 0)


def test_keys_are_not_collected_without_a_snapshot(stages: Any) -> None:
    keys = validated(stages, CONTENTS["csv"], mode=Mode.MERGE).refused_keys

    assert keys == RefusedKeys()


def test_row_must_fit_with_the_mark_of_a_deleted_one(stages: Any) -> None:
    columns = [ID, SHOP, *(Column(f"t{at}", ColumnType.TEXT) for at in range(380))]
    hard = RowSize(stages.contract_of(*columns, **SNAPSHOT))
    soft = RowSize(stages.contract_of(*columns, **SNAPSHOT | {"deletes": Deletes.SOFT}))

    def fits(size: RowSize, letters: int) -> bool:
        left, row = letters, {"id": "a", "shop": 1}
        for column in columns[2:]:
            row[column.name] = "x" * min(left, 22) or None
            left -= len(row[column.name] or "")
        return size.fault(row) is None

    most = max(letters for letters in range(7_000, 8_300) if fits(hard, letters))
    assert fits(soft, most - 16)
    assert not fits(soft, most)


# --- appended rows


@pytest.mark.parametrize("slow", [False, True], ids=["fast", "slow"])
def test_rows_without_a_key_are_all_planned_in_the_order_of_the_file(stages: Any, slow: bool) -> None:
    contract = stages.contract_of(PIECES, key=APPEND_KEY)
    content = b"pieces\n3\n1\n1\n2\n"

    result = stages.validate(contract, content, slow=slow)
    plan = stages.plan(contract, result)

    assert [row["pieces"] for row in stages.processed(contract, result)] == [3, 1, 1, 2]
    assert (plan.rows_kept, plan.rows_duplicate, plan.in_key_order) == (4, 0, True)
    assert (result.rejects.rows, result.duplicates.path) == (0, None)


def test_appended_row_has_no_key_that_could_be_too_long(stages: Any) -> None:
    contract = stages.contract_of(Column("note", ColumnType.TEXT), key=APPEND_KEY)

    assert stages.validate(contract, b"note\n" + b"x" * 5_000 + b"\n").rejects.rows == 0
