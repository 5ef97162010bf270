"""The rules over several keys of a database source, and over the definition and its contract.

What belongs here: what the model cannot say. What does not: types and bounds of one key (`definition`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from include.contracts.model import Contract
    from include.contracts.problems import Findings
    from include.sources.database.definition import DatabaseSource


def check_database(source: DatabaseSource, findings: Findings) -> None:
    """Add a problem for each rule that the definition breaks."""
    if source.table is None and source.query is None:
        findings.add("table", "there is neither a table nor a query", "add table or query")
    if source.table is not None and source.query is not None:
        findings.add("query", "there is a table, too", "remove one of the two")
    if source.table is None and source.db_schema is not None:
        findings.add("schema", "a query has no schema", "remove it, and write schema.table in the query")
    if source.keep_raw is not None:
        remedy = "remove it: the Parquet file of a run stays in processed/ or failed/ as it was read"
        findings.add("keepRaw", "a database source has no answers to keep", remedy)


def check_database_contract(source: DatabaseSource, contract: Contract, findings: Findings) -> None:
    """Add a problem for each rule that definition and contract break together."""
    window, name = source.incremental, contract.path.name
    if window is None:
        return
    if contract.is_snapshot:
        what = f"a window of rows is never the whole table, as mode: snapshot of {name} says"
        findings.add("incremental", what, "remove mode there, or incremental here")
    if contract.appends and (window.overlap is not None or window.lag is None):
        what = f"the contract {name} has no key, so rows of the overlap would load twice"
        findings.add("incremental.overlap", what, "write lag without overlap, or give the contract a key")
