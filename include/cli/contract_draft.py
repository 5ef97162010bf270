"""`filegate contract draft`: a contract for the files that are like a sample."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (typer reads the annotations when it runs)
from typing import Annotated

import typer

from include.cli.output import WRONG_USAGE, fail
from include.cli.platform_access import finds_platform
from include.command_errors import explained
from include.errors import visible
from include.settings import ingest_settings


def draft(
    file: Annotated[
        Path, typer.Argument(help="A sample: text, JSON, Excel, Parquet, Avro, ORC, Arrow, or an archive of such.")
    ],
    dataset: Annotated[str, typer.Option(help="The dataset's name; that of the file if left out.")] = "",
    write: Annotated[bool, typer.Option("--write", help="Write it into the contracts folder.")] = False,
) -> None:
    """Draft a contract with which the sample loads, and print it. An existing contract is never overwritten."""
    from include.ingestion.drafting.names import dataset_name

    if not file.is_file():
        fail(f"there is no file {file}")
    finds_platform("WAREHOUSE_READER_PASSWORD")  # its environment says where the contracts are
    name = dataset or dataset_name(file.name)
    if not name:
        fail(f"the name of {file} suggests none for the dataset; give --dataset", WRONG_USAGE)
    target = ingest_settings().contracts_dir / f"{name}.yaml"
    if write and target.exists():
        fail(f"{target} exists already; remove it, or choose another --dataset")
    text = _drafted(file, name)
    if not write:
        typer.echo(text, nl=False)
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        fail(f"cannot write {target}: {error.strerror}")
    reviews = sum("REVIEW" in line for line in text.splitlines())
    typer.echo(f"{target}: drafted; {reviews} lines are marked REVIEW. Look at each, correct it, remove the mark:")
    typer.echo(f"  filegate contract check {target}")
    typer.echo(f"  filegate try {file} --dataset {name}")
    typer.echo(f"  filegate contract activate {name}")
    typer.echo("Until then it is a draft: it makes no DAG, and files of the dataset wait in incoming/.")


def _drafted(file: Path, name: str) -> str:
    """The text of the contract.

    Raises:
        typer.Exit, SystemExit: the file cannot be drafted.
    """
    from include.ingestion.drafting.draft import draft_contract
    from include.ingestion.records import FileRefusedError
    from include.ingestion.trial.unpacked import unpacked

    try:
        with explained(), unpacked(file, None, ingest_settings()) as found:
            if found is None:
                return draft_contract(file, name, ingest_settings())
            member = max(found.archive.wanted, key=lambda one: (one.refusal is None, one.size))
            text = draft_contract(found.file(member), name, ingest_settings(), file.name)
            typer.echo(visible(f"{file} is an archive; this is drafted from its largest file, {member.path}"), err=True)
            return text
    except FileRefusedError as refusal:
        fail(visible(f"{file} cannot be drafted: {refusal.code}: {refusal}"))
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror or error}")
