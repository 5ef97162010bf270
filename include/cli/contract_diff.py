"""`filegate contract diff`: compares a contract with its table, and says what a load would do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from include.cli.contract_lookup import contract_of
from include.cli.output import REFUSED, print_rows
from include.cli.stores import reading
from include.errors import Code, visible

if TYPE_CHECKING:
    from include.contracts.model import Contract
    from include.ingestion.table_shape import TableShape

_COLUMNS = ("column", "contract", "table", "load")
_SAME, _ADDS, _WIDENS, _LEAVES_NULL, _REFUSED = "same", "adds it", "widens it", "leaves it null", "is refused"


def diff(
    dataset: Annotated[str, typer.Argument(help="A dataset that has a contract.", metavar="NAME")],
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Compare a contract with its table: columns, types and key. Exit code 4 if a load would be refused."""
    from include.ingestion.target import Target

    contract = contract_of(dataset)
    with reading() as connection:
        shape = Target(contract, 0, 0).shape(connection)
    columns = _columns(contract, shape)
    if as_json:
        typer.echo(json.dumps(_document(contract, shape, columns), indent=2))
    else:
        _print(contract, shape, columns)
    if shape.found:
        raise typer.Exit(REFUSED)


def _columns(contract: Contract, shape: TableShape) -> list[dict[str, Any]]:
    """Each column of the contract and of the table: its type in both, and what a load does with it."""
    refused = {difference.column for difference in shape.found}
    table = shape.types or {}
    found: list[dict[str, Any]] = []
    for column in contract.columns:
        there = table.get(column.name)
        load = _SAME if column.name not in shape.missing else _ADDS if there is None else _WIDENS
        if column.name in refused:
            load = _REFUSED
        found.append({"column": column.name, "contract": column.postgres_type, "table": there, "load": load})
    found += [
        {"column": name, "contract": "timestamptz", "table": None, "load": _ADDS}
        for name in shape.missing
        if name not in contract.by_name  # the mark of deleted rows
    ]
    for name, kind in table.items():
        if name not in contract.by_name:
            load = _REFUSED if name in refused else _LEAVES_NULL
            found.append({"column": name, "contract": None, "table": kind, "load": load})
    return found


def _document(contract: Contract, shape: TableShape, columns: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "dataset": contract.dataset,
        "contract_version": contract.version,
        "table": f"raw.{contract.dataset}" if shape.types is not None else None,
        "load": Code.TABLE_DIFFERS if shape.found else "changes the table" if shape.missing else "changes nothing",
        "key": {"contract": list(contract.key), "table": list(shape.key)},
        "columns": columns,
        "differences": [{"column": one.column, "difference": one.text, "remedy": one.remedy} for one in shape.found],
    }


def _print(contract: Contract, shape: TableShape, columns: list[dict[str, Any]]) -> None:
    table = f"raw.{contract.dataset}"
    typer.echo(f"contract {contract.dataset} {contract.version} ({contract.status}) and table {table}")
    changed = [row for row in columns if row["load"] != _SAME]
    if shape.types is None:
        typer.echo(f"There is no table. A load creates it: {len(columns)} columns, key {', '.join(contract.key)}.")
        return
    if changed:
        print_rows(changed, _COLUMNS, as_json=False)
    typer.echo(f"{len(columns) - len(changed)} columns are the same; key {', '.join(shape.key) or 'none'}.")
    if shape.found:
        typer.echo(f"\nA load is refused as {Code.TABLE_DIFFERS}:")
        for difference in shape.found:
            typer.echo(visible(f"- {difference.text}: {difference.remedy}"))
        typer.echo("\nChange the contract back, or run the statements as the owner: filegate psql --role owner")
        return
    counts = {what: sum(row["load"] == what for row in changed) for what in (_ADDS, _WIDENS)}
    does = [f"{what.split()[0]} {count} column{'s' * (count != 1)}" for what, count in counts.items() if count]
    typer.echo(f"A load {' and '.join(does) or 'changes nothing of the table'}.")
