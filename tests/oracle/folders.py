"""Values that columns take from folders of a file's key, as in `dt=2026-11-28/region=North/0.csv`.

What belongs here: from a key to the values. What does not: what a value is (`values`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from include.errors import Code
from tests.oracle.values import BadCell, judged
from tests.oracle.verdict import FileRefused

if TYPE_CHECKING:
    from include.contracts.model import Contract
    from tests.oracle.verdict import Value

NULL = "__HIVE_DEFAULT_PARTITION__"


def folder_texts(contract: Contract, key: str) -> dict[str, str | None]:
    """The text of each column that comes from a folder, by column; None for a null.

    Raises:
        FileRefused: the folder is missing, is there twice, or its value is not UTF-8.
    """
    found: dict[str, str | None] = {}
    folders = [folder.split("=", 1) for folder in key.split("/")[:-1] if "=" in folder]
    for column in contract.columns:
        if column.partition is None:
            continue
        values = [value for name, value in folders if _plain(name).decode("utf-8", "replace") == column.partition]
        if len(values) != 1:
            raise FileRefused(Code.BAD_PARTITION)
        try:
            text = _plain(values[0]).decode()
        except UnicodeDecodeError as error:
            raise FileRefused(Code.BAD_PARTITION) from error
        found[column.name] = None if text in ("", NULL) else text
    return found


def folder_values(contract: Contract, texts: dict[str, str | None]) -> dict[str, Value]:
    """The values of texts, each judged as a cell.

    Raises:
        FileRefused: a text is no value of its column.
    """
    try:
        return {name: judged(contract.by_name[name], text) for name, text in texts.items()}
    except BadCell as bad:
        raise FileRefused(Code.BAD_PARTITION) from bad


def _plain(text: str) -> bytes:
    """The bytes that a percent-encoded text means."""
    return re.sub(rb"%([0-9a-fA-F]{2})", lambda match: bytes.fromhex(match[1].decode()), text.encode())
