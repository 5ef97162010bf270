"""Columns from the folders of the object's key: values, refusals, and what they mean for a file's identity."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from include.contracts.model import Cleaning, Column, ColumnType, Contract
from include.errors import Code, Stage
from include.ingestion.attempt import Attempt
from include.ingestion.partitions import content_identity, with_partition_values
from include.ingestion.records import FileEntry, FileRefusedError, FileStatus
from include.settings import IngestSettings

pytestmark = pytest.mark.unit

ID = Column("id", ColumnType.TEXT, required=True)
DT = Column("dt", ColumnType.DATE, required=True, partition="dt")
REGION = Column("region", ColumnType.TEXT, partition="Region", cleaning=(Cleaning.TRIM, Cleaning.LOWER))
NUMBER = Column("no", ColumnType.INTEGER, partition="no", minimum="0")


@pytest.fixture
def read(tmp_path: Path, contract_of: Callable[..., Contract]) -> Callable[..., Contract]:
    """The contract with the values of a key."""

    def contract(object_key: str, *columns: Column, **options: object) -> Contract:
        entry = FileEntry(1, "things", "landing", object_key, "etag", 1, FileStatus.CLAIMED, Stage.VALIDATE, 1)
        attempt = Attempt(contract_of(ID, *columns, **options), entry, tmp_path, IngestSettings(), None)  # type: ignore[arg-type]
        return with_partition_values(attempt).contract

    return contract


def test_values_of_folders_become_columns(stages, read) -> None:
    contract = read("incoming/things/dt=2026-11-28/Region=%20North%2FEast/no=07/a.csv", DT, REGION, NUMBER,
                    key=("dt", "id"))  # fmt: skip
    rows = stages.rows(contract, b"id\n1\n2\n")
    assert [(row["id"], row["dt"], row["region"], row["no"]) for row in rows] == [
        ("1", date(2026, 11, 28), "north/east", 7),
        ("2", date(2026, 11, 28), "north/east", 7),
    ]


@pytest.mark.parametrize("value", ["__HIVE_DEFAULT_PARTITION__", ""])
def test_the_null_of_hive_is_null(stages, read, value: str) -> None:
    columns = (replace(DT, required=False), REGION, NUMBER)
    contract = read(f"incoming/things/dt={value}/Region={value}/no={value}/a.csv", *columns)
    (row,) = stages.rows(contract, b"id\n1\n")
    assert (row["dt"], row["region"], row["no"]) == (None, None, None)


REFUSED = {
    "no-such-day": ("dt=2026-13-99/", DT, "2026-13-99"),
    "null-of-a-required-column": ("dt=__HIVE_DEFAULT_PARTITION__/", DT, "required"),
    "below-the-minimum": ("no=-1/", NUMBER, "out of range"),
    "missing": ("", DT, "no folder dt="),
    "other-case": ("DT=2026-11-28/", DT, "no folder dt="),
    "only-in-the-name": ("x/dt=2026-11-28", DT, "no folder dt="),
    "twice": ("dt=2026-11-28/dt=2026-11-29/", DT, "more than once"),
    "not-utf-8": ("Region=%ff/", REGION, "not UTF-8"),
    "nul": ("Region=a%00b/", REGION, "NUL"),
    "quote": ("no='1'/", NUMBER, "whole number"),
}


@pytest.mark.parametrize(("folders", "column", "words"), REFUSED.values(), ids=list(REFUSED))
def test_a_folder_that_does_not_fit_refuses_the_file(read, folders: str, column: Column, words: str) -> None:
    with pytest.raises(FileRefusedError) as caught:
        read(f"incoming/things/{folders}", column)
    assert (caught.value.code, words in caught.value.message) == (Code.BAD_PARTITION, True), caught.value.message


def test_values_are_quoted(stages, read) -> None:
    contract = read("incoming/things/Region=x') OR ('1'='1/a.csv", replace(REGION, cleaning=()))
    assert [row["region"] for row in stages.rows(contract, b"id\n1\n")] == ["x') OR ('1'='1"]


def test_formats_hold_for_folders(stages, read) -> None:
    contract = read("incoming/things/dt=20261128/a.csv", replace(DT, formats=("%Y%m%d",)))
    assert [row["dt"] for row in stages.rows(contract, b"id\n1\n")] == [date(2026, 11, 28)]


def test_equal_bytes_in_two_folders_are_two_files(stages, read) -> None:
    first, other, again = (
        read(f"incoming/things/dt={day}/{name}", DT)
        for day, name in (("2026-11-28", "a"), ("2026-11-29", "a"), ("2026-11-28", "b"))
    )
    hashes = [stages.validate(contract, b"id\n1\n").sha256 for contract in (first, other, again)]
    assert hashes[0] != hashes[1]
    assert hashes[0] == hashes[2]


@pytest.mark.parametrize(
    ("column", "folders"),
    [(REGION, ("Region=North", "Region=north", "Region=%20North")), (NUMBER, ("no=7", "no=07"))],
    ids=["cleaned-text", "number"],
)
def test_folders_of_one_value_are_two_files(read, column: Column, folders: tuple[str, ...]) -> None:
    hashes = {content_identity(read(f"incoming/things/{folder}/a.csv", column), "abc") for folder in folders}
    assert len(hashes) == len(folders)
    encoded = folders[0].replace("=N", "=%4E").replace("=7", "=%37")
    assert content_identity(read(f"incoming/things/{encoded}/a.csv", column), "abc") in hashes


def test_without_partition_columns_the_content_alone_is_the_identity(read) -> None:
    contract = read("incoming/things/dt=2026-11-28/a.csv")
    assert contract.columns == (ID,)
    assert content_identity(contract, "abc") == "abc"


def test_a_column_of_that_name_in_the_file_is_an_unknown_column(stages, read) -> None:
    contract = read("incoming/things/dt=2026-11-28/a.csv", DT)
    (row,) = stages.rows(contract, b"id,dt\n1,1999-01-01\n")
    assert (row["dt"], row["_rescued"]) == (date(2026, 11, 28), '{"dt":"1999-01-01"}')
