"""`make bench`: start a platform in a temporary folder, measure, print the table, write the JSON."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Annotated

import typer

from local.supervisor.platform import STORES
from proof.bench import airflow, core, streams
from proof.bench.session import progress, report, temporary_platform

if TYPE_CHECKING:
    from proof.bench.results import Measurement

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def bench(
    rows: Annotated[int, typer.Option(help="rows of the two large files")] = 2_000_000,
    memory_rows: Annotated[int, typer.Option(help="rows of a third, larger file; 0: none")] = 0,
    messages: Annotated[int, typer.Option(help="messages of a topic; 0: none")] = 300_000,
    drops: Annotated[int, typer.Option(help="single drops through Airflow; 0: none")] = 5,
    files: Annotated[int, typer.Option(help="small files at once through Airflow")] = 1000,
) -> None:
    """Run the benchmarks."""
    measurements: list[Measurement] = []
    with temporary_platform() as (platform, folder), progress() as say:
        platform.up(STORES)
        measurements.extend(core.measure(platform, rows, folder, say))
        if memory_rows:
            measurements.extend(core.measure_memory(platform, memory_rows, folder, say))
        if messages:
            measurements.extend(streams.measure(platform, messages, folder, say))
        if drops:
            say("starting Airflow")
            platform.up()
            measurements.extend(airflow.measure(platform, drops, files, folder, say))
    report(measurements, "bench.json")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a SIGTERM stops the platform, too
    app()
