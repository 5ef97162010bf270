"""Rows of one file with the same key: identical, newer, and conflicting ones."""

import csv
import io
import json
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contracts.model import Cleaning, Column, ColumnType, Contract, ErrorBudget, OnDuplicate, UnknownColumns
from include.errors import Code
from include.ingestion import validate as stage_one
from include.ingestion.duplicate_keys import canonical
from include.ingestion.records import Validated
from include.settings import IngestSettings

pytestmark = pytest.mark.unit

ID = Column("id", ColumnType.TEXT, required=True, cleaning=(Cleaning.TRIM,))
AT = Column("at", ColumnType.INTEGER)
NOTE = Column("note", ColumnType.TEXT)
BUDGET = ErrorBudget(share=1.0)
FORMATS = ("csv", "ndjson", "json", "parquet")


def written(rows: list[dict], form: str) -> bytes:
    match form:
        case "csv":
            out = io.StringIO()
            writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
            return out.getvalue().encode()
        case "ndjson":
            return "\n".join(map(json.dumps, rows)).encode()
        case "json":
            return json.dumps(rows, indent=1).encode()
        case _:
            buffer = io.BytesIO()
            pq.write_table(pa.Table.from_pylist(rows), buffer)
            return buffer.getvalue()


def refused(validated: Validated) -> list[tuple[int, str]]:
    return [(reject.source_row, reject.code) for reject in validated.rejects.first]


def notes(stages, contract: Contract, validated: Validated) -> list[str]:
    return [row["note"] for row in stages.processed(contract, validated)]


@pytest.mark.parametrize("form", FORMATS)
def test_conflicting_rows_are_all_refused_and_name_each_other(stages, contract_of, form: str) -> None:
    rows = [
        {"id": "a", "note": "x"},
        {"id": "b", "note": "y"},
        {"id": "a", "note": "z"},
        {"id": "a", "note": "x"},
    ]
    contract = contract_of(ID, NOTE)

    validated = stages.validate(contract, written(rows, form))

    lines = {"csv": (2, 3, 4, 5), "ndjson": (1, 2, 3, 4), "json": (2, 6, 10, 14), "parquet": (None,) * 4}[form]
    kind = "row" if form == "parquet" else "line"
    positions = [line or row for row, line in enumerate(lines, 1)]
    assert [(r.source_row, r.source_line, r.column, r.code) for r in validated.rejects.first] == [
        (row, lines[row - 1], None, Code.CONFLICTING_DUPLICATE) for row in (1, 3, 4)
    ]
    assert [r.message for r in validated.rejects.first] == [
        f"The key id = a is also in {kind} {positions[other - 1]}, with other values and no column that says which is "
        "newer."
        for other in (3, 1, 3)
    ]
    assert all('"a"' in r.raw or r.raw.startswith("a,") for r in validated.rejects.first)
    assert validated.rejects.rows == 3
    assert validated.duplicates.superseded == 0
    assert notes(stages, contract, validated) == ["y"]


@dataclass(frozen=True)
class Judged:
    """The rows that conflict, the number of superseded rows, and the notes of the rows that stay."""

    conflicts: list[int]
    superseded: int
    stay: list[str | None]


@pytest.mark.parametrize("slow", [False, True], ids=["fast", "slow"])
@pytest.mark.parametrize(
    ("newest_by", "rows", "judged"),
    [
        pytest.param(None, "a,1,x\na,1,x\na,1,x", Judged([], 2, ["x"]), id="identical"),
        pytest.param(None, "a,1,x\n a ,1,x", Judged([], 1, ["x"]), id="identical-after-cleaning"),
        pytest.param(None, "a,1,\na,1,x", Judged([1, 2], 0, []), id="empty-and-value"),
        pytest.param(None, "a,1,\na,1,", Judged([], 1, [None]), id="both-empty"),
        pytest.param(None, "a,1,x\na,2,x", Judged([1, 2], 0, []), id="differs-in-one-column"),
        pytest.param(None, "a,1,x\na,1,y\nb,1,x\nb,1,x", Judged([1, 2], 1, ["x"]), id="two-keys"),
        pytest.param("at", "a,1,x\na,2,y", Judged([], 1, ["y"]), id="newer"),
        pytest.param("at", "a,2,x\na,2,y\nb,1,z", Judged([1, 2], 0, ["z"]), id="equally-new"),
        pytest.param("at", "a,1,w\na,2,x\na,2,y", Judged([1, 2, 3], 0, []), id="older-one-too"),
        pytest.param("at", "a,1,x\na,1,y\na,2,z", Judged([], 2, ["z"]), id="older-ones-differ"),
        pytest.param("at", "a,2,x\na,2,x\na,1,y", Judged([], 2, ["x"]), id="equally-new-identical"),
        pytest.param("at", "a,,x\na,,y", Judged([1, 2], 0, []), id="no-times"),
        pytest.param("at", "a,,x\na,1,y", Judged([], 1, ["y"]), id="one-time"),
    ],
)
def test_duplicates_are_judged_by_key_newest_and_values(
    stages, newest_by: str | None, rows: str, judged: Judged, slow: bool
) -> None:
    contract = stages.contract_of(ID, AT, NOTE, newest_by=newest_by)

    validated = stages.validate(contract, f"id,at,note\n{rows}\n".encode(), slow=slow)

    assert refused(validated) == [(row, Code.CONFLICTING_DUPLICATE) for row in judged.conflicts]
    assert (validated.rejects.rows, validated.duplicates.superseded) == (len(judged.conflicts), judged.superseded)
    assert notes(stages, contract, validated) == judged.stay


@pytest.mark.parametrize("newest_by", [None, "at"])
def test_last_row_wins_where_the_contract_says_so(stages, contract_of, newest_by) -> None:
    contract = contract_of(ID, AT, NOTE, newest_by=newest_by, on_duplicate=OnDuplicate.LAST_WINS)

    validated = stages.validate(contract, b"id,at,note\na,1,x\na,1,y\n")

    assert (refused(validated), validated.duplicates.superseded) == ([], 1)
    assert notes(stages, contract, validated) == ["y"]


def test_rows_that_are_refused_for_another_reason_conflict_with_none(stages, contract_of) -> None:
    contract = contract_of(ID, AT, NOTE)

    validated = stages.validate(contract, b"id,at,note\na,1,x\na,late,y\n")

    assert refused(validated) == [(2, Code.BAD_INTEGER)]
    assert notes(stages, contract, validated) == ["x"]


def test_rejects_of_both_kinds_are_one_list_in_the_order_of_rows(stages, contract_of) -> None:
    rows = b"id,at,note\na,1,x\nb,late,=y\na,2,z\nc,late,w\n"
    validated = stages.validate(contract_of(ID, AT, NOTE), rows, IngestSettings(max_rejects_in_ledger=3))

    assert [row for row, _ in refused(validated)] == [1, 2, 3]
    assert validated.rejects.by_code == {Code.CONFLICTING_DUPLICATE: 2, Code.BAD_INTEGER: 2}
    with validated.rejects.path.open(newline="") as stream:
        file = list(csv.DictReader(stream))
    assert [(row["source_row"], row["raw_record"]) for row in file] == [
        ("1", "a,1,x"), ("2", "b,late,=y"), ("3", "a,2,z"), ("4", "c,late,w"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("budget", "allowed"),
    [
        pytest.param(ErrorBudget(), False, id="none"),
        pytest.param(ErrorBudget(rows=2), False, id="enough for the conflict alone"),
        pytest.param(ErrorBudget(rows=3), True, id="enough for all"),
        pytest.param(ErrorBudget(share=0.5), False, id="too small a share"),
        pytest.param(ErrorBudget(share=0.75), True, id="a share for all"),
    ],
)
def test_budget_counts_conflicting_rows_with_the_others(stages, contract_of, budget, allowed) -> None:
    contract = contract_of(ID, AT, NOTE, budget=budget)
    rows = b"id,at,note\na,1,x\na,2,y\nb,late,z\nc,1,w\n"

    if allowed:
        assert stages.validate(contract, rows).rejects.rows == 3
        return
    refusal = stages.refusal(contract, rows)
    assert refusal.code is Code.ERROR_BUDGET_EXCEEDED
    assert "3 of 4 rows" in refusal.message
    assert "[conflicting-duplicate]" in refusal.message
    assert refusal.rejects.rows == 3


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ('{"a": 1, "b": [1.0, "x"]}', '{"b":[1,"x"],"a":1e0}', True),
        ('"\\u0041"', '"A"', True),
        ("0.10", "0.1", True),
        ("-0.0", "0", True),
        ("1e2", "100", True),
        ("98765432109876543210999", "98765432109876543210998", False),
        ("1", '"1"', False),
        ("1", "true", False),
        ("[1, 2]", "[2, 1]", False),
        ("null", '"null"', False),
    ],
)
def test_json_values_are_compared_as_jsonb_does(stages, contract_of, one, other, equal) -> None:
    contract = contract_of(ID, NOTE, Column("data", ColumnType.JSON))
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([("id", "note", "data"), ("a", "x", one), ("a", "x", other)])

    validated = stages.validate(contract, out.getvalue().encode())

    assert (canonical(one) == canonical(other)) is equal
    assert (validated.rejects.rows, validated.duplicates.superseded) == ((0, 1) if equal else (2, 0))


@pytest.mark.parametrize("mode", [UnknownColumns.RESCUE, UnknownColumns.EVOLVE, UnknownColumns.IGNORE])
def test_columns_that_the_contract_does_not_name_count_where_they_are_kept(stages, contract_of, mode) -> None:
    contract = contract_of(ID, NOTE, unknown_columns=mode)

    validated = stages.validate(contract, b"id,note,more\na,x,1\na,x,2\n")

    assert validated.rejects.rows == (0 if mode is UnknownColumns.IGNORE else 2)


def test_many_conflicts_keep_the_first_rows_for_the_ledger(stages, contract_of) -> None:
    rows = "".join(f"{at % 2_000},{at}\n" for at in range(4_000))
    contract = contract_of(ID, NOTE)

    validated = stages.validate(contract, f"id,note\n{rows}".encode(), IngestSettings(max_rejects_in_ledger=10))

    assert validated.rejects.rows == 4_000
    assert [row for row, _ in refused(validated)] == list(range(1, 11))
    assert validated.rejects.first[0].message.startswith("The key id = 0 is also in line 2002,")
    assert stages.processed(contract, validated) == []


def test_file_is_not_read_again_where_nothing_conflicts(stages, contract_of, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.ingestion.duplicate_keys.raw_records", None)

    validated = stages.validate(contract_of(ID, NOTE), b"id,note\na,x\na,x\nb,y\n")

    assert validated.duplicates.superseded == 1
    assert stage_one.with_duplicates is not None


def test_quoted_line_breaks_do_not_move_the_lines(stages, contract_of) -> None:
    validated = stages.validate(contract_of(ID, NOTE), b'id,note\nb,"1\n2\n3"\na,x\n\na,y\n')

    assert [reject.source_line for reject in validated.rejects.first] == [5, 7]
    assert "line 7" in validated.rejects.first[0].message
