"""What a list of results means for a file, and files for which no try is left."""

import logging
from dataclasses import replace

import pytest

from include.errors import Code, RetryableError, Stage
from include.ingestion.audit import judge
from include.ingestion.batch import BatchResult, _give_up
from include.ingestion.records import FileEntry, FileRefusedError, QualityResult, Status

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("severity", "success", "refused"),
    [("critical", True, False), ("critical", False, True), ("warning", False, False), ("info", False, False)],
)
def test_only_a_critical_expectation_that_failed_refuses_a_file(
    contract_of, severity: str, success: bool, refused: bool
) -> None:
    results = [
        QualityResult("expect_one", None, "info", True, "1", "1"),
        QualityResult("expect_two", "id", severity, success, "3 rows", "4 rows"),
    ]
    if not refused:
        judge(contract_of(), results)
        return
    with pytest.raises(FileRefusedError) as caught:
        judge(contract_of(), results)
    assert caught.value.code is Code.EXPECTATION_FAILED
    assert "of things failed: expect_two on id: expected 4 rows, saw 3 rows." in caught.value.message


class Ledger:
    """Three entries of which one is decided; a fourth is not there."""

    def __init__(self) -> None:
        entry = FileEntry(1, "things", "landing", "incoming/x", "etag", 1, Status.CLAIMED, Stage.CLAIM, 2)
        self.entries = {1: entry, 2: replace(entry, file_id=2, status=Status.LOADED), 3: replace(entry, file_id=3)}
        self.failures: list[tuple] = []

    def read(self, file_id: int) -> FileEntry | None:
        return self.entries.get(file_id)

    def failed(self, *what: object) -> None:
        self.failures.append(what)


def test_give_up_ends_what_is_open_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    ledger, result = Ledger(), BatchResult()
    error = RetryableError(Stage.LOAD, Code.WAREHOUSE_UNAVAILABLE, "The warehouse is away.")
    with caplog.at_level(logging.ERROR):
        _give_up([1, 2, 3, 4], error, ledger, result)
    assert [(file_id, attempts, stage, code) for file_id, attempts, stage, code, _ in ledger.failures] == [
        (1, 2, Stage.LOAD, Code.WAREHOUSE_UNAVAILABLE),
        (3, 2, Stage.LOAD, Code.WAREHOUSE_UNAVAILABLE),
    ]
    assert ledger.failures[0][4].endswith("No try was left; reprocess the file.")
    assert result.files == {"refused": 2}
    assert "The warehouse is away." in caplog.text
