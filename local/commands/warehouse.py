"""`filegate dbt` and `filegate report`: the models of the warehouse and the dashboards on them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from local import addresses
from local.commands.explained import explained
from local.console import Report
from local.settings import REPOSITORY, PlatformSettings
from local.supervisor.platform import Platform

_PROJECT = REPOSITORY / "dbt"
# A model that waits for a lock or runs for an hour fails instead of holding the others up.
_LIMITS = "-c lock_timeout=30s -c statement_timeout=3600s"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def dbt(
    arguments: Annotated[list[str] | None, typer.Argument(help="Passed to dbt; `build` if left out.")] = None,
) -> None:
    """Run dbt on the warehouse as the role `transform`."""
    with explained():
        platform = _started()
    home = platform.settings.platform_home / "dbt"
    settings = {
        "DBT_PROJECT_DIR": str(_PROJECT),
        "DBT_PROFILES_DIR": str(_PROJECT),
        "DBT_TARGET_PATH": str(home / "target"),
        "DBT_LOG_PATH": str(home / "logs"),
        "DBT_USE_COLORS": str(sys.stdout.isatty()).lower(),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "PGOPTIONS": _LIMITS,
    }
    program = str(Path(sys.executable).with_name("dbt"))
    environment = os.environ | addresses.for_library(platform) | settings
    os.execve(program, [program, *(arguments or ["build"])], environment)  # noqa: S606


@app.command()
def report(
    out: Annotated[Path | None, typer.Option(help="The page; in the platform's home if left out.")] = None,
) -> None:
    """Write the dashboards as one page with charts, for any browser."""
    from metabase.report import write  # plotly takes a second to import

    with explained():
        platform = _started()
        page = write(out or platform.settings.layout.report, platform.warehouse_config("reader"))
        typer.echo(str(page.path))


def _started() -> Platform:
    """The platform, started if it was not.

    Raises:
        PlatformError: it does not start.
    """
    with Report(Console(stderr=True, highlight=False)) as report:
        platform = Platform(PlatformSettings(), report)
        platform.up()
    return platform
