"""Stage 2: cleaning, derived columns, and which of the rows with one key stays."""

import pytest

from include.contracts.model import Cleaning, Column, ColumnType
from include.errors import Code
from include.ingestion.enrich import Enricher
from include.ingestion.process import process
from include.ingestion.records import FileRefusedError
from include.settings import IngestSettings, MlServiceSettings

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
        pytest.param("a,1,first\na,1,second", ["second"], id="equal-times-last-row"),
        pytest.param("a,1,timed\na,,untimed", ["timed"], id="no-time-is-oldest"),
        pytest.param("a,,first\na,,second", ["second"], id="no-times-last-row"),
        pytest.param(" A ,1,old\na,2,new", ["new"], id="keys-compared-after-cleaning"),
        pytest.param("a,1,x\nb,1,y", ["x", "y"], id="different-keys"),
        pytest.param("a,3,x\nb,1,y\na,1,z\na,2,w\nb,2,v", ["x", "v"], id="several"),
    ],
)
def test_process_keeps_the_newest_of_a_key(stages, contract_of, rows: str, notes: list[str]) -> None:
    contract = contract_of(ID, AT, NOTE, newest_by="at")
    content = f"id,at,note\n{rows}\n".encode()
    validated = stages.validate(contract, content)
    plan = process(contract, validated, validated.path.parent, IngestSettings(), Enricher(MlServiceSettings()))
    assert (plan.rows_kept, plan.rows_duplicate) == (len(notes), rows.count("\n") + 1 - len(notes))
    assert kept(stages, contract, content) == notes


def test_process_keeps_the_last_row_where_no_column_says_which_is_newest(stages, contract_of) -> None:
    assert kept(stages, contract_of(ID, AT, NOTE), b"id,at,note\na,9,first\na,1,second\n") == ["second"]


def test_process_compares_all_columns_of_a_key(stages, contract_of) -> None:
    contract = contract_of(ID, AT, NOTE, key=("id", "at"))
    assert kept(stages, contract, b"id,at,note\na,1,x\na,2,y\na,1,z\n") == ["y", "z"]


def test_process_compares_uuids_whatever_their_case(stages, contract_of) -> None:
    contract = contract_of(Column("id", ColumnType.UUID, required=True), NOTE)
    one = "6f1c2a34-9d1e-4c55-8a86-0c1f6f0b7e21"
    assert kept(stages, contract, f"id,note\n{one},x\n{one.upper()},y\n".encode()) == ["y"]


def test_process_leaves_out_rejected_rows_before_it_looks_for_duplicates(stages, contract_of) -> None:
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
@pytest.mark.parametrize("thorough", [False, True], ids=["fast", "thorough"])
def test_process_cleans_as_the_contract_says(
    stages, contract_of, steps: tuple, given: str, cleaned: str | None, thorough: bool
) -> None:
    contract = contract_of(ID, Column("note", ColumnType.TEXT, cleaning=steps))
    (row,) = stages.rows(contract, f'id,note\na,"{given}"\n'.encode(), thorough=thorough)
    assert row["note"] == cleaned


def test_process_derives_columns_from_cleaned_values(stages, contract_of) -> None:
    derived = Column("label", ColumnType.TEXT, derived="id || coalesce(note, '-')")
    rows = stages.rows(contract_of(ID, NOTE, derived), b"id,note\n A ,x\nb,\n")
    assert [row["label"] for row in rows] == ["ax", "b-"]


def test_process_refuses_the_file_where_a_derived_column_cannot_be_calculated(stages, contract_of) -> None:
    contract = contract_of(ID, NOTE, Column("number", ColumnType.INTEGER, derived="note::BIGINT"))
    validated = stages.validate(contract, b"id,note\na,1\nb,none\n")
    with pytest.raises(FileRefusedError) as caught:
        process(contract, validated, validated.path.parent, IngestSettings(), Enricher(MlServiceSettings()))
    assert caught.value.code is Code.DERIVATION_FAILED
    assert "none" in caught.value.message
