"""The task of the DAG that checks the warehouse."""

from __future__ import annotations

from airflow.sdk import task

from include.errors import in_stage
from include.orchestration.alerts import alert_on_critical_checks
from include.orchestration.defaults import no_retry_of_permanent_errors
from include.settings import quality_settings


@task
def check_tables(dataset: str) -> dict[str, int]:
    """Check every table, or only the one of `dataset`; write results and pages; fail if a critical check failed.

    One task checks all tables, because each process needs seconds to import Great Expectations.
    """
    from include.orchestration.catalog import sound_contracts
    from include.orchestration.stores import lake_config, s3_config, warehouse_transform_config
    from include.quality.check import CheckedStores, check_warehouse
    from include.quality.marts import MARTS

    contracts = [contract for contract in sound_contracts() if dataset in {"", contract.dataset}]
    with alert_on_critical_checks(), no_retry_of_permanent_errors(), in_stage("quality"):
        reports = check_warehouse(
            contracts,
            CheckedStores(warehouse_transform_config(), lake_config()),
            s3_config(),
            quality_settings(),
            marts=() if dataset else MARTS,
        )
    return {
        "tables": len(reports),
        "checks": sum(len(report.results) for report in reports),
        "warnings": sum(report.counts["warnings"] for report in reports),
    }
