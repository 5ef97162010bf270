"""Stage 2: cleaning, derived columns, and which of the rows with one key is loaded."""

import pytest

from include.contracts.model import Cleaning, Column, ColumnType, OnDuplicate

pytestmark = pytest.mark.unit

ID = Column("id", ColumnType.TEXT, required=True, cleaning=(Cleaning.TRIM, Cleaning.LOWER))
AT = Column("at", ColumnType.INTEGER)
NOTE = Column("note", ColumnType.TEXT)


def kept(stages, contract, content: bytes) -> list[str]:
    return [row["note"] for row in stages.rows(contract, content)]


@pytest.mark.parametrize(
    ("rows", "notes"),
    [
        pytest.param("a,1,old\na,2,new", ["new"], id="newer-later"),
        pytest.param("a,2,new\na,1,old", ["new"], id="newer-first"),
        pytest.param("a,1,same\na,1,same", ["same"], id="equal-times-identical"),
        pytest.param("a,1,old\na,1,older\na,2,new", ["new"], id="older-ones-may-differ"),
        pytest.param("a,1,timed\na,,untimed", ["timed"], id="no-time-is-oldest"),
        pytest.param("a,,same\na,,same", ["same"], id="no-times-identical"),
        pytest.param(" A ,1,old\na,2,new", ["new"], id="keys-compared-after-cleaning"),
        pytest.param("a,1,x\nb,1,y", ["x", "y"], id="different-keys"),
        pytest.param("a,3,x\nb,1,y\na,1,z\na,2,w\nb,2,v", ["x", "v"], id="several"),
    ],
)
def test_process_keeps_the_newest_of_a_key(stages, contract_of, rows: str, notes: list[str]) -> None:
    contract = contract_of(ID, AT, NOTE, newest_by="at")
    content = f"id,at,note\n{rows}\n".encode()
    validated = stages.validate(contract, content)
    plan = stages.plan(contract, validated)
    assert (plan.rows_kept, plan.rows_duplicate) == (len(notes), rows.count("\n") + 1 - len(notes))
    assert kept(stages, contract, content) == notes


@pytest.mark.parametrize("newest_by", [None, "at"])
def test_process_keeps_the_last_row_where_the_contract_says_so(stages, contract_of, newest_by: str | None) -> None:
    contract = contract_of(ID, AT, NOTE, newest_by=newest_by, on_duplicate=OnDuplicate.LAST_WINS)
    assert kept(stages, contract, b"id,at,note\na,1,first\na,1,second\n") == ["second"]


def test_process_compares_all_columns_of_a_key(stages, contract_of) -> None:
    contract = contract_of(ID, AT, NOTE, key=("id", "at"), on_duplicate=OnDuplicate.LAST_WINS)
    assert kept(stages, contract, b"id,at,note\na,1,x\na,2,y\na,1,z\n") == ["y", "z"]


def test_process_compares_uuids_whatever_their_case(stages, contract_of) -> None:
    contract = contract_of(Column("id", ColumnType.UUID, required=True), NOTE, on_duplicate=OnDuplicate.LAST_WINS)
    one = "6f1c2a34-9d1e-4c55-8a86-0c1f6f0b7e21"
    assert kept(stages, contract, f"id,note\n{one},x\n{one.upper()},y\n".encode()) == ["y"]


def test_process_excludes_rejected_rows_before_it_compares_keys(stages, contract_of) -> None:
    contract = contract_of(ID, AT, NOTE, newest_by="at")
    assert kept(stages, contract, b"id,at,note\na,1,good\na,late,bad\n") == ["good"]


@pytest.mark.parametrize(
    ("steps", "given", "cleaned"),
    [
        ((Cleaning.TRIM,), " \ta b\n", "a b"),
        ((Cleaning.COLLAPSE_SPACES,), "a \t b", "a b"),
        ((Cleaning.TRIM, Cleaning.COLLAPSE_SPACES), "  a  b ", "a b"),
        ((Cleaning.LOWER,), "ÄB", "äb"),
        ((Cleaning.UPPER,), "äb", "ÄB"),
        ((Cleaning.TRIM, Cleaning.EMPTY_TO_NULL), "  ", None),
        ((Cleaning.TRIM,), "  ", None),
        ((), " a ", " a "),
    ],
    ids=lambda value: "+".join(value) or "nothing" if isinstance(value, tuple) else repr(value),
)
@pytest.mark.parametrize("slow", [False, True], ids=["fast", "slow"])
def test_process_cleans_as_the_contract_says(stages, steps: tuple, given: str, cleaned: str | None, slow: bool) -> None:
    contract = stages.contract_of(ID, Column("note", ColumnType.TEXT, cleaning=steps))
    (row,) = stages.rows(contract, f'id,note\na,"{given}"\n'.encode(), slow=slow)
    assert row["note"] == cleaned


def test_process_derives_columns_from_cleaned_values(stages, contract_of) -> None:
    derived = Column("label", ColumnType.TEXT, derived="id || coalesce(note, '-')")
    rows = stages.rows(contract_of(ID, NOTE, derived), b"id,note\n A ,x\nb,\n")
    assert [row["label"] for row in rows] == ["ax", "b-"]
