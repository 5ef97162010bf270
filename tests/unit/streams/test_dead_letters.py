"""The headers of a dead letter."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from include.errors import Code
from include.streams.dead_letters import DeadLetter, attempts, dead_letter_headers, dead_letter_topic, own_headers
from include.streams.messages import Message

pytestmark = pytest.mark.unit

NOW = datetime(2026, 1, 31, 12, 0, 0, 5000, UTC)
MESSAGE = Message("sales", 1, 42, 1_700_000_000_123, b"k", b"{", (("trace", b"\x00\xff"), ("trace", None)))
LETTER = DeadLetter(MESSAGE, Code.BAD_ROW_JSON, "Not JSON: ü", "validate")


def test_headers_of_the_message_come_before_reason_source_and_time() -> None:
    assert dead_letter_headers(LETTER, NOW) == [
        ("trace", b"\x00\xff"),
        ("trace", None),
        ("dlq-error-code", b"bad-row-json"),
        ("dlq-error-message", "Not JSON: ü".encode()),
        ("dlq-stage", b"validate"),
        ("dlq-source-topic", b"sales"),
        ("dlq-source-partition", b"1"),
        ("dlq-source-offset", b"42"),
        ("dlq-source-timestamp", b"2023-11-14T22:13:20.123Z"),
        ("dlq-failed-at", b"2026-01-31T12:00:00.005Z"),
        ("dlq-attempt", b"1"),
    ]


def test_column_is_named_if_the_reason_is_about_one() -> None:
    assert ("dlq-error-column", b"amount") in dead_letter_headers(replace(LETTER, column="amount"), NOW)


def test_a_second_failure_increases_the_count_and_replaces_the_first_reason() -> None:
    first = dead_letter_headers(LETTER, NOW)
    again = replace(LETTER, message=MESSAGE._replace(offset=43, headers=tuple(first)), code=Code.NOT_AN_OBJECT)
    second = dead_letter_headers(again, NOW)
    names = [name for name, _ in second]
    assert len(names) == len(first)
    assert dict(second)["dlq-attempt"] == b"2"
    assert dict(second)["dlq-error-code"] == b"not-an-object"
    assert dict(second)["dlq-source-offset"] == b"43"
    assert own_headers(second) == list(MESSAGE.headers)


@pytest.mark.parametrize(
    "value", [None, b"", b"x", b"-1", b"1.5", b"\xb2", b"9" * 10, b"9" * 5_000], ids=lambda value: repr(value)[:20]
)
def test_an_attempt_header_that_is_no_number_counts_as_zero(value: bytes | None) -> None:
    assert attempts([("dlq-attempt", value)]) == 0


def test_a_missing_timestamp_is_empty() -> None:
    headers = dead_letter_headers(replace(LETTER, message=MESSAGE._replace(timestamp_ms=-1)), NOW)
    assert dict(headers)["dlq-source-timestamp"] == b""


def test_a_long_text_is_cut() -> None:
    headers = dead_letter_headers(replace(LETTER, text="x" * 100_000), NOW)
    assert len(dict(headers)["dlq-error-message"] or b"") == 2000


def test_topic_of_dead_letters() -> None:
    assert dead_letter_topic("sales") == "sales.dlq"


@pytest.mark.parametrize("sent", [2**48, 2**63 - 1])
def test_a_timestamp_out_of_range_is_shown_as_a_number(sent: int) -> None:
    """Producers choose it: it must not stop the topic."""
    headers = dead_letter_headers(replace(LETTER, message=MESSAGE._replace(timestamp_ms=sent)), NOW)
    assert dict(headers)["dlq-source-timestamp"] == str(sent).encode()
