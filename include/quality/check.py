"""One check of the warehouse from its beginning to its end.

What belongs here: the order: look, write down, tell, show, and only then fail. What does not: any of these itself.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from include.errors import PipelineError
from include.quality.evaluate import Evaluator
from include.quality.facts import Facts
from include.quality.inspection import Inspector
from include.quality.marts import MARTS
from include.quality.publish import KEPT, publish
from include.quality.results import forget_results, read_runs, write_results
from include.quality.summary import stop_at_critical, summary
from include.stores.object_store import ObjectStore
from include.stores.warehouse import connect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.contracts.model import Contract
    from include.quality.marts import Mart
    from include.quality.records import TableReport
    from include.settings import QualitySettings, S3Config, WarehouseConfig

log = logging.getLogger(__name__)

# In seconds. A check that waits long for a lock waits with a lock of its own that others wait for.
_LOCK_TIMEOUT = 10
# Two million rows of sales take two seconds, all their checks together.
_STATEMENT_TIMEOUT = 300


def check_warehouse(
    contracts: Sequence[Contract],
    warehouse: WarehouseConfig,
    s3: S3Config,
    settings: QualitySettings,
    *,
    marts: Sequence[Mart] = MARTS,
) -> list[TableReport]:
    """Check every table, write the results down, log a summary and publish the pages.

    Args:
        contracts: of the datasets that are checked.
        warehouse: as the role `transform`.
        s3: where the bucket of the pages is.
        settings: of the checks.
        marts: tables of analytics that are checked too.

    Raises:
        PermanentError: a critical check failed; results and pages are there.
        RetryableError: the warehouse or the bucket does not answer.
    """
    config = warehouse.model_copy(update={"lock_timeout": _LOCK_TIMEOUT, "statement_timeout": _STATEMENT_TIMEOUT})
    evaluator = Evaluator(config)
    with connect(config) as connection:
        try:
            inspector = Inspector.starting(Facts(connection), evaluator, settings)
            found = [inspector.dataset(contract) for contract in contracts]
            reports = found + [report for mart in marts if (report := inspector.mart(mart)) is not None]
        finally:
            evaluator.close()
        for report in reports:
            write_results(connection, report)
        forget_results(connection, settings.keep_days)
        runs = read_runs(connection, KEPT)
    log.info("Quality of the warehouse\n%s", "\n".join(summary(reports)))
    try:
        pages = publish(reports, runs, ObjectStore(s3), settings.docs_bucket)
        log.info("%s pages in s3://%s, the first is index.html", len(pages), settings.docs_bucket)
    except PipelineError as error:
        # A critical failure must not hide behind a bucket that is away.
        log.error("The pages were not published. %s", error)
        stop_at_critical(reports)
        raise
    stop_at_critical(reports)
    return reports
