"""The tasks of the DAGs that check the warehouse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import task

from include.errors import in_stage
from include.orchestration.alerts import alert_on_critical_checks
from include.orchestration.defaults import no_retry_of_permanent_errors
from include.settings import quality_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.quality.records import TableReport


@task
def check_tables(dataset: str) -> dict[str, int]:
    """Check every table, or only the one of `dataset`; write results and pages; fail if a critical check failed.

    One task checks all tables, because each process needs seconds to import Great Expectations.
    """
    from include.orchestration.catalog import sound_contracts
    from include.orchestration.stores import s3_config, warehouse_transform_config
    from include.quality.check import check_warehouse
    from include.quality.marts import MARTS

    contracts = [contract for contract in sound_contracts() if dataset in {"", contract.dataset}]
    with alert_on_critical_checks(), no_retry_of_permanent_errors(), in_stage("quality"):
        return _counts(
            check_warehouse(
                contracts,
                warehouse_transform_config(),
                s3_config(),
                quality_settings(),
                marts=() if dataset else MARTS,
            )
        )


@task
def check_live_tables() -> dict[str, int]:
    """Check the tables of the live sources and their marts; write results; fail if a critical check failed."""
    from include.orchestration.catalog import sound_contracts
    from include.orchestration.stores import warehouse_transform_config
    from include.quality.check import check_without_pages
    from include.quality.marts import LIVE_MARTS

    live = {mart.dataset for mart in LIVE_MARTS}
    contracts = [contract for contract in sound_contracts() if contract.dataset in live]
    with alert_on_critical_checks(), no_retry_of_permanent_errors(), in_stage("quality"):
        return _counts(
            check_without_pages(contracts, warehouse_transform_config(), quality_settings(), marts=LIVE_MARTS)
        )


def _counts(reports: Sequence[TableReport]) -> dict[str, int]:
    def total(name: str) -> int:
        return sum(report.counts[name] for report in reports)

    names = ("checks", "passed", "skipped", "warnings")
    return {"tables": len(reports)} | {name: total(name) for name in names}
