"""A data contract as the pipeline uses it: typed, frozen, complete.

What belongs here: the fields of a compiled contract and what follows from them alone (PostgreSQL types, column
lists). What does not: reading YAML (`reader`), drafting one (`include.ingestion.drafting`), processing data.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from include.contracts.dialect import Dialect
from include.contracts.drift import Drift  # noqa: TC001 (`codec` reads it as a name of this module)
from include.contracts.number_format import NumberFormat
from include.contracts.paths import path_steps
from include.contracts.types import ColumnType as ColumnType  # noqa: PLC0414, TC001 (a name of the model; `codec` reads it)

if TYPE_CHECKING:
    from pathlib import Path

# The key of rows that have none of their own: each is inserted, and none replaces another.
APPEND_KEY = ("_file_id", "_source_row")
# The share of the table's rows that a snapshot may delete, unless the contract says otherwise.
MAX_DELETE_SHARE = 0.1


class UnknownColumns(StrEnum):
    """What happens to columns of a file that the contract does not name."""

    REJECT = "reject"
    IGNORE = "ignore"
    RESCUE = "rescue"
    EVOLVE = "evolve"


class ContractStatus(StrEnum):
    """The states of a contract in the standard. A draft and a proposal make no DAG; `retired` is refused."""

    PROPOSED = "proposed"
    DRAFT = "draft"
    ACTIVE = "active"
    DEPRECATED = "deprecated"


class OnDuplicate(StrEnum):
    """What happens to rows of one file that have the same key and different values, none of them newer."""

    REFUSE = "refuse"
    LAST_WINS = "lastWins"


class Mode(StrEnum):
    """What a file is to the table: rows to merge into it, or all the rows that it should have."""

    MERGE = "merge"
    SNAPSHOT = "snapshot"


class Deletes(StrEnum):
    """What happens to rows that are deleted at their source: removed from the table, or marked in `_deleted_at`."""

    HARD = "hard"
    SOFT = "soft"


class Severity(StrEnum):
    """What a failed expectation means: critical stops the file, the others are reported. Great Expectations' own."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Cleaning(StrEnum):
    """Steps that clean a text value, applied in the order of the contract."""

    TRIM = "trim"
    COLLAPSE_SPACES = "collapse-spaces"
    LOWER = "lower"
    UPPER = "upper"
    EMPTY_TO_NULL = "empty-to-null"


class Enrichment(StrEnum):
    """The systems that can give a column its values."""

    TRANSACTION_CATEGORY = "transaction-category"


@dataclass(frozen=True)
class Column:
    """One column of a dataset.

    `minimum` and `maximum` hold for numbers, dates and timestamps, as ISO text or number text, inclusive unless
    the exclusive flag is set. `pattern` must match the whole text value. `formats` are accepted beside ISO 8601: those
    of strptime, and numbers since 1970 (`date_formats`). A column with a `path` is found in nested data by that path,
    not by its name; with `source_names` too, by its names where the path leads nowhere. A `derived` column is not read
    from the file: it is a DuckDB expression over the others. An `enriched` column is not read either: another system
    gives its values. `partition` names the folder of the object's key that gives a column its value. `source_names` are
    names that files may have for it beside its own. `true_words` and `false_words` are added to the usual ones.
    `numbers` is how the cells of a text table write its numbers; only a reader of such a table sets it. `sample` is a
    DuckDB expression too; only the sample generator uses it, to write values that obey the row rules.
    """

    name: str
    type: ColumnType
    description: str = ""
    required: bool = False
    precision: int = 18
    scale: int = 2
    min_length: int | None = None
    max_length: int | None = None
    minimum: str | None = None
    maximum: str | None = None
    exclusive_minimum: bool = False
    exclusive_maximum: bool = False
    pattern: str | None = None
    allowed: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    cleaning: tuple[Cleaning, ...] = ()
    path: str | None = None
    derived: str | None = None
    enriched: Enrichment | None = None
    partition: str | None = None
    examples: tuple[str, ...] = ()
    sample: str | None = None
    source_names: tuple[str, ...] = ()
    true_words: tuple[str, ...] = ()
    false_words: tuple[str, ...] = ()
    numbers: NumberFormat = field(default_factory=NumberFormat)

    @property
    def is_sent(self) -> bool:
        """Whether files and messages contain it: neither derived nor enriched, nor taken from a folder."""
        return self.derived is None and self.enriched is None and self.partition is None

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps of its path; none without a path."""
        return path_steps(self.path) if self.path is not None else ()

    @property
    def duckdb_type(self) -> str:
        """The column's type where expressions are evaluated."""
        return self._sized(self.type.duckdb)

    @property
    def bound_type(self) -> str:
        """The DuckDB type of its minimum and maximum."""
        return self._sized(self.type.bound or self.type.duckdb)

    @property
    def carried_type(self) -> str:
        """The column's DuckDB type between the stages, where some types are text."""
        return "VARCHAR" if self.type.is_carried_as_text else self.duckdb_type

    @property
    def postgres_type(self) -> str:
        """The column's type in the warehouse."""
        return self._sized(self.type.postgres)

    @property
    def is_ordered(self) -> bool:
        """Whether values have a natural order that minimum and maximum can bound."""
        return self.type.is_ordered

    def _sized(self, type_name: str) -> str:
        return type_name.format(precision=self.precision, scale=self.scale)


@dataclass(frozen=True)
class RowRule:
    """A condition over the columns of one row, as a DuckDB expression. Null satisfies it, as in a SQL CHECK."""

    name: str
    expression: str
    description: str
    column: str | None = None


@dataclass(frozen=True)
class Expectation:
    """A table-level check by Great Expectations: its type in snake case and its arguments."""

    type: str
    kwargs: tuple[tuple[str, object], ...]
    severity: Severity
    description: str = ""


@dataclass(frozen=True)
class ErrorBudget:
    """How many rejected rows a file may have and still load. Both bounds must hold; the default allows none.

    Without a limit (`errorBudget: none`) only the bad rows are rejected, however many they are.
    """

    rows: int = 0
    share: float = 0.0
    unlimited: bool = False

    def allows(self, rejected: int, read: int) -> bool:
        """Whether `rejected` of `read` rows are within the budget.

        If one bound is zero and the other is not, only the other one applies.
        """
        if rejected == 0 or self.unlimited:
            return True
        if self.rows == 0 and self.share == 0:
            return False
        within_rows = self.rows == 0 or rejected <= self.rows
        within_share = self.share == 0 or Decimal(rejected) <= Decimal(str(self.share)) * read
        return within_rows and within_share

    @property
    def bounds(self) -> str:
        """The bounds in words, such as `10 rows and 5 % of the rows`; empty if there are none."""
        texts = []
        if self.rows:
            texts.append(f"{self.rows:,} row{'s' if self.rows > 1 else ''}")
        if self.share:
            texts.append(f"{percent(self.share)} of the rows")
        return " and ".join(texts)


def percent(share: float) -> str:
    """Return a share from 0 to 1 in percent, with up to four decimals: `12.5 %`."""
    return f"{share:.4%}".rstrip("0%").rstrip(".") + " %"


@dataclass(frozen=True)
class LakeOptions:
    """The table is kept in the lakehouse. `partition_by`: columns, or parts of a time such as `day(sold_at)`."""

    partition_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contract:
    """One dataset: the columns of its files, its rules for rows, and which row of a key wins.

    `deletes` is None where nothing is ever deleted. `max_delete_share` is of the rows in the table, from 0 to 1.
    `min_share_of_usual` is of the rows of the dataset's last files; None where any number of rows is accepted.
    `drift` is None where no distribution is compared.
    """

    dataset: str
    version: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    newest_by: str | None
    path: Path
    owner: str = ""
    row_rules: tuple[RowRule, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    unknown_columns: UnknownColumns = UnknownColumns.RESCUE
    budget: ErrorBudget = ErrorBudget()
    file_patterns: tuple[str, ...] = ()
    freshness_hours: float | None = None
    topic: str | None = None
    status: ContractStatus = ContractStatus.ACTIVE
    on_duplicate: OnDuplicate = OnDuplicate.REFUSE
    mode: Mode = Mode.MERGE
    deletes: Deletes | None = None
    max_delete_share: float = MAX_DELETE_SHARE
    min_share_of_usual: float | None = None
    dialect: Dialect = field(default_factory=Dialect)
    drift: Drift | None = None
    lake: LakeOptions | None = None

    @property
    def is_draft(self) -> bool:
        """Whether the contract waits to be activated: until then it makes no DAG."""
        return self.status in {ContractStatus.DRAFT, ContractStatus.PROPOSED}

    @property
    def loads_in_order(self) -> bool:
        """Whether files must be loaded in the order of writing.

        Either no column decides which row is newer, or a file says which rows do not exist any more.
        """
        return self.is_snapshot or (self.newest_by is None and not self.appends)

    @property
    def appends(self) -> bool:
        """Whether rows have no key of their own: each is inserted, and none is ever replaced."""
        return self.key == APPEND_KEY

    @property
    def is_snapshot(self) -> bool:
        """Whether each file is the whole truth: rows of the table that it lacks are deleted."""
        return self.mode is Mode.SNAPSHOT

    @cached_property
    def key_columns(self) -> tuple[Column, ...]:
        """The columns of the contract that are its key; none if rows are appended."""
        return () if self.appends else tuple(self.by_name[name] for name in self.key)

    @cached_property
    def of_text_table(self) -> Contract:
        """The contract for reading a CSV file, whose cells are written as the dialect says.

        Values of JSON and Parquet are numbers by their own grammar, whatever the dialect is.
        """
        numbers = self.dialect.numbers
        if numbers.is_usual:
            return self
        return replace(self, columns=tuple(replace(column, numbers=numbers) for column in self.columns))

    @cached_property
    def source_columns(self) -> tuple[Column, ...]:
        """The columns that a file must or may contain: all but derived and enriched ones."""
        return tuple(column for column in self.columns if column.is_sent)

    @cached_property
    def enriched(self) -> dict[str, Enrichment]:
        """The columns whose values another system gives, with the enrichment of each."""
        return {column.name: column.enriched for column in self.columns if column.enriched is not None}

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """Columns by name."""
        return {column.name: column for column in self.columns}
