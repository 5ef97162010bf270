"""Runs a case through the pipeline with real stores and through the oracle, and compares the results.

What belongs here: running one example cheaply, and describing differences. What does not: making examples.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ingest_pipeline import LINEAGE, Pipeline, Row

from include.contracts.model import ColumnType, Deletes
from include.ingestion.claim import claim
from include.ingestion.pipeline import ingest_batch
from include.ingestion.records import AirflowRun
from include.ingestion.settle import settle
from tests.oracle.archives import judge_archive
from tests.oracle.documents import Document
from tests.oracle.judge import judge
from tests.oracle.table import Table
from tests.oracle.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psycopg
    from file_cases import Case, File

    from include.contracts.model import Contract
    from include.ingestion.attempt import Stores
    from include.settings import IngestSettings, S3Config, WarehouseConfig
    from tests.oracle.verdict import Outcome

COUNTS = ("read", "inserted", "updated", "unchanged", "duplicate", "rejected", "deleted")


@dataclass
class BothPaths:
    """Connections, an engine and a bucket that all examples share. Each example has its own dataset."""

    stores: Stores
    settings: IngestSettings
    s3: S3Config
    warehouse: WarehouseConfig
    owner: psycopg.Connection[Row]
    folder: Path
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def differences(self, case: Case) -> list[str]:
        """Describe where the pipeline and the oracle differ; empty if they agree."""
        number = next(self._numbers)
        contract = replace(case.contract, dataset=f"proof_{number}")
        pipeline = Pipeline(contract, self.settings, self.s3, self.warehouse, self.owner, self.folder)
        table = Table(contract)
        found: list[str] = []
        try:
            for file in case.files:
                expected = _expected(table, file)
                entries = self._ingest(pipeline, file.name, file.body, number)
                keys = [entry["object_key"].removeprefix(entries[0]["object_key"]) for entry in entries]
                if keys != [path for path, _, _ in expected]:
                    found.append(f"{file.name}: the members {keys} of {entries[0]}, expected {expected}")
                    continue
                for entry, (path, verdict, outcome) in zip(entries, expected, strict=True):
                    found += [f"{file.name}{path}: {text}" for text in _compared(pipeline, entry, verdict, outcome)]
            found += table_differences(pipeline, table)
        finally:
            pipeline.sql("DROP TABLE IF EXISTS {table}")
        return found

    def _ingest(self, pipeline: Pipeline, name: str, body: bytes, number: int) -> list[Row]:
        """The entry of a file, and those of its members if it is an archive."""
        key = pipeline.put(name, body)
        contract, stores = pipeline.contract, self.stores
        run = AirflowRun("proof", f"{number}-{name}")
        for batch in claim(contract, stores, run, self.settings):
            ingest_batch(contract, batch, stores, self.settings)
        settle(contract, stores, self.settings)
        own = pipeline.entries(key)[-1]
        return [own, *(entry for entry in pipeline.entries() if entry["parent_file_id"] == own["file_id"])]


def _expected(table: Table, file: File) -> list[tuple[str, Verdict, Outcome]]:
    """The outcome of a file, and those of its members with what their keys have more than the archive's."""
    archive = judge_archive(table.contract, file.body, file.name)
    if archive is None:
        verdict = judge(table.contract, file.body, file.name)
        return [("", verdict, table.apply(verdict))]
    verdicts = [("", Verdict(archive.code)), *((f"#{path}", verdict) for path, verdict in archive.members)]
    return [
        (*one, outcome) for one, outcome in zip(verdicts, table.apply_archive(archive), strict=False)
    ]  # without members of an archive that is not loaded


def _compared(pipeline: Pipeline, entry: Row, verdict: Verdict, outcome: Outcome) -> list[str]:
    code = outcome.code.value if outcome.code else None
    found = []
    if entry["error_code"] != code:
        found.append(f"code {entry['error_code']} ({entry['error_message']}), expected {code}")
    elif outcome.code is None:
        counts = {name: entry[f"rows_{name}"] for name in COUNTS}
        expected = {name: getattr(outcome.counts, name) for name in COUNTS}
        # An archive has none, and its members have theirs.
        counts["skipped"], expected["skipped"] = entry["deletes_skipped"] or 0, outcome.counts.skipped
        found += [f"counts {counts}, expected {expected}"] if counts != expected else []
    if code == "duplicate-content":
        return found
    rejects = sorted(
        ((r["source_row"], r["source_line"], r["column_name"], r["code"]) for r in pipeline.rejected(entry["file_id"])),
        key=repr,
    )
    faults = sorted(((f.source_row, f.source_line, f.column, f.code.value) for f in verdict.faults), key=repr)
    if rejects != faults:
        found.append(
            "rejects: "
            + "; ".join(
                [f"only the pipeline has {r}" for r in rejects if r not in faults]
                + [f"only the oracle has {f}" for f in faults if f not in rejects]
            )
        )
    return found


def table_differences(pipeline: Any, table: Table) -> list[str]:
    """Describe where the table in the warehouse differs from the oracle's table."""
    contract = table.contract
    stored = {at if contract.appends else table.key(row): row for at, row in enumerate(stored_rows(pipeline, contract))}
    found = [f"row {key} is missing" for key in table.rows if key not in stored]
    found += [f"row {key} is not expected: {row}" for key, row in stored.items() if key not in table.rows]
    for key in table.rows.keys() & stored.keys():
        if contract.deletes is Deletes.SOFT:
            mark = stored[key].pop("_deleted_at")
            found += [f"row {key} is marked: {mark}"] if (mark is not None) is not (key in table.marked) else []
        for name, expected in table.rows[key].items():
            value = stored[key].get(name, "no such column")
            if value != expected or type(value) is not type(expected):
                found.append(f"row {key}, {name}: {value!r}, expected {expected!r}")
        unexpected = stored[key].keys() - table.rows[key].keys()
        found += [f"row {key} has the unexpected columns {unexpected}"] if unexpected else []
    return found


def stored_rows(pipeline: Any, contract: Contract) -> list[Row]:
    """The rows of the table, with JSON documents that keep every digit."""
    name = f"raw.{contract.dataset}"
    if not pipeline.sql("SELECT to_regclass(%s) AS there", name)[0]["there"]:
        return []
    documents = ["_rescued", *(column.name for column in contract.columns if column.type is ColumnType.JSON)]
    spelled = ", ".join(f'"{name}"::text AS "text of {name}"' for name in documents)
    rows = pipeline.sql(f"SELECT *, {spelled} FROM {{table}} ORDER BY _file_id, _source_row")
    for row in rows:
        for document in documents:
            text = row.pop(f"text of {document}")
            row[document] = None if text is None else Document.of_text(text)
        for lineage in LINEAGE:
            del row[lineage]
    return rows
