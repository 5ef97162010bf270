"""`filegate contract`: check contracts, print one as Markdown."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path  # noqa: TC003 (typer reads the annotations when it runs)
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from include.command_errors import explained
from include.contracts.catalog import read_catalog
from include.contracts.describe import describe as in_words
from include.contracts.problems import ContractError
from include.contracts.reader import read_contract
from include.errors import CommandError
from include.settings import ingest_settings

if TYPE_CHECKING:
    from include.contracts.model import Contract

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__
)
console = Console(highlight=False, soft_wrap=True)


@app.command()
def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH]...", help="Files; all contracts if none.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of text.")] = False,
) -> None:
    """Check every contract; exit 1 when one is broken."""
    with explained():
        directory = ingest_settings().contracts_dir
    chosen = paths or sorted([*directory.glob("*.yaml"), *directory.glob("*.yml")])
    found = [_checked(path) for path in chosen]
    broken = sum(isinstance(one, ContractError) for one in found)
    if as_json:
        rows = [_row(path, one) for path, one in zip(chosen, found, strict=True)]
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        for path, one in zip(chosen, found, strict=True):
            _print(path, one)
    if not chosen:
        with explained():
            raise CommandError(f"no contract in {directory}", "add one, or set INGEST_CONTRACTS_DIR")
    if broken:
        raise typer.Exit(1)


def _checked(path: Path) -> Contract | ContractError:
    try:
        return read_contract(path)
    except ContractError as error:
        return error


def _print(path: Path, found: Contract | ContractError) -> None:
    if isinstance(found, ContractError):
        console.print(f"BROKEN  {path}", style="red", markup=False)
        for problem in found.problems:
            console.print(f"  - {problem}", markup=False)
        return
    counts = f"{len(found.row_rules)} row rules, {len(found.expectations)} checks"
    console.print(f"sound   {path}  ({len(found.columns)} columns, key {', '.join(found.key)}, {counts})", markup=False)
    if found.is_draft:
        console.print(f"  - status: {found.status}: no DAG until it is `status: active`", markup=False)


def _row(path: Path, found: Contract | ContractError) -> dict[str, object]:
    if isinstance(found, ContractError):
        return {"path": str(path), "sound": False, "problems": [asdict(problem) for problem in found.problems]}
    return {
        "path": str(path),
        "sound": True,
        "problems": [],
        "dataset": found.dataset,
        "version": found.version,
        "status": found.status,
        "columns": len(found.columns),
        "key": list(found.key),
        "row_rules": len(found.row_rules),
        "checks": len(found.expectations),
    }


@app.command()
def describe(dataset: Annotated[str, typer.Argument(help="A dataset that has a contract.")]) -> None:
    """Print a contract as Markdown."""
    with explained():
        contract = read_catalog(ingest_settings().contracts_dir).find(dataset)
    typer.echo(in_words(contract), nl=False)


if __name__ == "__main__":
    app()
