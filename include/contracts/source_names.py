"""Which column of a contract a name in a file stands for: by the column's own name, or by a `sourceName`.

What belongs here: matching one name. What does not: a file's header as a whole (`include.ingestion.header`).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.contracts.column_names import avro_name, matching, table_column

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from include.contracts.model import Column


def exact(name: str) -> str:
    """A source name as it is compared: every character counts, only spaces at its ends and the form of Unicode do not.

    A byte order mark before it is that of its file.
    """
    return unicodedata.normalize("NFC", name.strip("\ufeff").strip())


@dataclass(frozen=True)
class SourceNames:
    """The columns of a contract by the names that files may give them.

    `by_source` has the source names, as `exact` gives them; they come first. `by_name` has the columns' own names and
    those that Avro gives them, in their normalised form.
    """

    by_source: Mapping[str, str]
    by_name: Mapping[str, str]

    @classmethod
    def of(cls, columns: Iterable[Column], placed: Container[str] = ()) -> SourceNames:
        """The names of these columns that files contain. Those of `placed` are left out."""
        sent = [column for column in columns if column.is_sent and column.name not in placed]
        by_avro = {matching(avro_name(column.name)): column.name for column in sent if not column.name.isascii()}
        by_source = {exact(alias): column.name for column in sent for alias in column.source_names}
        return cls(by_source, by_avro | {matching(column.name): column.name for column in sent})

    def header_of(self, column: Column) -> str:
        """A name that files may give a column: its own, unless that is a source name of another column."""
        return column.name if self.column_of(column.name) == column.name else column.source_names[0]

    def column_of(self, header: str) -> str | None:
        """The contract's column that a header names: by a source name, by its letters, or by the name of a draft."""
        if self.by_source and (name := self.by_source.get(exact(header))) is not None:
            return name
        name = self.by_name.get(matching(header))
        return name if name is not None else self.by_name.get(matching(table_column(header)))
