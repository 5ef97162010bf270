"""Messages of rejects and errors: on one line, printable, in whole sentences."""

import pytest

from include.contracts.model import Column, ColumnType, RowRule
from include.errors import Code, PermanentError, visible
from include.ingestion.header import map_columns
from include.ingestion.messages import explain, explain_rule
from include.ingestion.records import FileRefusedError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain, ünï cödé", "plain, ünï cödé"),
     ("a\r\nb", r"a\r\nb"), ("1\u00a0000", r"1\xa0000"), ("\x00\x1e", r"\x00\x1e"),
     ("\u202eevil", r"\u202eevil"), ("\U0001f600", "\U0001f600"), ("\U000e0041", r"\U000e0041"), ("", "")],
    ids=ascii,
)  # fmt: skip
def test_visible_writes_out_what_cannot_be_seen(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_explain_stays_on_one_line(contract_of) -> None:
    contract = contract_of(Column("day", ColumnType.DATE))
    message = explain(Code.BAD_DATE, contract, "day", "2024\r\n\x0001")
    assert message == r"'2024\r\n\x0001' is not a date; write YYYY-MM-DD."


def test_explain_lists_the_values_that_a_rule_looks_at(contract_of) -> None:
    contract = contract_of(
        Column("low", ColumnType.INTEGER), Column("high", ColumnType.INTEGER), Column("other", ColumnType.INTEGER),
        row_rules=(RowRule("order", "low <= high", "Low is not above high."),),
    )  # fmt: skip
    message = explain_rule(contract, "order", {"low": 3, "high": 2, "other": 1})
    assert message == "Not so: Low is not above high (order): low = 3, high = 2."


def test_refusal_is_whole_sentences_on_one_line() -> None:
    refusal = FileRefusedError(Code.UNREADABLE_FILE, "No type: \x0e\nline two", "Write it again.")
    assert str(refusal) == r"No type: \x0e\nline two. Write it again."


def test_refusal_for_missing_columns_says_that_there_were_none(contract_of) -> None:
    contract = contract_of(Column("day", ColumnType.DATE, required=True))
    with pytest.raises(FileRefusedError) as refusal:
        map_columns([], contract, 10)
    assert "Required columns are missing: day. The file has: none." in str(refusal.value)


def test_error_of_a_file_is_on_one_line() -> None:
    error = PermanentError(Code.BUCKET_REFUSED, "Refused.", key="a\nINFO all is well\x1b[2J\u202e.csv")
    assert str(error).isprintable()
    assert r"key=a\nINFO" in str(error)
