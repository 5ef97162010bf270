"""The commands behind `make compose-check` and `make env-file`, and those that containers call."""

from __future__ import annotations

import os
import sys
from pathlib import Path  # noqa: TC003 typer reads the annotations
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from local.errors import PlatformError
from local.settings import ENV_FILE

if TYPE_CHECKING:
    from deploy.checks import Result

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


@app.command()
def check(
    file: Annotated[Path | None, typer.Option(help="another file than docker-compose.yaml of this checkout")] = None,
) -> None:
    """Hold docker-compose.yaml to its rules. Exit code 1 if it breaks one."""
    from deploy.checks import run_checks
    from deploy.compose_file import COMPOSE_FILE, ComposeFile

    try:
        results = run_checks(ComposeFile.read(file or COMPOSE_FILE))
    except PlatformError as error:
        _give_up(error)
    _print(results)
    if any(result.problems for result in results):
        raise typer.Exit(1)


@app.command()
def env_file(
    profiles: Annotated[str, typer.Option(help="what is started besides core, separated by commas")] = "",
) -> None:
    """Write `.env` with secrets made anew. One that is there is never overwritten."""
    from deploy.env_file import write_env_file

    try:
        write_env_file(ENV_FILE, [name for name in profiles.replace(",", " ").split() if name])
    except (PlatformError, OSError) as error:
        _give_up(error)
    typer.echo(f"{ENV_FILE} is written. Next: docker compose up -d")


@app.command()
def roles() -> None:
    """Write docker/postgres/roles.sql anew from the embedded platform's roles and databases."""
    from deploy.databases import ROLES_SQL, roles_sql

    ROLES_SQL.write_text(roles_sql())


@app.command()
def initialise() -> None:
    """Prepare what Airflow's containers need. For the container airflow-init."""
    from deploy import initialise as one_shot

    try:
        one_shot.initialise(os.environ)
    except PlatformError as error:
        _give_up(error)


def _print(results: list[Result]) -> None:
    """A table in a terminal; in a pipe one line for each problem or good check, with tabs."""
    if not sys.stdout.isatty():
        for result in results:
            for problem in result.problems or ["ok"]:
                typer.echo(f"{result.name}\t{problem}")
        return
    table = Table("Check", "Result", "What is wrong", highlight=False)
    for result in results:
        verdict = f"[red]{len(result.problems)} wrong[/red]" if result.problems else "[green]ok[/green]"
        table.add_row(result.name, verdict, "\n".join(problem.replace("[", r"\[") for problem in result.problems))
    Console().print(table)


def _give_up(error: Exception) -> NoReturn:
    typer.echo(f"error: {error}", err=True)
    raise typer.Exit(1) from error


if __name__ == "__main__":
    app()
