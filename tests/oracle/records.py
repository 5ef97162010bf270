"""A file as names and records: what each reader of the oracle gives.

What belongs here: these types. What does not: reading (`readers`), what a value is (`values`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.errors import Code
    from tests.oracle.documents import Raw
    from tests.oracle.verdict import Value


@dataclass(frozen=True)
class Record:
    """One record: its cells by the header's names, or why it is refused."""

    row: int
    line: int | None
    cells: Mapping[str, Raw] = field(default_factory=dict)
    code: Code | None = None
    key: str | None = None


@dataclass(frozen=True)
class Source:
    """A file as names and records. Names may be duplicate: `judge` refuses them.

    Records of a nested file have columns at paths, and so do those of a columnar one; those of a keyed file have keys.
    `folders` are the values of the columns that come from the file's key.
    """

    header: tuple[str, ...]
    records: tuple[Record, ...]
    is_table: bool = False
    is_nested: bool = False
    is_columnar: bool = False
    is_keyed: bool = False
    folders: Mapping[str, Value] = field(default_factory=dict)
