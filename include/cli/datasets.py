"""`filegate datasets`: every dataset, by its contract and by what the ledger and the bucket hold of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from include.cli.contract_lookup import catalog
from include.cli.output import print_rows
from include.cli.platform_access import use_platform
from include.cli.stores import query

_COLUMNS = ("dataset", "contract", "files", "rows", "failed", "waiting", "incoming", "last_loaded")

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def datasets(as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False) -> None:
    """List every dataset: its contract, files and rows loaded, files in quarantine and waiting, the last load.

    `incoming` are files that the last sweep saw in incoming/: those of a draft wait there until it is active.
    """
    use_platform()  # first: its environment says where the contracts are
    every = catalog()
    contracts = {name: f"{contract.version} {contract.status}" for name, contract in every.known.items()}
    contracts |= {error.file.stem: "broken" for error in every.broken}
    found = {row["dataset"]: row for row in query("list_datasets", {})}
    empty: dict[str, Any] = {"files": 0, "rows": 0, "failed": 0, "waiting": 0, "incoming": 0, "last_loaded": None}
    rows = [
        {"dataset": name, "contract": contracts.get(name, "none")} | empty | found.get(name, {})
        for name in sorted({*contracts, *found})
    ]
    print_rows(rows, _COLUMNS, as_json=as_json)
