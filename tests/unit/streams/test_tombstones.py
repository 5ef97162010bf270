"""Messages without a value: which row their key names, and which of a batch's deletes apply."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from include.contracts.model import Cleaning, Column, ColumnType, Contract, Deletes, ErrorBudget, OnDuplicate
from include.ingestion.attempt import Attempt
from include.ingestion.records import FileEntry, FileFormat, FileStatus, Layout, SpooledFile, Validated
from include.ingestion.validate import validate
from include.settings import IngestSettings
from include.streams.messages import Message
from include.streams.tombstones import key_texts, write_deleted_keys

pytestmark = pytest.mark.unit

ID = Column("id", ColumnType.TEXT, required=True, cleaning=(Cleaning.TRIM, Cleaning.LOWER))
SHOP = Column("shop", ColumnType.INTEGER, required=True)
NOTE = Column("note", ColumnType.TEXT)
AT = Column("at", ColumnType.INTEGER)


def contract_of(*key: str, **options: Any) -> Contract:
    defaults: dict[str, Any] = {
        "dataset": "things",
        "version": "1.0.0",
        "description": "",
        "columns": (ID, SHOP, NOTE, AT),
        "key": key or ("id",),
        "newest_by": None,
        "path": Path("things.yaml"),
        "budget": ErrorBudget(share=1.0),
        "topic": "things",
        "deletes": Deletes.HARD,
        "on_duplicate": OnDuplicate.LAST_WINS,
    }
    return Contract(**defaults | options)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        pytest.param(b"a1", "a1", id="text"),
        pytest.param(b" A1 ", " A1 ", id="text is not changed"),
        pytest.param(b'{"id": "a1"}', "a1", id="object"),
        pytest.param(b'{"ID": "a1"}', "a1", id="name in another case"),
        pytest.param(b'{"id": 1.50}', "1.50", id="number with its digits"),
        pytest.param(b'{"id": 12345678901234567890}', "12345678901234567890", id="large number"),
        pytest.param("é".encode(), "é", id="beyond ASCII"),
        pytest.param(b'"a1"', '"a1"', id="quotes are part of a text"),
        pytest.param(b"{broken", "{broken", id="no object"),
        pytest.param(b"[1]", "[1]", id="array is a text"),
    ],
)
def test_key_of_one_column_is_its_text_or_an_object(key: bytes, text: str) -> None:
    assert key_texts(contract_of("id"), key) == {"id": text}


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(None, id="no key"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff", id="not UTF-8"),
        pytest.param(b'{"id": null}', id="null"),
        pytest.param(b'{"id": ""}', id="empty text"),
        pytest.param(b'{"id": true}', id="truth value"),
        pytest.param(b'{"id": {"id": "a"}}', id="nested"),
        pytest.param(b'{"id": ["a"]}', id="array"),
        pytest.param(b'{"id": "a", "shop": 1}', id="more than the key"),
        pytest.param(b'{"shop": 1}', id="another column"),
        pytest.param(b"{}", id="empty object"),
        pytest.param(b'{"id": "a", "id": "b"}', id="a name twice"),
        pytest.param(b'{"id": "a", "ID": "b"}', id="a name twice in other letters"),
        pytest.param(b"[" * 100_000, id="deep"),
    ],
)
def test_other_keys_name_no_row(key: bytes | None) -> None:
    found = key_texts(contract_of("id"), key)
    assert found == ({"id": "[" * 100_000} if key == b"[" * 100_000 else {})


def test_key_of_several_columns_is_an_object() -> None:
    contract = contract_of("shop", "id")

    assert key_texts(contract, b'{"id": "a", "shop": 7}') == {"id": "a", "shop": "7"}
    assert key_texts(contract, b"a") == {}
    assert key_texts(contract, b'{"id": "a"}') == {}


def deep() -> bytes:
    return b'{"id": ' * 100_000


def test_deep_object_is_no_key() -> None:
    assert key_texts(contract_of("shop", "id"), deep()) == {}


# --- which deletes apply


def messages(*pairs: tuple[object, object]) -> list[Message]:
    """Messages of (key, row): a row of None is a delete."""
    return [
        Message("things", 0, at, 1_000 + at, str(key).encode(), None if row is None else json.dumps(row).encode())
        for at, (key, row) in enumerate(pairs)
    ]


class NoStores:
    """Stores of which no content was loaded before."""

    ledger: Any

    def __init__(self) -> None:
        self.ledger = self

    def find_duplicate(self, *_: object, **__: object) -> None:
        """No content was loaded before."""


def validated(folder: Path, contract: Contract, batch: list[Message]) -> Validated:
    raw, deletes = folder / "raw", folder / "deletes.parquet"
    lines = [message.value for message in batch if message.value is not None]
    raw.write_bytes(b"\n".join([*lines, b""]))
    has_deletes = write_deleted_keys(contract, batch, deletes)
    entry = FileEntry(7, "things", "", "things[0] 0-9", "", 1, FileStatus.CLAIMED, "validate", 1)  # type: ignore[arg-type]
    attempt = Attempt(contract, entry, folder, IngestSettings(), NoStores())  # type: ignore[arg-type]
    spooled = SpooledFile(
        raw, "hash", 1, layout=Layout(FileFormat.NDJSON), records_alone=True, deletes=deletes if has_deletes else None
    )
    return validate(attempt, spooled)


def deleted(result: Validated) -> set[tuple[object, ...]]:
    assert result.deleted_keys is not None
    return {tuple(row.values()) for row in pq.read_table(result.deleted_keys.path).to_pylist()}


def row(name: str, note: str = "x", **more: object) -> dict[str, object]:
    return {"id": name, "shop": 1, "note": note, **more}


def test_delete_after_the_row_of_its_key_applies(tmp_path: Path) -> None:
    result = validated(tmp_path, contract_of(), messages(("a", row("a")), ("a", None), ("b", row("b"))))

    assert deleted(result) == {("a",)}
    assert result.rows_read == 2


def test_delete_before_the_row_of_its_key_is_superseded(tmp_path: Path) -> None:
    result = validated(tmp_path, contract_of(), messages(("a", row("a")), ("a", None), ("a", row("a", "new"))))

    assert deleted(result) == set()
    assert result.deleted_keys is not None
    assert result.deleted_keys.ignored == 0


def test_row_after_the_delete_counts_also_if_a_newer_one_was_before(tmp_path: Path) -> None:
    batch = messages(("a", row("a", at=9)), ("a", None), ("a", row("a", at=1)))

    assert deleted(validated(tmp_path, contract_of(newest_by="at"), batch)) == set()


def test_refused_row_after_the_delete_leaves_it(tmp_path: Path) -> None:
    batch = messages(("a", None), ("a", {"id": "a", "shop": "none"}), ("b", row("b")))

    assert deleted(validated(tmp_path, contract_of(), batch)) == {("a",)}


def test_last_delete_of_a_key_counts(tmp_path: Path) -> None:
    batch = messages(("a", None), ("a", row("a")), ("a", None))

    assert deleted(validated(tmp_path, contract_of(), batch)) == {("a",)}


def test_keys_are_cleaned_and_typed_as_those_of_rows(tmp_path: Path) -> None:
    contract = contract_of("id", "shop")
    batch = messages(
        ('{"id": " A ", "shop": "7"}', None), ('{"id": "b", "shop": 1.0}', None), ('{"id": "a", "shop": 7}', None)
    )

    result = validated(tmp_path, contract, batch)

    assert deleted(result) == {("a", 7), ("b", 1)}


@pytest.mark.parametrize("shop", ["x", 1.5, "1e99", "", None, 2**70])
def test_key_that_no_row_can_have_is_ignored(tmp_path: Path, shop: object) -> None:
    batch = messages((json.dumps({"id": "a", "shop": shop}), None), ("b", row("b")))

    result = validated(tmp_path, contract_of("id", "shop"), batch)

    assert deleted(result) == set()
    assert result.deleted_keys is not None
    assert result.deleted_keys.ignored == 1


def test_nul_in_a_key_is_ignored(tmp_path: Path) -> None:
    result = validated(tmp_path, contract_of(), messages(("a\0", None), ("b", row("b"))))

    assert deleted(result) == set()


def test_batch_of_deletes_alone_has_no_row(tmp_path: Path) -> None:
    result = validated(tmp_path, contract_of(), messages(("a", None), ("b", None)))

    assert deleted(result) == {("a",), ("b",)}
    assert (result.rows_read, result.path.exists()) == (0, True)


def test_batch_without_deletes_has_no_keys(tmp_path: Path) -> None:
    assert validated(tmp_path, contract_of(), messages(("a", row("a")))).deleted_keys is None
