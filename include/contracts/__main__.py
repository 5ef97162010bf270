"""`filegate contract`: check contracts, print one as Markdown."""

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


def _fail(message: str) -> NoReturn:
    console.print(message, style="red", markup=False)
    raise typer.Exit(1)


if __name__ == "__main__":
    app()
