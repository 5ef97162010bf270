"""`filegate contract draft`: a contract for the files that are like a sample."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer

from include.cli.drafted_contract import refuse_existing, write_contract
from include.cli.output import WRONG_USAGE, fail
from include.cli.platform_access import finds_platform
from include.command_errors import explained
from include.errors import Code, visible
from include.settings import ingest_settings

if TYPE_CHECKING:
    from include.ingestion.trial.unpacked import Unpacked

_MOST_MEMBERS = 20  # of an archive, that are tried


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
    if write:
        refuse_existing(target)
    text = _drafted(file, name)
    if not write:
        typer.echo(text, nl=False)
        return
    write_contract(text, target)
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
            return _drafted_of(found, name)
    except FileRefusedError as refusal:
        fail(visible(f"{file} cannot be drafted: {refusal.code}: {refusal}"))
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror or error}")


def _drafted_of(found: Unpacked, name: str) -> str:
    """The contract of the largest member that can be drafted.

    Raises:
        FileRefusedError: none can; the reason is that of the largest one.
    """
    from include.ingestion.drafting.draft import draft_contract
    from include.ingestion.records import FileRefusedError

    first: FileRefusedError | None = None
    members = sorted(found.archive.wanted, key=lambda one: (one.refusal is None, one.size), reverse=True)
    for member in members[:_MOST_MEMBERS]:
        ending = PurePosixPath(member.path).suffix
        has_others = any(PurePosixPath(one.path).suffix != ending for one in members)
        pattern = f"*{ending}" if ending and has_others else ""
        try:
            text = draft_contract(found.file(member), name, ingest_settings(), found.path.name, member=pattern)
        except FileRefusedError as refusal:
            first = first or refusal
            continue
        typer.echo(visible(f"{found.path} is an archive; this is drafted from its file {member.path}"), err=True)
        return text
    raise first or FileRefusedError.for_code(Code.NO_ROWS)
