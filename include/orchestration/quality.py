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

    from include.contracts.model import Contract
    from include.quality.marts import Mart


@task
def check_tables(dataset: str) -> dict[str, int]:
    """Check every table, or only the one of `dataset`; write results and pages; fail if a critical check failed.

    One task checks all tables, because each process needs seconds to import Great Expectations.
    """
    from include.orchestration.catalog import sound_contracts
    from include.quality.marts import MARTS

    contracts = [contract for contract in sound_contracts() if dataset in {"", contract.dataset}]
    return _check(contracts, () if dataset else MARTS, has_pages=True)


@task
def check_live_tables() -> dict[str, int]:
    """Check the tables of the live sources and their marts; write results; fail if a critical check failed."""
    from include.orchestration.catalog import sound_contracts
    from include.quality.marts import LIVE_MARTS

    live = {mart.dataset for mart in LIVE_MARTS}
    contracts = [contract for contract in sound_contracts() if contract.dataset in live]
    return _check(contracts, LIVE_MARTS, has_pages=False)


def _check(contracts: Sequence[Contract], marts: Sequence[Mart], *, has_pages: bool) -> dict[str, int]:
    from include.orchestration.stores import lake_config, s3_config, warehouse_transform_config
    from include.quality.check import CheckedStores, check_warehouse

    with alert_on_critical_checks(), no_retry_of_permanent_errors(), in_stage("quality"):
        reports = check_warehouse(
            contracts,
            CheckedStores(warehouse_transform_config(), lake_config() if has_pages else None),
            s3_config() if has_pages else None,
            quality_settings(),
            marts=marts,
        )
    names = ("checks", "passed", "skipped", "warnings")
    return {"tables": len(reports)} | {name: sum(report.counts[name] for report in reports) for name in names}
