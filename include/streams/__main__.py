"""`python -m include.streams`: show and register schemas, export the consumers' lag."""

from __future__ import annotations

import logging
import signal
from threading import Event
from typing import Annotated

import typer
from rich.console import Console

from include.contracts.catalog import read_catalog
from include.settings import KafkaConfig, ingest_settings, store_settings, stream_settings
from include.streams import schema_command

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__
)
app.add_typer(schema_command.app, name="schema")


@app.command()
def lag(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 is a free one.")] = 9308,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve each topic's lag to Prometheus until the command is stopped."""
    from include.streams.lag_metrics import LagCollector, serve

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stopped = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    kafka = KafkaConfig(bootstrap_servers=store_settings().kafka_bootstrap)
    try:
        serve(LagCollector(kafka, stream_settings(), _topics), host, port, stopped)
    except OSError as error:
        console = Console(highlight=False, soft_wrap=True, stderr=True)
        console.print(f"cannot listen on {host}:{port}: {error.strerror or error}", style="red", markup=False)
        raise typer.Exit(1) from error


def _topics() -> list[str]:
    """The topics of all contracts. The contracts are read at each call: one may have been added."""
    contracts = read_catalog(ingest_settings().contracts_dir).contracts.values()
    return sorted({contract.topic for contract in contracts if contract.topic})


if __name__ == "__main__":
    app(prog_name="python -m include.streams")
