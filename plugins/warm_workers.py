"""Airflow plugin: import what tasks and DAG files need once, before the processes for them are forked.

Local workers are forks of the scheduler and share what it has imported. Great Expectations alone takes four
seconds to import; without this, every small file would wait for that. dbt and Cosmos take as long, once a model.

Parsers are forks of the DAG processor. It imports libraries alone: changes of our own code count with the next parse.
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

# What the tasks of transform_warehouse import before they do anything.
_OF_MODELS = ("cosmos.airflow.task_group", "cosmos.operators.local", "dbt.cli.main", "dbt.adapters.postgres")

# What the DAG files import of libraries: a third of what a parse costs.
_OF_PARSES = ("boto3", "pydantic_settings", "cosmos.airflow.task_group", "cosmos.operators.local")

log = logging.getLogger(__name__)


@hookimpl
def on_starting(component: object) -> None:  # noqa: ARG001 - Airflow calls it by this name
    """Called by Airflow before a component starts, and before the component knows what it is."""
    if "scheduler" in sys.argv and "great_expectations" not in sys.modules:
        import include.ingestion.batch  # noqa: F401
        from include.ingestion.audit import load_library

        load_library()
        for module in _OF_MODELS:
            importlib.import_module(module)
        log.info("Workers are warm.")
    if "dag-processor" in sys.argv:
        for module in _OF_PARSES:
            importlib.import_module(module)


class WarmWorkersPlugin(AirflowPlugin):
    """Registers the listener."""

    name = "warm_workers"
    listeners: list[ModuleType | object] = [sys.modules[__name__]]  # noqa: RUF012 - Airflow's convention
