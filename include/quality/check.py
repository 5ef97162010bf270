"""One complete check of the warehouse.

What belongs here: the order of the steps: run the checks, store the results, log a summary, publish the pages, and only
then fail. What does not: the steps themselves. `inspect_warehouse` has the first two, for who needs no bucket.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.errors import PipelineError
from include.quality.evaluate import Evaluator
from include.quality.inspection import Inspector
from include.quality.lake import add_lake_results, tables_in_lake
from include.quality.marts import MARTS
from include.quality.publish import KEPT, publish
from include.quality.results import CheckRun, purge_results, read_history, read_runs, write_results
from include.quality.summary import stop_at_critical, summary
from include.quality.table_stats import TableStats
from include.stores.object_store import ObjectStore
from include.stores.warehouse import connect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.contracts.model import Contract
    from include.lake.config import LakeConfig
    from include.quality.marts import Mart
    from include.quality.records import TableReport
    from include.settings import QualitySettings, S3Config, WarehouseConfig

log = logging.getLogger(__name__)

# In seconds. Short, because other sessions queue behind a check that waits for a lock.
_LOCK_TIMEOUT = 10
# All checks of two million rows of sales together take two seconds.
_STATEMENT_TIMEOUT = 300


@dataclass(frozen=True)
class CheckedStores:
    """The warehouse with the role `transform`, and the lake, which is reconciled with it if it is given."""

    warehouse: WarehouseConfig
    lake: LakeConfig | None = None


@dataclass(frozen=True)
class Checked:
    """The results of this check of each table, and the last checks of all tables, those of this one included."""

    reports: list[TableReport]
    runs: Sequence[CheckRun]


def check_warehouse(
    contracts: Sequence[Contract],
    stores: CheckedStores,
    s3: S3Config | None,
    settings: QualitySettings,
    *,
    marts: Sequence[Mart] = MARTS,
) -> list[TableReport]:
    """Check every table, store the results, log a summary and publish the pages.

    Args:
        contracts: contracts of the datasets to check.
        stores: what is checked.
        s3: object store of the pages; None: no pages, the next ones show these results, too.
        settings: of the checks.
        marts: tables of analytics to check.

    Raises:
        PermanentError: a critical check failed; results and pages are written.
        RetryableError: the warehouse or the bucket does not respond.
    """
    checked = inspect_warehouse(contracts, stores, settings, marts=marts)
    reports = checked.reports
    log.info("Quality of the warehouse\n%s", "\n".join(summary(reports)))
    try:
        if s3 is not None:
            pages = publish(reports, checked.runs, ObjectStore(s3), settings.docs_bucket)
            log.info("Published %s pages in s3://%s; open index.html", len(pages), settings.docs_bucket)
    except PipelineError as error:
        # An unavailable bucket must not hide a critical failure.
        log.error("The pages were not published. %s", error)
        stop_at_critical(reports)
        raise
    stop_at_critical(reports)
    return reports


def inspect_warehouse(
    contracts: Sequence[Contract], stores: CheckedStores, settings: QualitySettings, *, marts: Sequence[Mart] = ()
) -> Checked:
    """Check every table and store the results. A failed check raises no error.

    Args:
        contracts: contracts of the datasets to check.
        stores: what is checked.
        settings: of the checks.
        marts: tables of analytics to check.

    Raises:
        RetryableError: the warehouse does not respond.
    """
    limits = {"lock_timeout": _LOCK_TIMEOUT, "statement_timeout": _STATEMENT_TIMEOUT}
    config = stores.warehouse.model_copy(update=limits)
    evaluator = Evaluator(config)
    with connect(config) as connection:
        try:
            stats = TableStats(connection)
            inspector = Inspector.starting(stats, evaluator, settings)
            found = [inspector.dataset(contract) for contract in contracts]
            reports = found + [report for mart in marts if (report := inspector.mart(mart)) is not None]
        finally:
            evaluator.close()
        if stores.lake is not None:
            add_lake_results(reports, tables_in_lake(contracts, marts), stores.lake, stats)
        for report in reports:
            write_results(connection, report)
        purge_results(connection, settings.keep_days)
        runs = read_runs(connection, KEPT)
        for report in reports:
            report.history = read_history(connection, report.dataset, runs)
        return Checked(reports, runs)
