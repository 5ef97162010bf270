"""Object keys that the pipeline makes of partners' file names: within the length limit, and distinct."""

import pytest

from include.errors import Stage
from include.ingestion.object_keys import MAX_KEY_BYTES, REJECTS, REPORT, incoming_key, settled_key, without_nul
from include.ingestion.records import FileEntry, FileStatus

pytestmark = pytest.mark.unit

DATASET = "d" * 50
ENDINGS = {
    "letters": "x" * 1_000,
    "four bytes a sign": "😀" * 250,
    "combining": "u\u0308" * 330,
    "odd": "é" * 499 + "a",
}


def entry(name: str, status: FileStatus) -> FileEntry:
    key = f"incoming/{DATASET}/{name}"
    return FileEntry(2**62, DATASET, "landing", key, "etag", 1, status, Stage.VALIDATE, 1)


@pytest.mark.parametrize("status", [FileStatus.LOADED, FileStatus.PROCESSING_FAILED, FileStatus.VALIDATION_FAILED])
@pytest.mark.parametrize("name", ENDINGS.values(), ids=list(ENDINGS))
def test_settled_key_and_its_companions_are_within_the_length_limit(name: str, status: FileStatus) -> None:
    key = settled_key(entry(name + ".csv.gz", status))
    assert max(len((key + companion).encode()) for companion in ("", REPORT, REJECTS)) <= MAX_KEY_BYTES
    assert key.endswith(".csv.gz")
    assert key != settled_key(entry(name[:-1] + "y.csv.gz", status))
    assert key.count("/") == settled_key(entry("short.csv", status)).count("/")


def test_settled_key_keeps_a_name_that_fits() -> None:
    assert settled_key(entry("a\u202eb 1.csv", FileStatus.LOADED)) == f"processed/{DATASET}/{2**62}/a\u202eb 1.csv"


def test_incoming_keys_of_two_long_names_fit_and_differ() -> None:
    first, second = (incoming_key(DATASET, "x" * 1_014 + letter + "." * 40) for letter in "ab")
    assert len(first.encode()) <= MAX_KEY_BYTES
    assert first != second
    assert incoming_key("sales", "a.csv") == "incoming/sales/a.csv"


@pytest.mark.parametrize("name", ["a\0b.csv", "\0" * 1_000, "x\0/" * 300 + "b.csv"], ids=["short", "name", "folders"])
def test_key_without_nul_fits_and_stays_in_its_folder(name: str) -> None:
    key = without_nul(f"incoming/{DATASET}/{name}")
    assert "\0" not in key
    assert key.startswith(f"incoming/{DATASET}/")
    assert len(key.encode()) <= MAX_KEY_BYTES


def test_key_without_nul_shows_where_it_was() -> None:
    assert without_nul("incoming/sales/a\0b.csv") == "incoming/sales/a␀b.csv"
