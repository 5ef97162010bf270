"""The reference on the members of archives, checked with written cases."""

import gzip
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from include.contracts.dialect import Dialect
from include.contracts.model import Column, ColumnType, Contract
from include.errors import Code
from tests.archive_files import entry, tarred, zipped, zipped_link
from tests.oracle.archives import judge_archive
from tests.oracle.table import Table
from tests.oracle.verdict import Counts
from tests.workbook_files import table

pytestmark = pytest.mark.unit

ID = Column("id", ColumnType.INTEGER, required=True)
DT = Column("dt", ColumnType.TEXT, required=True, partition="dt")
THINGS = Contract("things", "1", "", (ID,), ("id",), None, Path("things.yaml"))
ONE, TWO = b"id\n1\n", b"id\n2\n"


def codes(body: bytes, contract: Contract = THINGS) -> list[tuple[str, Code | None]]:
    archive = judge_archive(contract, body, "a.zip")
    assert archive is not None
    return [(path, verdict.code) for path, verdict in archive.members]


@pytest.mark.parametrize("pack", [zipped, tarred, lambda *members: gzip.compress(tarred(*members))])
def test_reference_judges_members_in_the_order_of_their_paths(pack) -> None:
    found = codes(
        pack(("b.csv", ONE), ("./a\\c.csv", b"x\n1\n"), ("../b.csv", ONE), ("b.csv", TWO), (".DS_Store", b""))
    )
    assert found == [
        ("../b.csv", Code.UNSAFE_MEMBER_NAME),
        ("a/c.csv", Code.MISSING_COLUMNS),
        ("b.csv", None),
        ("b.csv", Code.DUPLICATE_MEMBER),
    ]


def test_reference_refuses_links_and_archives_inside() -> None:
    assert codes(zipped_link("a.csv", "b.csv")) == [("a.csv", Code.ARCHIVE_LINK)]
    assert codes(tarred(entry("a.csv", tarfile.SYMTYPE, "b.csv"))) == [("a.csv", Code.ARCHIVE_LINK)]
    assert codes(zipped(("a.zip", zipped(("b.csv", ONE))))) == [("a.zip", Code.NESTED_ARCHIVE)]
    assert codes(zipped(("a.xlsx", table([["id"], [1]])))) == [("a.xlsx", None)]


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [("*.csv", ["a.csv", "b/c.csv"]), ("b/*", ["b/c.csv", "b/d.txt"]), ("?.txt", ["b/d.txt"]), ("c", [])],
)
def test_reference_takes_the_members_of_the_pattern(pattern: str, paths: list[str]) -> None:
    body = zipped(("a.csv", ONE), ("b/c.csv", ONE), ("b/d.txt", ONE), ("__MACOSX/a.csv", ONE))
    archive = judge_archive(replace(THINGS, dialect=Dialect(member=pattern)), body, "a.zip")
    assert archive is not None
    assert [path for path, _ in archive.members] == paths
    assert archive.code == (None if paths else Code.EMPTY_FILE)


@pytest.mark.parametrize(
    "body",
    [b"", ONE, gzip.compress(ONE), table([["id"], [1]]), b"PK\x03\x04 no zip"],
    ids=["empty", "text", "gzip", "workbook", "a broken archive"],
)
def test_other_files_are_no_archives_of_the_reference(body: bytes) -> None:
    assert judge_archive(THINGS, body, "a.zip") is None


def test_reference_takes_values_from_folders_above_and_inside() -> None:
    contract = replace(THINGS, columns=(ID, DT))
    for key, path in (("dt=x/a.zip", "b.csv"), ("a.zip", "dt=x/b.csv")):
        archive = judge_archive(contract, zipped((path, ONE)), key)
        assert archive is not None
        assert [row.values["dt"] for _, verdict in archive.members for row in verdict.rows] == ["x"]


def test_reference_loads_an_archive_once() -> None:
    contract = replace(THINGS, key=("_file_id", "_source_row"))
    body = zipped(("a.csv", ONE), ("b.csv", ONE), ("c.csv", b""))
    archive = judge_archive(contract, body, "a.zip")
    assert archive is not None
    loaded = Table(contract)
    first, again = loaded.apply_archive(archive), loaded.apply_archive(archive)
    assert [outcome.code for outcome in first] == [None, None, Code.DUPLICATE_CONTENT, Code.EMPTY_FILE]
    assert [outcome.counts for outcome in first[:2]] == [Counts(), Counts(1, 1)]
    assert [outcome.code for outcome in again] == [Code.DUPLICATE_CONTENT]
