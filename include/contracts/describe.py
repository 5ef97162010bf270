"""A contract as Markdown, for the DAG's page and the command `describe`.

What belongs here: layout. What does not: any rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.contracts.model import Deletes, OnDuplicate, UnknownColumns, percent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from include.contracts.model import Column, Contract, ErrorBudget

_UNKNOWN = {
    UnknownColumns.REJECT: "reject: a file with columns not listed here is quarantined",
    UnknownColumns.IGNORE: "ignore: columns not listed here are dropped",
    UnknownColumns.RESCUE: "rescue: columns not listed here are kept as JSON in `_rescued`",
    UnknownColumns.EVOLVE: "evolve: columns not listed here are added to the table",
}

_ON_DUPLICATE = {
    OnDuplicate.REFUSE: "the newest stays; equally new ones that differ are all refused",
    OnDuplicate.LAST_WINS: "lastWins: the newest stays, of equally new ones the last",
}


def describe(contract: Contract) -> str:
    """The contract as Markdown."""
    parts = [f"# {contract.dataset}", contract.description, _overview(contract), "## Columns", _columns(contract)]
    if contract.row_rules:
        parts += ["## Row rules", "A row that breaks one is rejected."]
        parts.append("\n".join(f"- **{r.name}**: {r.description} `{r.expression}`" for r in contract.row_rules))
    if contract.expectations:
        parts += ["## Checks before publishing", "A critical one stops the file; the others are reported."]
        parts.append(_expectations(contract))
    return "\n\n".join(part for part in parts if part) + "\n"


def _overview(contract: Contract) -> str:
    properties = {
        "Version": contract.version,
        **({"Status": f"{contract.status}: no DAG until it is active"} if contract.is_draft else {}),
        "Owner": contract.owner or "not named",
        "Table": f"`raw.{contract.dataset}`",
        "Key": ", ".join(f"`{name}`" for name in contract.key),
        **_which_row(contract),
        **({"Deletes": _deletes(contract)} if contract.deletes else {}),
        "Files": listed([f"incoming/{contract.dataset}/*", *(f"incoming/{p}" for p in contract.file_patterns)]),
        "Unknown columns": _UNKNOWN[contract.unknown_columns],
        "Error budget": _budget(contract.budget),
    }
    if contract.dialect.record_path is not None:
        properties["Records in JSON"] = f"at `{contract.dialect.record_path}`"
    if contract.dialect.key_column is not None:
        properties["Keys of JSON records"] = f"`{contract.dialect.key_column}`"
    if contract.min_share_of_usual is not None:
        share = percent(contract.min_share_of_usual)
        properties["Rows of a file"] = f"at least {share} of the median of the last ten files"
    if contract.drift is not None:
        columns = listed(contract.drift.columns)
        properties["Drift"] = f"{columns}: the last 7 days are compared with the 28 before, by `{contract.drift.time}`"
    if contract.freshness_hours is not None:
        properties["Freshness"] = f"new data at least every {contract.freshness_hours:g} hours"
    if contract.lake is not None:
        parts = ", ".join(f"`{part}`" for part in contract.lake.partition_by)
        properties["Lakehouse"] = f"`lake.raw.{contract.dataset}`" + (f", partitioned by {parts}" if parts else "")
    return properties_table(properties)


def _which_row(contract: Contract) -> dict[str, str]:
    if contract.appends:
        return {"Rows": "each is inserted; none replaces another"}
    return {
        "Newest row": f"greatest `{contract.newest_by}`" if contract.newest_by else "the one of the file written last",
        "Rows of a file with one key": _ON_DUPLICATE[contract.on_duplicate],
    }


def _deletes(contract: Contract) -> str:
    what = "marked in `_deleted_at`" if contract.deletes is Deletes.SOFT else "deleted"
    if contract.is_snapshot:
        most = percent(contract.max_delete_share)
        return f"rows that a file lacks are {what}; a file that lacks more than {most} of the rows is quarantined"
    return f"the row of a message without a value is {what}"


def _budget(budget: ErrorBudget) -> str:
    if budget.unlimited:
        return "no limit: bad rows are rejected, however many they are; all others load"
    if not budget.bounds:
        return "none: one bad row quarantines the file"
    return f"at most {budget.bounds} of a file may be rejected; all others load"


def _columns(contract: Contract) -> str:
    head = ["| Column | Type | Required | Rules | Description |", "|---|---|---|---|---|"]
    rows = [
        f"| `{column.name}` | {column.postgres_type} | {'yes' if column.required else ''} "
        f"| {cell('; '.join(_rules(column)))} | {cell(column.description)} |"
        for column in contract.columns
    ]
    return "\n".join(head + rows)


def _rules(column: Column) -> list[str]:
    found = []
    if column.path is not None:
        found.append(f"found at `{column.path}`")
    if column.partition is not None:
        found.append(f"from the folder `{column.partition}=`")
    if column.derived is not None:
        found.append(f"derived as `{column.derived}`")
    if column.enriched is not None:
        found.append(f"enriched: {column.enriched}")
    if column.minimum is not None:
        found.append(f"{'above' if column.exclusive_minimum else 'from'} {column.minimum}")
    if column.maximum is not None:
        found.append(f"{'below' if column.exclusive_maximum else 'to'} {column.maximum}")
    if column.min_length is not None or column.max_length is not None:
        most = "any" if column.max_length is None else column.max_length
        found.append(f"length {column.min_length or 0} to {most}")
    if column.pattern is not None:
        found.append(f"matches `{column.pattern}`")
    if column.allowed:
        found.append(f"one of {', '.join(column.allowed)}")
    if column.formats:
        found.append(f"also as {listed(list(column.formats))}")
    if column.cleaning:
        found.append(f"cleaned: {', '.join(column.cleaning)}")
    if column.type.has_zone:
        found.append("with a time zone, else UTC")
    return found


def _expectations(contract: Contract) -> str:
    head = ["| Severity | Check | Meaning |", "|---|---|---|"]
    rows = []
    for expectation in contract.expectations:
        arguments = ", ".join(f"{name}={value}" for name, value in expectation.kwargs)
        check = f"`{expectation.type}({arguments})`"
        rows.append(f"| {expectation.severity} | {cell(check)} | {cell(expectation.description)} |")
    return "\n".join(head + rows)


def properties_table(properties: Mapping[str, str]) -> str:
    """A table with a line for each property."""
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {cell(text)} |" for name, text in properties.items())])


def listed(items: Iterable[str]) -> str:
    """The items as code, separated by commas."""
    return ", ".join(f"`{item}`" for item in items)


def cell(text: str) -> str:
    """The text as the cell of a table: on one line, with bars that do not end it."""
    return " ".join(text.replace("|", "\\|").split())
