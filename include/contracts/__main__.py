"""`python -m include.contracts`: check contracts, print one as Markdown, draft one from a sample file."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (typer reads the annotations when it runs)
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from include.contracts.catalog import UnknownDatasetError, read_catalog
from include.contracts.describe import describe as in_words
from include.contracts.problems import ContractError
from include.contracts.reader import read_contract
from include.settings import ingest_settings

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__
)
console = Console(highlight=False, soft_wrap=True)

# First bytes of Parquet, gzip, zstd and UTF-16 text: these may be tables although they contain zero bytes.
_BINARY_TABLES = (b"PAR1", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xff\xfe", b"\xfe\xff")


@app.command()
def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH]...", help="Files; all contracts if none.")
    ] = None,
) -> None:
    """Check every contract; exit 1 when one is broken."""
    directory = ingest_settings().contracts_dir
    broken = 0
    for path in paths or sorted([*directory.glob("*.yaml"), *directory.glob("*.yml")]):
        try:
            contract = read_contract(path)
        except ContractError as error:
            broken += 1
            console.print(f"BROKEN  {path}", style="red", markup=False)
            for problem in error.problems:
                console.print(f"  - {problem}", markup=False)
        else:
            rules = len(contract.row_rules)
            checks = len(contract.expectations)
            summary = (
                f"{len(contract.columns)} columns, key {', '.join(contract.key)}, {rules} row rules, {checks} checks"
            )
            console.print(f"sound   {path}  ({summary})", markup=False)
            if contract.is_draft:
                console.print(f"  - status: {contract.status}: no DAG until it is `status: active`", markup=False)
    if not (paths or broken or any(directory.glob("*.y*ml"))):
        _fail(f"no contract in {directory}: add one, or set INGEST_CONTRACTS_DIR")
    if broken:
        raise typer.Exit(1)


@app.command()
def describe(dataset: Annotated[str, typer.Argument(help="A dataset that has a contract.")]) -> None:
    """Print a contract as Markdown."""
    catalog = read_catalog(ingest_settings().contracts_dir)
    try:
        contract = catalog.find(dataset)
    except (ContractError, UnknownDatasetError) as error:
        _fail(str(error))
    typer.echo(in_words(contract), nl=False)


@app.command()
def draft(
    file: Annotated[Path, typer.Argument(help="A sample: CSV, JSON, NDJSON or Parquet.")],
    name: Annotated[str, typer.Option("--name", help="What the dataset will be called.")],
    out: Annotated[
        Path | None, typer.Option(help="Where to write it; contracts directory/NAME.yaml if left out.")
    ] = None,
) -> None:
    """Draft a contract from a sample file. An existing contract is never overwritten."""
    from include.contracts.draft import draft_contract

    if reason := _no_table(file):
        _fail(f"{file} {reason}; give a CSV, JSON, NDJSON or Parquet file")
    target = out or ingest_settings().contracts_dir / f"{name}.yaml"
    if target.exists():
        _fail(f"{target} exists already; remove it or choose another --out")
    try:
        text = draft_contract(file, name)
    except ContractError as error:
        _fail(str(error))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        _fail(f"cannot write {target}: {error.strerror}")
    reviews = text.count("REVIEW")
    console.print(f"{target}: drafted; {reviews} lines are marked REVIEW. Look at them, then run:", markup=False)
    console.print(f"  filegate contract check {target}", markup=False)
    console.print("It is a draft: its DAG appears after `filegate contract activate`.", markup=False)


def _no_table(file: Path) -> str:
    """Why the file cannot be a sample, by its first bytes; empty if it may be one."""
    if not file.is_file():
        return "is not a file"
    try:
        with file.open("rb") as stream:
            head = stream.read(4096)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return "is a binary file" if b"\0" in head and not head.startswith(_BINARY_TABLES) else ""


def _fail(message: str) -> NoReturn:
    console.print(message, style="red", markup=False)
    raise typer.Exit(1)


if __name__ == "__main__":
    app()
