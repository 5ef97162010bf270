"""Whether a file is refused by the results of its expectations."""

import pytest

from include.errors import Code
from include.ingestion.audit import judge
from include.ingestion.records import FileRefusedError, QualityResult

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
