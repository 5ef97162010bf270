"""The commands of the embedded platform, for `filegate`: up, down, status, env, drop, schedules, runs of DAGs."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path  # noqa: TC003 typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from include.cli.output import output_console, print_rows
from include.errors import PipelineError
from include.stores.warehouse import connect
from local import addresses
from local.airflow_api import AirflowApi
from local.commands import dag_status, demo_models, landing, source_status
from local.commands import demo as showcase
from local.commands import restore as restoring
from local.commands import schedules as schedule_page
from local.commands.backup import back_up, default_folder, seconds_stopped
from local.commands.drop import drop
from local.commands.explained import explained
from local.commands.rotation import rotate
from local.commands.runs import follow
from local.console import Report
from local.errors import PlatformError
from local.services import airflow
from local.settings import PlatformSettings, ignored_settings, ingest_settings
from local.supervisor.platform import KAFKA, ML_API, MLFLOW, POSTGRES, S3, Platform

if TYPE_CHECKING:
    from local.supervisor.status import ServiceStatus

NOT_HEALTHY = 3

AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table")]

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


def _name_ignored_lines() -> None:
    if ignored := ignored_settings():
        typer.echo(ignored, err=True)


@app.command()
def up() -> None:
    """Start the services that do not run yet, and wait until they are ready."""
    with explained():
        _name_ignored_lines()
        with Report(output_console()) as report:
            platform = Platform(PlatformSettings(), report)
            started = platform.up()
        typer.echo("The platform is up." if started else "The platform is up already.")
        _print_addresses(platform)


@app.command()
def down() -> None:
    """Stop every service and every left-over process of a killed supervisor. The data stays."""
    with explained():
        with Report(output_console()) as report:
            stopped = Platform(PlatformSettings(), report).down()
        typer.echo("The platform is down." if stopped else "Nothing was running.")


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show the state of each service, and the last and next run of each source by definition.

    Exit code 0 if all services are healthy and every contract has its DAGs, else 3. A failed source does not count.
    """
    with explained():
        platform = Platform(PlatformSettings())
        services = platform.status()
        console = output_console()
        if not services:
            typer.echo("The platform was never started here: start it with `make up`.", err=as_json)
        elif not as_json:
            console.print(_status_table(services, plain=not console.is_terminal))
        for service in services:
            if service.pid and service.complaint:
                typer.echo(f"{service.name}: {service.complaint}", err=True)
        _name_ignored_lines()
        problems = _dag_problems(platform, services) if services else []
        for problem in problems:
            typer.echo(f"DAGs: {problem}", err=True)
        now = datetime.now(UTC)
        sources = _sources(platform, services, now)
        if as_json:
            listed = [asdict(service) | {"healthy": service.healthy} for service in services]
            found = {"services": listed, "problems": problems, "sources": sources}
            typer.echo(json.dumps(found, indent=2, default=str))
        elif sources:
            console.print()
            console.print(source_status.source_table(sources, now, plain=not console.is_terminal))
            for remark in source_status.source_remarks(sources):
                console.print(remark, markup=False)
        if not services or problems or not all(service.healthy for service in services):
            raise typer.Exit(NOT_HEALTHY)


@app.command()
def env(
    owner: Annotated[bool, typer.Option("--owner", help="also the login of the warehouse's owner")] = False,
    aws: Annotated[bool, typer.Option("--aws", help="also AWS_*, which replace your own credentials")] = False,
    services: Annotated[bool, typer.Option("--services", help="also the keys and roles of the services")] = False,
) -> None:
    """Print addresses and logins as `export NAME=value`, for: eval "$(filegate env)"."""
    with explained():
        platform = Platform(PlatformSettings())
        for name, value in addresses.for_users(platform, owner=owner, aws=aws, services=services).items():
            typer.echo(f"export {name}={shlex.quote(value)}")


app.command()(drop)


@app.command("ls")
def list_keys(
    prefix: Annotated[str, typer.Argument(help="the beginning of the keys")] = "",
    bucket: Annotated[str, typer.Option(help="the landing bucket when left out")] = "",
) -> None:
    """Print the keys of a bucket."""
    with explained():
        config = Platform(PlatformSettings()).s3_config
        for key in landing.keys(config, bucket or ingest_settings().landing_bucket, prefix):
            typer.echo(key)


@app.command("cat")
def print_object(
    key: Annotated[str, typer.Argument(help="the object's key")],
    bucket: Annotated[str, typer.Option(help="the landing bucket when left out")] = "",
) -> None:
    """Write an object of a bucket to standard output, as it is."""
    with explained():
        config = Platform(PlatformSettings()).s3_config
        landing.write_to(sys.stdout.buffer, config, bucket or ingest_settings().landing_bucket, key)


@app.command()
def demo() -> None:
    """Start the platform, drop good and bad sample files, and print the outcome of each."""
    from metabase.report import write  # plotly: no other command needs it

    with explained():
        console = output_console()
        with Report(console) as report:
            platform = Platform(PlatformSettings(), report)
            platform.up()
        showcase.run(platform, console)
        with _airflow(platform) as api, connect(platform.warehouse_config("transform")) as connection:
            demo_models.run(platform, api, connection, console)
        page = write(platform.settings.layout.report, platform.warehouse_config("reader"))
        typer.echo(f"\nThe dashboards as one page, for any browser (again: filegate report):\n  {page.path}")
        typer.echo("\nThe platform stays up. See the runs in Airflow, and query the warehouse:")
        _print_addresses(platform)


@app.command()
def run(
    dag: Annotated[str, typer.Argument(help="the DAG's id")],
    conf: Annotated[str, typer.Option(help="its parameters, as a JSON object")] = "{}",
) -> None:
    """Start the platform if it is down, trigger a DAG, wait for its end, and print the result of each task."""
    with explained():
        console, parameters = output_console(), _parameters(conf)
        with Report(console) as report:
            platform = Platform(PlatformSettings(), report)
            platform.up()
        with _airflow(platform) as api:
            succeeded = follow(api, dag, console, parameters)
        if not succeeded:
            raise typer.Exit(1)


@app.command()
def schedules(as_json: AsJson = False) -> None:
    """Show every DAG: what starts it, the states of its last runs, when the next run begins."""
    with explained(), _airflow(Platform(PlatformSettings())) as api:
        found = schedule_page.schedules(api)
    if as_json:
        print_rows([one.as_row for one in found], (), as_json=True)
    else:
        output_console().print(schedule_page.table(found, datetime.now(UTC)))


@app.command()
def backup(
    folder: Annotated[Path | None, typer.Argument(help="a new folder; backups/<time> when left out")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="stop the platform without asking")] = False,
) -> None:
    """Stop the platform, copy its databases, objects and secrets to a folder, verify them, and start it again."""
    with explained():
        platform, target = Platform(PlatformSettings()), (folder or default_folder()).absolute()
        if seconds := seconds_stopped(platform):
            typer.echo(f"The backup stops the platform for about {seconds} seconds. Running tasks get a minute to end.")
            if not yes and not _asks():
                raise PlatformError("standard input is no terminal, so the command cannot ask", "give --yes")
            if not yes:
                typer.confirm("Stop it now?", abort=True)
        with Report(output_console()) as report:
            manifest = back_up(platform, target, report)
        typer.echo(f"{target}: {len(manifest.files)} files, every one with its checksum.")
        typer.echo("The backup contains every password: protect it like the passwords.")


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(help="the folder of a backup")],
    force: Annotated[bool, typer.Option("--force", help="replace a platform that holds data")] = False,
) -> None:
    """Replace the platform's home with the content of a backup. The platform is stopped afterwards."""
    with explained():
        settings = PlatformSettings()
        with Report(output_console()) as report:
            manifest = restoring.restore(settings, folder.absolute(), report, force=force)
        typer.echo(f"{settings.platform_home} is restored as of {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC.")
        typer.echo("Next: make up")


@app.command(name="rotate-secrets")
def rotate_secrets() -> None:
    """Give every role, key and user a new secret, and restart the running services."""
    with explained():
        with Report(output_console()) as report:
            started = rotate(Platform(PlatformSettings()), report)
        typer.echo("Every secret is new; the old ones are refused. See them with `filegate env`.")
        typer.echo(f"Restarted: {', '.join(started)}." if started else "The platform was down and stays down.")


@app.command()
def clean() -> None:
    """Stop everything and delete the platform's home with all data in it."""
    with explained():
        with Report(output_console()) as report:
            platform = Platform(PlatformSettings(), report)
            deleted = platform.clean()
        home = platform.settings.platform_home
        typer.echo(f"{home} is deleted." if deleted else f"There is no {home}.")


def _dag_problems(platform: Platform, services: list[ServiceStatus]) -> list[str]:
    """List import errors and missing DAGs; while Airflow is not healthy, only the problems of the contracts."""
    directory = ingest_settings().contracts_dir
    names = set(airflow.names(platform.settings)) - {airflow.CLEANUP}  # it may have failed while DAGs run
    of_airflow = [service for service in services if service.name in names]
    if not all(service.healthy for service in of_airflow):
        return dag_status.contract_problems(directory)
    uptime = min((service.uptime or 0 for service in of_airflow), default=0)
    patience = 60 + 4 * platform.settings.airflow_new_files_seconds
    with _airflow(platform) as api:
        return dag_status.dag_problems(api, directory, uptime, patience)


def _sources(platform: Platform, services: list[ServiceStatus], now: datetime) -> list[dict[str, Any]]:
    """List the sources, as far as the running services know them. An error is named, and ends no `status`."""
    healthy = {service.name for service in services if service.healthy}
    if not services:
        return []
    try:
        dags = []
        if airflow.API_SERVER in healthy:
            with _airflow(platform) as api:
                dags = api.dags()
        config = platform.warehouse_config("reader") if POSTGRES in healthy else None
        return source_status.sources_with_next_run(config, dags, now)
    except (PipelineError, PlatformError) as error:
        typer.echo(f"sources: {error}", err=True)
        return []


def _asks() -> bool:
    """Whether a user can answer a question."""
    return sys.stdin.isatty()


def _airflow(platform: Platform) -> AirflowApi:
    credentials = platform.credentials
    return AirflowApi(
        airflow.url(platform.settings), credentials.airflow_admin_user, credentials.airflow_admin_password
    )


def _parameters(text: str) -> dict[str, object]:
    try:
        parameters = json.loads(text)
    except ValueError as error:
        raise PlatformError(f"the parameters are no JSON: {error}", "write for instance '{\"full\": true}'") from error
    if not isinstance(parameters, dict):
        raise PlatformError("the parameters are no JSON object", "write for instance '{\"full\": true}'")
    return parameters


def _print_addresses(platform: Platform) -> None:
    settings = platform.settings
    at = {service.name: service.address for service in platform.services()}
    typer.echo(f"  Airflow    {at[airflow.API_SERVER]}  (user and password: filegate env)")
    typer.echo(f"  Bucket     {at[S3]}  (s3://{ingest_settings().landing_bucket}/{landing.INCOMING}/<dataset>/)")
    typer.echo(f"  Warehouse  {at[POSTGRES]}")
    typer.echo(f"  Kafka      {at[KAFKA]}")
    typer.echo(f"  ML service {at[ML_API]}/docs")
    typer.echo(f"  MLflow     {at[MLFLOW]}")
    typer.echo(f"  Logs       {settings.layout.logs}")
    typer.echo("Next: .venv/bin/filegate drop FILE --wait, filegate status, filegate env, make down")


def _status_table(services: list[ServiceStatus], *, plain: bool) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="" if plain else "bold")
    for heading in ("SERVICE", "STATE", "PID", "UPTIME", "PORT", "ADDRESS"):
        table.add_column(heading, no_wrap=heading != "ADDRESS", overflow="fold")
    for service in services:
        state = "healthy" if service.healthy else service.state.lower()
        table.add_row(
            service.name,
            Text(state, style="" if plain else "green" if service.healthy else "red"),
            str(service.pid or "-"),
            _duration(service.uptime),
            str(service.port or "-"),
            service.address or "-",
        )
    return table


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"


if __name__ == "__main__":
    app(prog_name="python -m local")
