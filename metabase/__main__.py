"""`python -m metabase`: provision a Metabase with the questions and dashboards, or write them as one HTML page."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (typer reads the annotations when it runs)
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from include.command_errors import explained
from include.errors import in_stage
from include.settings import StoreSettings
from metabase import report as page
from metabase.client import MetabaseClient
from metabase.dashboards import read_dashboards
from metabase.provisioner import Action
from metabase.provisioner import provision as provision_metabase
from metabase.questions import read_questions
from metabase.settings import MetabaseSettings

_STATEMENT_SECONDS = 120  # of one question of the report

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__
)


@app.command()
def provision(
    renew_password: Annotated[
        bool, typer.Option(help="Send the reader's password again. Needed after a change: Metabase shows none.")
    ] = False,
) -> None:
    """Create or correct connection, questions and dashboards in the Metabase of METABASE_URL. Safe to run again."""
    with explained(), in_stage("metabase"):
        settings, questions = MetabaseSettings(), read_questions()
        dashboards = read_dashboards(questions)
        with MetabaseClient(settings) as client:
            outcomes = provision_metabase(client, settings, questions, dashboards, renew_password=renew_password)
    table = Table("KIND", "NAME", "DONE", "BECAUSE OF", box=None, pad_edge=False)
    for outcome in outcomes:
        style = "" if outcome.action is Action.UNCHANGED else "green"
        table.add_row(
            outcome.kind, Text(outcome.name), Text(outcome.action, style=style), Text(", ".join(outcome.reasons))
        )
    Console(highlight=False).print(table)


@app.command()
def report(
    out: Annotated[Path, typer.Option(help="The page; an older one is replaced.")],
) -> None:
    """Run every question and write the answers as one HTML page with charts, for any browser."""
    with explained(), in_stage("metabase"):
        reader = StoreSettings().warehouse("reader")
        written = page.write(out, reader.model_copy(update={"statement_timeout": _STATEMENT_SECONDS}))
    console = Console(highlight=False, soft_wrap=True, stderr=True)
    for names, what in (
        (written.failed, "failed; the page shows the errors"),
        (written.empty, "have no rows yet"),
    ):
        if names:
            console.print(f"{len(names)} of {written.questions} questions {what}: {', '.join(names)}", markup=False)
    typer.echo(str(written.path))


if __name__ == "__main__":
    app()
