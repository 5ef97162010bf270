"""The tasks that bring the lakehouse up to date and keep it in order."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import AssetAny, AssetOrTimeSchedule, DeltaTriggerTimetable, get_current_context, task

from include.errors import Code, PermanentError, PipelineError, in_stage
from include.orchestration.defaults import no_retry_of_permanent_errors
from include.orchestration.scheduling import live_marts, marts, rows_of
from include.settings import lake_settings

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from include.contracts.model import Contract
    from include.lake.update import TableUpdate
    from include.quality.marts import Mart

log = logging.getLogger(__name__)

_STAGE = "lake"
# For asset events that were missed while the DAG was paused, and for rows that were changed without one.
_PAUSE = timedelta(hours=1)
# From the start of a run to that of the next, at least: events that arrive meanwhile start one run. Each process needs
# seconds to load DuckDB's extensions, and each update adds files.
CYCLE = timedelta(minutes=2)


def updates_of(contracts: Sequence[Contract]) -> AssetOrTimeSchedule:
    """Return the schedule: an event of a table that is kept in the lake, and every hour."""
    assets = [rows_of(contract.dataset) for contract in contracts if contract.lake is not None]
    return AssetOrTimeSchedule(timetable=DeltaTriggerTimetable(_PAUSE), assets=AssetAny(marts(), live_marts(), *assets))


@task
def update_tables(*, full: str = "") -> dict[str, int]:
    """Update the tables of the asset events that started the run; without events, all. Return the sums of rows.

    A table that fails does not stop the others. One task updates all tables, because each process needs seconds to load
    DuckDB's extensions.

    Args:
        full: a template that gives `True` if all rows are to be read and compared.
    """
    from include.lake.connect import open_lake
    from include.lake.update import TableUpdater
    from include.orchestration.catalog import sound_contracts
    from include.orchestration.stores import lake_config, warehouse_ingest_config, warehouse_transform_config
    from include.quality.lake import tables_in_lake
    from include.quality.marts import MARTS

    context = get_current_context()
    contracts, events = sound_contracts(), {asset.name for asset in context["triggering_asset_events"]}
    with (
        no_retry_of_permanent_errors(),
        in_stage(_STAGE),
        open_lake(lake_config(), warehouse_transform_config()) as engine,
    ):
        updater = TableUpdater(engine, warehouse_ingest_config(), str(context["run_id"]))
        tables = updater.existing(tables_in_lake(*changed_by(events, contracts, MARTS)))
        done: list[TableUpdate] = []
        failed: dict[str, PipelineError] = {}
        for table in tables:
            try:
                done.append(updater.update(table, full=full == "True"))
                log.info("%s", done[-1])
            except PipelineError as error:
                failed[table.title] = error
                log.error("%s was not updated. %s", table.title, error)
        stop_at_failed(failed)
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


def changed_by(
    events: Collection[str], contracts: Sequence[Contract], built: Sequence[Mart]
) -> tuple[Sequence[Contract], Sequence[Mart]]:
    """The datasets and marts that asset events say have changed; without events, all.

    Args:
        events: the names of the assets.
        contracts: all contracts.
        built: all marts.
    """
    if not events:
        return contracts, built
    asset_of = {"update_live_marts": live_marts().name}
    return (
        [contract for contract in contracts if rows_of(contract.dataset).name in events],
        [mart for mart in built if asset_of.get(mart.dag_id, marts().name) in events],
    )


def stop_at_failed(failed: dict[str, PipelineError]) -> None:
    """Raise the errors of all tables as one: permanent if one of them is.

    Raises:
        PipelineError: a table failed.
    """
    if not failed:
        return
    errors = list(failed.values())
    permanent = [error for error in errors if isinstance(error, PermanentError)]
    first = permanent[0] if permanent else errors[0]
    code = first.code if len(failed) == 1 else Code.INTERNAL if permanent else first.code
    text = "; ".join(f"{name}: {error.message}" for name, error in failed.items())
    count = "1 table was" if len(failed) == 1 else f"{len(failed)} tables were"
    raise type(first)(code, f"{count} not updated. {text}")
