"""The tasks that bring the lakehouse up to date and keep it in order."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import AssetAny, AssetOrTimeSchedule, DeltaTriggerTimetable, get_current_context, task

from include.errors import Code, PermanentError, PipelineError, in_stage
from include.orchestration.defaults import no_retry_of_permanent_errors
from include.orchestration.scheduling import marts, rows_of
from include.settings import lake_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.contracts.model import Contract
    from include.lake.tables import LakeTable
    from include.lake.update import TableUpdate

log = logging.getLogger(__name__)

_STAGE = "lake"
# For asset events that were missed while the DAG was paused: each run reads every table once.
_PAUSE = timedelta(hours=1)


def updates_of(contracts: Sequence[Contract]) -> AssetOrTimeSchedule:
    """Return the schedule: an event of a table that is kept in the lake, and every hour."""
    assets = [rows_of(contract.dataset) for contract in contracts if contract.lake is not None]
    return AssetOrTimeSchedule(timetable=DeltaTriggerTimetable(_PAUSE), assets=AssetAny(marts(), *assets))


@task
def update_tables(*, full: str = "") -> dict[str, int]:
    """Update every table of the lake; a table that fails does not stop the others. Return the sums of rows.

    One task updates all tables, because each process needs seconds to load DuckDB's extensions.

    Args:
        full: a template that gives `True` if all rows are to be read and compared.
    """
    from include.lake.connect import open_lake
    from include.lake.update import TableUpdater
    from include.orchestration.catalog import sound_contracts
    from include.orchestration.stores import lake_config, warehouse_ingest_config, warehouse_transform_config

    run_id = str(get_current_context()["run_id"])
    with (
        no_retry_of_permanent_errors(),
        in_stage(_STAGE),
        open_lake(lake_config(), warehouse_transform_config()) as engine,
    ):
        updater = TableUpdater(engine, warehouse_ingest_config(), run_id)
        tables = updater.existing(_tables(sound_contracts()))
        done: list[TableUpdate] = []
        failed: dict[str, PipelineError] = {}
        for table in tables:
            try:
                done.append(updater.update(table, full=full == "True"))
                log.info("%s", done[-1])
            except PipelineError as error:
                failed[table.title] = error
                log.error("%s was not updated. %s", table.title, error)
        _stop_at_failed(failed)
    return {name: sum(getattr(one, name) for one in done) for name in ("inserted", "updated", "deleted", "rows")}


@task
def maintain_files() -> dict[str, int]:
    """Merge small files of the lake, delete snapshots older than LAKE_KEEP_DAYS and the files of them alone."""
    from include.lake.connect import open_lake
    from include.lake.upkeep import maintain_lake
    from include.orchestration.stores import lake_config

    with no_retry_of_permanent_errors(), in_stage(_STAGE), open_lake(lake_config()) as engine:
        done = maintain_lake(engine, lake_settings())
    log.info("Upkeep of the lake: %s", done)
    return done


def _tables(contracts: Sequence[Contract]) -> list[LakeTable]:
    """The tables of contracts with `lake`, and the tables of analytics."""
    from include.lake.tables import LakeTable
    from include.quality.marts import MARTS, SCHEMA

    raw = [LakeTable("raw", one.dataset, one.key, one.lake.partition_by) for one in contracts if one.lake is not None]
    return raw + [LakeTable(SCHEMA, mart.table, mart.key) for mart in MARTS]


def _stop_at_failed(failed: dict[str, PipelineError]) -> None:
    """Raise the errors of all tables as one: permanent if one of them is.

    Raises:
        PipelineError: a table failed.
    """
    if not failed:
        return
    permanent = [error for error in failed.values() if isinstance(error, PermanentError)]
    first = (permanent or list(failed.values()))[0]
    code = first.code if len(failed) == 1 else Code.INTERNAL if permanent else first.code
    text = "; ".join(f"{name}: {error.message}" for name, error in failed.items())
    raise type(first)(code, f"{len(failed)} of the lake's tables were not updated. {text}")
