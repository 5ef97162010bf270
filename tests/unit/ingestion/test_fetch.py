"""Downloading a file to the worker's disk, plain text, batches, and messages."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.contracts.model import Column, ColumnType
from include.errors import Code, RetryableError
from include.ingestion import fetch as fetching
from include.ingestion.claim import batched
from include.ingestion.messages import explain
from include.ingestion.readers.plain_lines import unmarked
from include.ingestion.records import FileFormat, Layout
from include.settings import IngestSettings

pytestmark = pytest.mark.unit


@given(
    chunks=st.lists(st.text(st.sampled_from(list('0xX"\0a')), max_size=3).map(str.encode), max_size=8),
)
@settings(max_examples=150, deadline=None)
def test_spool_finds_special_bytes_across_chunks(tmp_path_factory, chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    spooled = fetching.spool(chunks, tmp_path_factory.mktemp("spool") / "raw")
    assert (spooled.has_nul, spooled.has_quote) == (b"\0" in whole, b'"' in whole)
    assert spooled.has_hex == (b"0x" in whole.lower())
    assert (spooled.size_bytes, spooled.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())
    assert spooled.path.read_bytes() == whole


def test_spool_raises_a_retryable_error_if_the_disk_is_full(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(RetryableError) as caught:
        fetching.spool([b"x" * 100_000], full)
    assert caught.value.code is Code.DISK_FULL


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_plain_text_is_utf_8_without_a_mark(tmp_path: Path, encoding: str) -> None:
    raw = fetching.spool(["id,näme\n".encode(encoding)], tmp_path / "raw")
    layout = Layout(FileFormat.CSV, "none", encoding)
    assert fetching.plain_text(raw, layout, IngestSettings()).path.read_text("utf-8") == "id,näme\n"


def test_unmarked_removes_a_byte_order_mark_only_at_the_start_of_the_file() -> None:
    mark = "\ufeff".encode()
    assert list(unmarked([mark + b"id,name", mark + b"a"])) == [b"id,name", mark + b"a"]


# Batches


@pytest.mark.parametrize(
    ("sizes", "batches"),
    [
        pytest.param([], [], id="none"),
        pytest.param([5], [[0]], id="one"),
        pytest.param([1] * 4, [[0], [1], [2], [3]], id="spread-over-the-workers"),
        pytest.param([1] * 8, [[0, 1], [2, 3], [4, 5], [6, 7]], id="two-each"),
        pytest.param([1] * 20, [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11], [12, 13, 14], [15, 16, 17], [18, 19]],
                     id="bounded-in-files"),
        pytest.param([1, 1, 200, 1, 1, 1, 1, 1], [[0, 1], [2], [3, 4], [5, 6], [7]], id="large-one-alone"),
        pytest.param([60] * 8, [[at] for at in range(8)], id="bounded-in-bytes"),
    ],
)  # fmt: skip
def test_batched_spreads_files_and_bounds_batches(sizes: list[int], batches: list[list[int]]) -> None:
    limits = IngestSettings(batch_max_files=3, batch_max_bytes=100, batches_at_once=4)
    assert batched(list(enumerate(sizes)), limits) == batches


# Messages


@pytest.mark.parametrize(
    ("code", "column", "text", "sentence"),
    [
        (Code.MISSING_VALUE, Column("x", ColumnType.TEXT), None, "x is required and empty."),
        (Code.BAD_DATE, Column("x", ColumnType.DATE, formats=("%d.%m.%Y",)), "1.2", "%d.%m.%Y"),
        (Code.BAD_TIMESTAMP, Column("x", ColumnType.TIMESTAMP), "now", "without an offset"),
        (Code.BAD_TIMESTAMP, Column("x", ColumnType.TIMESTAMPTZ), "now", "offset such as Z"),
        (Code.OUT_OF_RANGE, Column("x", ColumnType.INTEGER, minimum="1", maximum="9"), "0", "at least 1 and at most 9"),
        (Code.OUT_OF_RANGE, Column("x", ColumnType.INTEGER, minimum="1", exclusive_minimum=True), "1", "above 1"),
        (Code.OUT_OF_RANGE, Column("x", ColumnType.INTEGER), "9" * 30, "for bigint"),
        (Code.TOO_LONG, Column("x", ColumnType.TEXT, max_length=3), "y" * 500, "…' has more than 3 characters."),
        (Code.NOT_IN_LIST, Column("x", ColumnType.TEXT, allowed=("a", "b")), "c", "'c' is not one of: a, b."),
    ],
)
def test_explain_says_what_is_wrong_and_what_would_be_right(
    contract_of, code: Code, column: Column, text: str | None, sentence: str
) -> None:
    message = explain(code, contract_of(column), "x", text)
    assert sentence in message
    assert message.endswith(".")
    assert len(message) < 250
