"""Evaluates the contract's table-level expectations on the staging table, with Great Expectations, in SQL.

It runs between staging and publishing. No row is read into the worker. The library takes seconds to import, so it is
imported where it is used, and one `Auditor` serves all files of a batch.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

from include.contracts.model import Contract, Severity
from include.errors import Code, RetryableError
from include.ingestion.records import FileRefusedError, QualityResult
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
    from include.settings import WarehouseConfig

_SHOWN = 300


class Auditor:
    """Runs a contract's expectations on staging tables, over a connection of its own."""

    def __init__(self, config: WarehouseConfig) -> None:
        self._config = config
        self._assets: dict[str, tuple[Any, Any]] = {}

    def audit(self, contract: Contract, schema: str, table: str) -> list[QualityResult]:
        """Evaluate each expectation; the results are in the contract's order. `judge` decides what they mean.

        Raises:
            RetryableError: an expectation could not be evaluated.
        """
        if not contract.expectations:
            return []
        batch_definition, suite = self._prepared(contract, schema, table)
        batch_definition.data_asset.table_name = table
        answer = batch_definition.get_batch().validate(
            suite, result_format={"result_format": "BASIC", "partial_unexpected_count": 0}
        )
        return [_result(item) for item in answer.results]

    def _prepared(self, contract: Contract, schema: str, table: str) -> tuple[Any, Any]:
        """The batch definition and suite of the dataset, made once and pointed at one table after the other.

        Each new asset rewrites the library's whole configuration, which takes longer than the audit of a small file.
        """
        if contract.dataset not in self._assets:
            asset = self._source.add_table_asset(contract.dataset, table_name=table, schema_name=schema)
            self._assets[contract.dataset] = (asset.add_batch_definition_whole_table("all"), _suite(contract))
        return self._assets[contract.dataset]

    def close(self) -> None:
        """Close the connection."""
        if "_source" in self.__dict__:
            close_source(self._source)
            del self.__dict__["_source"]
            self._assets.clear()

    @cached_property
    def _source(self) -> Any:
        return warehouse_source(self._config, "ingest-audit")


def judge(contract: Contract, results: list[QualityResult]) -> None:
    """Refuse the file if a critical expectation failed.

    Raises:
        FileRefusedError: a critical expectation failed; nothing may be published.
    """
    failed = [r for r in results if not r.success and r.severity == Severity.CRITICAL]
    if failed:
        listed = "; ".join(
            f"{r.expectation}{f' on {r.column}' if r.column else ''}: expected {r.expected}, saw {r.observed}"
            for r in failed
        )
        raise FileRefusedError.for_code(Code.EXPECTATION_FAILED, dataset=contract.dataset, expectations=listed)


def _suite(contract: Contract) -> Any:
    gx = load_library()
    suite = gx.ExpectationSuite(name=contract.dataset)
    for expectation in contract.expectations:
        kind = implementation(expectation.type)
        suite.add_expectation(kind(**dict(expectation.kwargs), severity=expectation.severity.value))
    return suite


def _result(item: Any) -> QualityResult:
    config = item.expectation_config
    if reason := raised(item.exception_info):
        raise RetryableError(
            Code.EXPECTATION_FAILED,
            "An expectation could not be evaluated.",
            expectation=config.type,
            reason=reason[:_SHOWN],
        )
    return QualityResult(
        expectation=config.type,
        column=config.kwargs.get("column"),
        severity=re.sub(r"^.*\.", "", str(getattr(config.severity, "value", config.severity))),
        success=bool(item.success),
        observed=observed(item.result),
        expected=expected(config.kwargs),
    )
