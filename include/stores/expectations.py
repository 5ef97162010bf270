"""Great Expectations over the warehouse: loading the library, connecting it, and reading its results.

What belongs here: what every user of the library needs: quiet logs, a connection with timeouts, results as text.
What does not: any expectation, and any decision. The library takes seconds to import, so it is imported where it is
used.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from include.settings import WarehouseConfig

_SHOWN = 300


def load_library() -> Any:
    """Import Great Expectations without telemetry and with only its errors in the log."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    import great_expectations

    # This module sets its own level.
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.ERROR)
    return great_expectations


def warehouse_source(config: WarehouseConfig, application: str) -> Any:
    """The warehouse as one of the library's data sources, in a context in memory.

    Args:
        config: with the timeouts that bound every query.
        application: the name under which the warehouse shows the connection.
    """
    context = load_library().get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    from sqlalchemy import URL

    url = URL.create(
        "postgresql+psycopg",
        config.user,
        config.password.get_secret_value(),
        config.host,
        config.port,
        config.database,
        query={
            "connect_timeout": str(config.connect_timeout),
            "application_name": application,
            "options": f"-c lock_timeout={config.lock_timeout}s -c statement_timeout={config.statement_timeout}s "
            "-c timezone=UTC",
        },
    )
    return context.data_sources.add_postgres(
        "warehouse", connection_string=url.render_as_string(hide_password=False).replace("$", "%24")
    )


def close_source(source: Any) -> None:
    """Close every connection of a source: the library has one engine for checks and another for metadata."""
    source.get_execution_engine().close()
    source.get_engine().dispose()


def implementation(expectation: str) -> Any:
    """The library's class of an expectation, by its name in snake case."""
    load_library()
    from great_expectations.expectations.registry import get_expectation_impl

    return get_expectation_impl(expectation)


def raised(info: dict[str, Any] | None) -> str:
    """The exception message of an evaluation, empty if there is none. The library reports it directly, or by metric."""
    found = info or {}
    each = [found, *(metric for metric in found.values() if isinstance(metric, dict))]
    return next((str(one.get("exception_message")) for one in each if one.get("raised_exception")), "")


def observed(result: dict[str, Any]) -> str:
    """The observed value of an expectation, as short text."""
    if "observed_value" in result:
        return str(result["observed_value"])[:_SHOWN]
    if "unexpected_count" in result:
        return f"{result['unexpected_count']} of {result.get('element_count')} rows unexpected"
    return ", ".join(f"{k} = {v}" for k, v in sorted(result.items()))[:_SHOWN]


def expected(kwargs: dict[str, Any]) -> str:
    """An expectation's arguments, as short text."""
    shown = {name: value for name, value in kwargs.items() if name not in {"batch_id", "column"} and value is not None}
    return ", ".join(f"{name} = {value}" for name, value in sorted(shown.items()))[:_SHOWN]
