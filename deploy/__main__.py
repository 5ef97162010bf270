"""The commands `filegate dev compose-check` and `filegate dev env-file`, and the commands that containers run."""

from __future__ import annotations

import os
import sys
from pathlib import Path  # noqa: TC003 typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from include.command_errors import explained
from local.settings import ENV_FILE, PIPELINES_FILE, SOURCES_FILE

if TYPE_CHECKING:
    from deploy.checks import ComposeCheck

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


@app.command()
def check(
    file: Annotated[Path | None, typer.Option(help="the file to check; docker-compose.yaml if left out")] = None,
) -> None:
    """Check docker-compose.yaml against its rules. Exit code 1 if it breaks one."""
    from deploy.checks import run_checks
    from deploy.compose_file import COMPOSE_FILE, ComposeFile

    with explained():
        results = run_checks(ComposeFile.read(file or COMPOSE_FILE))
    _print(results)
    if any(result.problems for result in results):
        raise typer.Exit(1)


@app.command()
def env_file(
    profiles: Annotated[str, typer.Option(help="profiles to start besides core, separated by commas")] = "",
) -> None:
    """Write `.env` with newly generated secrets, `pipelines.env` and `sources.env`. No existing file is overwritten."""
    from deploy.env_file import write_env_file, write_pipelines_file, write_sources_file

    pipelines, sources = ENV_FILE.with_name(PIPELINES_FILE), ENV_FILE.with_name(SOURCES_FILE)
    copied = list[str]()
    with explained():
        # An earlier deployment lacks the files that are newer than it; only if none is missing is the command refused.
        if (pipelines.exists() and sources.exists()) or not ENV_FILE.exists():
            write_env_file(ENV_FILE, [name for name in profiles.replace(",", " ").split() if name])
            typer.echo(f"{ENV_FILE} is written.")
        if not pipelines.exists():
            copied = write_pipelines_file(pipelines, ENV_FILE)
            typer.echo(f"{pipelines} is written.")
        if not sources.exists():
            write_sources_file(sources)
            typer.echo(f"{sources} is written.")
    for name in copied:
        typer.echo(f"{name}: copied from {ENV_FILE.name}")
    typer.echo("Next: docker compose up -d")


@app.command()
def roles() -> None:
    """Generate deploy/docker/postgres/roles.sql from the roles and databases of the embedded platform."""
    from deploy.databases import ROLES_SQL, roles_sql

    ROLES_SQL.write_text(roles_sql())


@app.command()
def initialise() -> None:
    """Prepare the databases and the password file for Airflow's containers. Run by the container airflow-init."""
    from deploy import initialise as one_shot

    with explained():
        one_shot.initialise(os.environ)


def _print(results: list[ComposeCheck]) -> None:
    """Print a table in a terminal; in a pipe one tab-separated line for each problem or passed check."""
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


if __name__ == "__main__":
    app()
