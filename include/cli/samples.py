"""`filegate generate`: writes sample files for any dataset, and uploads them on request."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from include.cli.contract_lookup import catalog, found_in
from include.cli.output import WRONG_USAGE, fail, print_rows
from include.cli.platform_access import finds_platform
from include.command_errors import explained
from include.errors import CommandError
from include.samples.badness import DESCRIPTIONS, FILE_KINDS, BadKind, SampleFormat, parse_bad
from include.samples.writer import Sample, write_sample
from include.settings import ingest_settings, store_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.samples.report import SampleReport

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
console = Console(highlight=False, soft_wrap=True)


@app.command()
def generate(
    dataset: Annotated[str, typer.Argument(help="A dataset that has a contract.", metavar="DATASET")] = "",
    rows: Annotated[int, typer.Option(min=0, help="Records in the file.")] = 10_000,
    file_format: Annotated[SampleFormat, typer.Option("--format", help="How they are written.")] = SampleFormat.CSV,
    bad: Annotated[str, typer.Option(help="KIND[:COUNT][,KIND...]; see --list-bad.")] = "",
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 1,
    out: Annotated[Path | None, typer.Option(help="The file to write; DATASET.FORMAT if left out.")] = None,
    start: Annotated[int, typer.Option("--start", "--offset", min=0, help="Number of the first key.")] = 0,
    version: Annotated[int, typer.Option(min=0, help="Rows of a later version are newer.")] = 1,
    duplicates: Annotated[float, typer.Option(min=0, max=0.9, help="Share of rows that repeat a key.")] = 0.0,
    drop: Annotated[bool, typer.Option("--drop", help="Also upload it to incoming/DATASET/.")] = False,
    list_bad: Annotated[
        bool, typer.Option("--list-bad", help="Show every kind of badness, and write nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --list-bad: JSON instead of a table.")] = False,
) -> None:
    """Write a sample file for DATASET.

    An update file of which half the keys exist: --rows 2000000, then --rows 2000000 --start 1000000 --version 2.
    """
    if list_bad:
        kinds = [
            {"kind": kind.value, "of": "file" if kind in FILE_KINDS else "row", "what_it_does": DESCRIPTIONS[kind]}
            for kind in BadKind
        ]
        print_rows(kinds, ("kind", "of", "what_it_does"), as_json=as_json)
        return
    if not dataset or as_json:
        fail("--json is for --list-bad" if as_json else "give a DATASET, or --list-bad", WRONG_USAGE)
    if out and out.is_dir():
        raise typer.BadParameter(f"{out} is a folder; give the path of a file", param_hint="--out")
    with explained(), _bar() as bar:
        task = bar.add_task(f"{dataset} rows", total=rows)
        sample = Sample(found_in(catalog(), dataset), rows, seed, parse_bad(bad), start, version, duplicates)
        path = out or Path(f"{dataset}.{file_format}")
        report = _written(sample, path, file_format, lambda made: bar.advance(task, made))
    for line in report.lines():
        console.print(line, markup=False)
    if drop:
        with explained():
            console.print(f"  dropped as {_dropped(report, dataset)}", markup=False)


def _written(sample: Sample, path: Path, file_format: SampleFormat, on_rows: Callable[[int], None]) -> SampleReport:
    """Write the file.

    Raises:
        CommandError: the file cannot be written, or the sample cannot be made.
    """
    try:
        return write_sample(sample, path, file_format, on_rows)
    except OSError as error:
        remedy = "make room" if error.errno == errno.ENOSPC else "give the path of a new file with --out"
        raise CommandError(f"cannot write {path}: {error.strerror}", remedy) from error


def _bar() -> Progress:
    terminal = Console(stderr=True)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=terminal,
        transient=True,
        disable=not terminal.is_terminal,
    )


def _dropped(report: SampleReport, dataset: str) -> str:
    """Upload the file and return its address."""
    from include.stores.object_store import ObjectStore

    finds_platform("S3_SECRET_ACCESS_KEY")
    bucket, key = ingest_settings().landing_bucket, f"incoming/{dataset}/{report.path.name}"
    ObjectStore(store_settings().s3()).upload(report.path, bucket, key)
    return f"s3://{bucket}/{key}"
