"""Enrichments of columns: values that another system gives for each row while rows are processed.

What belongs here: the names that a contract may use, and the columns that each enrichment needs. What does not: the
requests to that system (`include.ingestion.enrich`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.contracts.model import Enrichment
from include.contracts.problems import nearest
from include.contracts.types import ColumnType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.contracts.model import Contract
    from include.contracts.problems import Findings

# The columns that are sent to the system, by its names for them, with the type that the contract must give.
INPUTS: dict[Enrichment, dict[str, ColumnType]] = {
    Enrichment.TRANSACTION_CATEGORY: {
        "id": ColumnType.UUID,
        "description": ColumnType.TEXT,
        "amount": ColumnType.NUMBER,
        "timestamp": ColumnType.TIMESTAMPTZ,
        "merchant": ColumnType.TEXT,
        "operation_type": ColumnType.TEXT,
        "side": ColumnType.TEXT,
    }
}


def read_enrichment(value: object, path: str, findings: Findings) -> Enrichment | None:
    """The enrichment that a contract names."""
    if isinstance(value, str) and value in set(Enrichment):
        return Enrichment(value)
    findings.add(path, f"'{value}' is no enrichment", nearest(str(value), set(Enrichment)))
    return None


def check_enriched(contract: Contract, paths: Mapping[str, str], findings: Findings) -> None:
    """Refuse enriched columns that cannot be filled: inputs are missing or have another type, or are needed earlier."""
    for column in contract.columns:
        if column.enriched is None:
            continue
        path = f"{paths[column.name]}.customProperties"
        if not column.type.is_text:
            findings.add(path, f"{column.enriched} gives text, not {column.type}", "use logicalType: string")
        if column.name in {*contract.key, contract.newest_by} or column.derived:
            findings.add(path, f"'{column.name}' must be known before rows are enriched", "choose another column")
        for name, kind in INPUTS[column.enriched].items():
            given = contract.by_name.get(name)
            if given is None or given.type is not kind or not given.is_sent:
                remedy = f"add a column {name} of type {kind} that the source sends"
                findings.add(path, f"{column.enriched} needs a column {name} ({kind})", remedy)
