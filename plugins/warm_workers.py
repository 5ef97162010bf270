"""Airflow plugin: import heavy libraries once, before Airflow forks the processes of tasks and DAG files.

Local workers are forks of the scheduler and share its imported modules. Importing Great Expectations takes four
seconds; without this plugin every task that loads a file would wait for that. dbt and Cosmos take as long per model.

DAG file parsers are forks of the DAG processor. It imports third-party libraries only, so that changes of the project's
code take effect at the next parse.
"""

from __future__ import annotations

import importlib
import logging
import sys
from typing import TYPE_CHECKING

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from types import ModuleType

# Imports of the tasks of transform_warehouse.
_TRANSFORM_MODULES = ("cosmos.airflow.task_group", "cosmos.operators.local", "dbt.cli.main", "dbt.adapters.postgres")

# Third-party imports of the DAG files: a third of the parse time.
_PARSER_MODULES = ("boto3", "pydantic_settings", "cosmos.airflow.task_group", "cosmos.operators.local")

log = logging.getLogger(__name__)


@hookimpl
def on_starting(component: object) -> None:  # noqa: ARG001 - the hook's parameter name is fixed
    """Import the libraries of this process; Airflow calls this before a component starts.

    The component is found in `sys.argv`, since Airflow passes an object that is not set up yet.
    """
    if "scheduler" in sys.argv and "great_expectations" not in sys.modules:
        import include.ingestion.pipeline  # noqa: F401
        from include.ingestion.audit import load_library

        load_library()
        for module in _TRANSFORM_MODULES:
            importlib.import_module(module)
        log.info("Imported the libraries of the workers.")
    if "dag-processor" in sys.argv:
        for module in _PARSER_MODULES:
            importlib.import_module(module)


class WarmWorkersPlugin(AirflowPlugin):
    """Registers the listener."""

    name = "warm_workers"
    listeners: list[ModuleType | object] = [sys.modules[__name__]]  # noqa: RUF012 - Airflow's convention
