"""`filegate logs` and `filegate psql`: looking into a running platform."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Annotated

import typer

from include.cli.output import fail
from include.errors.nearest import did_you_mean
from local.commands.explained import explained
from local.services.postgres import BINARIES
from local.settings import PlatformSettings
from local.supervisor.platform import Platform

if TYPE_CHECKING:
    from pathlib import Path

_POLL_SECONDS = 0.5
_TAIL_BYTES = 1024**2

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def logs(
    service: Annotated[str, typer.Argument(help="A service of `filegate status`.")],
    lines: Annotated[int, typer.Option(min=1, help="How many of the last lines.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new lines until interrupted.")] = False,
) -> None:
    """Print the last lines of a service's log."""
    path = _log_of(service)
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        typer.echo(b"\n".join(stream.read().splitlines()[-lines:]))
        while follow:
            if more := stream.read():
                typer.echo(more, nl=False)
            else:
                time.sleep(_POLL_SECONDS)


@app.command(context_settings={"ignore_unknown_options": True})
def psql(
    arguments: Annotated[list[str] | None, typer.Argument(help="Passed to psql: -c 'SELECT 1'.")] = None,
    role: Annotated[str, typer.Option(help="reader, ingest, transform or owner.")] = "reader",
) -> None:
    """Open psql in the warehouse, by default as the role that may only read."""
    roles = ("reader", "ingest", "transform", "owner")
    if role not in roles:
        fail(f"there is no role {role}; roles: {', '.join(roles)}")
    with explained():
        config = Platform(PlatformSettings()).warehouse_config(role)
    # Variables of a shell that name another server would send it this password. It is in the environment of psql
    # alone, not in its command line.
    login = {
        "PGHOST": config.host,
        "PGPORT": str(config.port),
        "PGDATABASE": config.database,
        "PGUSER": config.user,
        "PGPASSWORD": config.password.get_secret_value(),
    }
    program = str(BINARIES / "psql")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    os.execve(program, [program, *(arguments or [])], kept | login)  # noqa: S606


def _log_of(service: str) -> Path:
    """The file of a service's log.

    Raises:
        typer.Exit: there is no such log.
    """
    with explained():
        folder = Platform(PlatformSettings()).settings.layout.logs
    known = sorted(path.stem for path in folder.glob("*.log"))
    path = folder / f"{service}.log"
    if service not in known:
        near = did_you_mean(service, known)
        fail(f"there is no log of {service} in {folder}; {near}logs: {', '.join(known) or 'none yet'}")
    return path
