"""Runs checks on a table by Great Expectations, in SQL, where the rows lie.

What belongs here: from checks to results. What does not: which checks, and what a failure means. The library bundles
the counts of many expectations into one scan. Where one of them cannot be evaluated, or the scan takes too long, it
asks for each alone: so that one fails alone, and the timeout holds for each of them.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from include.errors import Code, RetryableError
from include.quality.facts import UnreadableTableError
from include.quality.records import Check, CheckResult
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

_SHOWN = 300
# PostgreSQL's words for a lock that is not had in time, and for a statement that takes too long.
_UNREADABLE = ("lock timeout", "statement timeout")
_LOST = ("connection failed", "server closed the connection", "terminating connection", "connection is closed")

Evaluated = tuple[CheckResult, Any]


class Evaluator:
    """Evaluates checks over a connection of its own. Waking the library takes seconds: one serves all tables."""

    def __init__(self, config: WarehouseConfig) -> None:
        self._config = config

    def evaluate(self, checks: list[Check], schema: str, table: str) -> list[Evaluated]:
        """What each check saw, in the checks' order, with the library's own result.

        Raises:
            UnreadableTableError: the table is locked, or a scan takes longer than the statement timeout.
            RetryableError: the warehouse does not answer.
        """
        if not checks:
            return []
        with _translated():
            items = self._validate_all(checks, schema, table)
        return [(_result(check, item), item) for check, item in zip(checks, items, strict=True)]

    def _validate_all(self, checks: list[Check], schema: str, table: str) -> list[Any]:
        batches = self._batches(schema, table)
        try:
            return self._validate(batches, checks)
        finally:
            self._source.delete_asset(batches.data_asset.name)

    def close(self) -> None:
        """Give up the connection."""
        if "_source" in self.__dict__:
            close_source(self._source)
            del self.__dict__["_source"]

    @cached_property
    def _source(self) -> Any:
        return warehouse_source(self._config, "quality")

    def _batches(self, schema: str, table: str) -> Any:
        asset = self._source.add_table_asset(f"{schema}.{table}", table_name=table, schema_name=schema)
        return asset.add_batch_definition_whole_table("all")

    def _validate(self, batches: Any, checks: list[Check]) -> list[Any]:
        suite = load_library().ExpectationSuite(name=batches.data_asset.name)
        for place, check in enumerate(checks):
            # The library answers in an order of its own; the place finds the check again.
            kwargs = {**dict(check.kwargs), "severity": check.severity.value, "meta": {"place": place}}
            suite.expectations.append(implementation(check.expectation)(**kwargs))
        answer = batches.get_batch().validate(
            suite, result_format={"result_format": "BASIC", "partial_unexpected_count": 0}
        )
        items = sorted(answer.results, key=lambda item: int(item.expectation_config.meta["place"]))
        for item in items:
            _complain_of(raised(item.exception_info))
        return items


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (UnreadableTableError, RetryableError):
        raise
    except Exception as error:
        # The library and its driver raise many types on the way to a table; only the words tell them apart.
        _complain_of(str(error))
        raise


def _complain_of(message: str) -> None:
    """Raise what concerns the table or the warehouse, and not the expectation."""
    low = message.lower()
    if any(words in low for words in _UNREADABLE):
        raise UnreadableTableError(_first_line(message))
    if any(words in low for words in _LOST):
        raise RetryableError(
            "quality", Code.WAREHOUSE_UNAVAILABLE, "The warehouse does not answer.", detail=_first_line(message)
        )


def _result(check: Check, item: Any) -> CheckResult:
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
    return message.strip().partition("\n")[0][:_SHOWN]
