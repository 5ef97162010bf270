"""`filegate generate`: writes sample files for any dataset, and uploads them on request."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from include.contracts.catalog import UnknownDatasetError, read_catalog
from include.errors import PipelineError
from include.samples.badness import DESCRIPTIONS, FILE_KINDS, BadKind, SampleError, SampleFormat, parse_bad
from include.samples.writer import Sample, write_sample
from include.settings import ingest_settings, store_settings

if TYPE_CHECKING:
    from include.contracts.model import Contract
    from include.samples.report import SampleReport

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
console = Console(highlight=False, soft_wrap=True)


def _list_bad(wanted: bool) -> None:
    if not wanted:
        return
    table = Table("kind", "of", "what it does", box=None)
    for kind in BadKind:
        table.add_row(kind, "file" if kind in FILE_KINDS else "row", DESCRIPTIONS[kind])
    console.print(table)
    raise typer.Exit


@app.command()
def generate(
    dataset: Annotated[str, typer.Argument(help="A dataset that has a contract.")],
    rows: Annotated[int, typer.Option(min=0, help="Records in the file.")] = 10_000,
    file_format: Annotated[SampleFormat, typer.Option("--format", help="How they are written.")] = SampleFormat.CSV,
    bad: Annotated[str, typer.Option(help="KIND[:COUNT][,KIND...]; see --list-bad.")] = "",
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 1,
    out: Annotated[Path | None, typer.Option(help="The file to write; DATASET.FORMAT if left out.")] = None,
    start: Annotated[int, typer.Option("--start", "--offset", min=0, help="Number of the first key.")] = 0,
    version: Annotated[int, typer.Option(min=0, help="Rows of a later version are newer.")] = 1,
    duplicates: Annotated[float, typer.Option(min=0, max=0.9, help="Share of rows that repeat a key.")] = 0.0,
    drop: Annotated[bool, typer.Option("--drop", help="Also upload it to incoming/DATASET/.")] = False,
    list_bad: Annotated[  # noqa: ARG001 - its callback does the work
        bool, typer.Option("--list-bad", callback=_list_bad, is_eager=True, help="Show every kind of badness.")
    ] = False,
) -> None:
    """Write a sample file for DATASET.

    An update file of which half the keys exist: --rows 2000000, then --rows 2000000 --start 1000000 --version 2.
    """
    if out and out.is_dir():
        raise typer.BadParameter(f"{out} is a folder; give the path of a file", param_hint="--out")
    try:
        with _bar() as bar:
            task = bar.add_task(f"{dataset} rows", total=rows)
            sample = Sample(_contract(dataset), rows, seed, parse_bad(bad), start, version, duplicates)
            path = out or Path(f"{dataset}.{file_format}")
            report = write_sample(sample, path, file_format, lambda made: bar.advance(task, made))
        for line in report.lines():
            console.print(line, markup=False)
        if drop:
            console.print(f"  dropped as {_dropped(report, dataset)}", markup=False)
    except PipelineError as error:
        console.print(str(error) if error.details else error.message, style="red", markup=False)
        raise typer.Exit(1) from error
    except OSError as error:
        console.print(f"cannot write {error.filename}: {error.strerror}", style="red", markup=False)
        raise typer.Exit(1) from error


def _contract(dataset: str) -> Contract:
    """The dataset's contract, or an error if there is none or it is broken."""
    try:
        return read_catalog(ingest_settings().contracts_dir).find(dataset)
    except UnknownDatasetError as error:
        raise SampleError.because(str(error)) from error


def _bar() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _dropped(report: SampleReport, dataset: str) -> str:
    """Upload the file and return its address."""
    from include.stores.object_store import ObjectStore

    bucket, key = ingest_settings().landing_bucket, f"incoming/{dataset}/{report.path.name}"
    ObjectStore(store_settings().s3()).upload(report.path, bucket, key)
    return f"s3://{bucket}/{key}"
