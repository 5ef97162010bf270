"""Run checks on a table with Great Expectations, as SQL in the warehouse.

What belongs here: turning checks into results. What does not: choosing checks and judging failures. The library
combines the counts of many expectations into one scan. If one expectation cannot be evaluated, or the scan takes too
long, it runs each expectation separately: then only that one fails, and the timeout applies to each.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from include.errors import Code, RetryableError
from include.quality.records import CheckResult, TableCheck
from include.quality.table_stats import UnreadableTableError
from include.stores.expectations import (
    close_source,
    expected,
    implementation,
    load_library,
    observed,
    raised,
    warehouse_source,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.settings import WarehouseConfig

_MAX_MESSAGE = 300
# PostgreSQL's error messages for a lock that was not granted in time, and for a statement that took too long.
_UNREADABLE = ("lock timeout", "statement timeout")
_DISCONNECTED = ("connection failed", "server closed the connection", "terminating connection", "connection is closed")

Evaluated = tuple[CheckResult, Any]


class Evaluator:
    """Evaluates checks over its own connection. Starting the library takes seconds: use one instance for all tables."""

    def __init__(self, config: WarehouseConfig) -> None:
        self._config = config

    def evaluate(self, checks: list[TableCheck], schema: str, table: str) -> list[Evaluated]:
        """Return the result of each check, in the order of the checks, with the library's own result.

        Raises:
            UnreadableTableError: the table is locked, or a scan takes longer than the statement timeout.
            RetryableError: the warehouse does not respond.
        """
        if not checks:
            return []
        with _translated_errors():
            items = self._validate_all(checks, schema, table)
        return [(_result(check, item), item) for check, item in zip(checks, items, strict=True)]

    def _validate_all(self, checks: list[TableCheck], schema: str, table: str) -> list[Any]:
        batches = self._batches(schema, table)
        try:
            return self._validate(batches, checks)
        finally:
            self._source.delete_asset(batches.data_asset.name)

    def close(self) -> None:
        """Close the connection."""
        if "_source" in self.__dict__:
            close_source(self._source)
            del self.__dict__["_source"]

    @cached_property
    def _source(self) -> Any:
        return warehouse_source(self._config, "quality")

    def _batches(self, schema: str, table: str) -> Any:
        asset = self._source.add_table_asset(f"{schema}.{table}", table_name=table, schema_name=schema)
        return asset.add_batch_definition_whole_table("all")

    def _validate(self, batches: Any, checks: list[TableCheck]) -> list[Any]:
        suite = load_library().ExpectationSuite(name=batches.data_asset.name)
        for index, check in enumerate(checks):
            # The library returns results in its own order; the index assigns each result to its check.
            kwargs = {**dict(check.kwargs), "severity": check.severity.value, "meta": {"index": index}}
            suite.expectations.append(implementation(check.expectation)(**kwargs))
        validation = batches.get_batch().validate(
            suite, result_format={"result_format": "BASIC", "partial_unexpected_count": 0}
        )
        items = sorted(validation.results, key=lambda item: int(item.expectation_config.meta["index"]))
        for item in items:
            _raise_if_table_error(raised(item.exception_info))
        return items


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except (UnreadableTableError, RetryableError):
        raise
    except Exception as error:
        # The library and its driver raise many exception types for a table; only the messages distinguish them.
        _raise_if_table_error(str(error))
        raise


def _raise_if_table_error(message: str) -> None:
    """Raise an error if the message concerns the table or the warehouse, not the expectation."""
    lowered = message.lower()
    if any(words in lowered for words in _UNREADABLE):
        raise UnreadableTableError(_first_line(message))
    if any(words in lowered for words in _DISCONNECTED):
        raise RetryableError(Code.WAREHOUSE_UNAVAILABLE, "The warehouse does not respond.", reason=_first_line(message))


def _result(check: TableCheck, item: Any) -> CheckResult:
    reason = raised(item.exception_info)
    return CheckResult(
        expectation=check.expectation,
        column=check.column,
        severity=check.severity,
        success=bool(item.success) and not reason,
        observed=f"not evaluated: {_first_line(reason)}" if reason else observed(item.result),
        expected=expected(dict(check.kwargs)) or "holds",
        remedy=check.remedy,
    )


def _first_line(message: str) -> str:
    return message.strip().partition("\n")[0][:_MAX_MESSAGE]
