"""Runs the stages of the ingest DAG for tests, and reads the results from ledger, table and bucket."""

from __future__ import annotations

import csv
import io
import itertools
import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from include.ingestion.attempt import Stores, open_stores
from include.ingestion.claim import claim
from include.ingestion.object_keys import REJECTS, REPORT, incoming_prefix
from include.ingestion.pipeline import BatchResult, ingest_batch
from include.ingestion.records import AirflowRun
from include.ingestion.settle import settle
from include.samples.badness import SampleFormat
from include.samples.writer import Sample, write_sample
from include.stores.object_store import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from include.contracts.model import Contract
    from include.samples.report import SampleReport
    from include.settings import IngestSettings, S3Config, WarehouseConfig

LINEAGE = ("_file_id", "_source_row", "_loaded_at")
Row = dict[str, Any]


def direct(config: WarehouseConfig) -> psycopg.Connection[Row]:
    """A plain connection, without the pipeline's session settings and error translation."""
    return psycopg.connect(
        host=config.host, port=config.port, dbname=config.database, user=config.user,
        password=config.password.get_secret_value(), autocommit=True, row_factory=dict_row,
        options="-c timezone=UTC -c statement_timeout=60s",
    )  # fmt: skip


@dataclass
class Pipeline:
    """One dataset in a separate bucket. By default, every claim belongs to a new run."""

    contract: Contract
    settings: IngestSettings
    s3: S3Config
    warehouse: WarehouseConfig
    owner: psycopg.Connection[Row]
    folder: Path
    objects: ObjectStore = field(init=False)
    _runs: Iterator[int] = field(init=False, default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.objects = ObjectStore(self.s3)

    @property
    def bucket(self) -> str:
        return self.settings.landing_bucket

    # --- the stages

    @contextmanager
    def stores(self) -> Iterator[Stores]:
        with open_stores(self.s3, self.warehouse) as stores:
            yield stores

    def put(self, name: str, body: bytes | str) -> str:
        """Put an object into the dataset's folder under incoming/; its key."""
        key = incoming_prefix(self.contract.dataset) + name
        self.objects.put(self.bucket, key, body.encode() if isinstance(body, str) else body)
        return key

    def sample(self, name: str, rows: int, file_format: SampleFormat = SampleFormat.CSV, **how: Any) -> SampleReport:
        """Write a generated file to the test's folder."""
        return write_sample(Sample(self.contract, rows, **how), self.folder / name, file_format)

    def claim(self, run_id: str | None = None) -> list[list[int]]:
        with self.stores() as stores:
            run = AirflowRun("ingest_test", run_id or f"run-{next(self._runs)}")
            return claim(self.contract, stores, run, self.settings)

    def ingest(self, batches: Sequence[Sequence[int]]) -> BatchResult:
        """Ingest all batches, each with separate stores as in a task; the sum of their results."""
        total = BatchResult()
        for batch in batches:
            with self.stores() as stores:
                result = ingest_batch(self.contract, batch, stores, self.settings)
            total.files.update(result.files)
            total.rows += result.rows
            total.waiting += result.waiting
        return total

    def settle(self) -> dict[str, int]:
        with self.stores() as stores:
            return settle(self.contract, stores, self.settings)

    def run(self) -> BatchResult:
        """Claim, ingest and settle, as one run of the DAG does."""
        result = self.ingest(self.claim())
        self.settle()
        return result

    def send(self, name: str, body: bytes | str) -> Row:
        """Drop a file and run once; its newest ledger entry."""
        key = self.put(name, body)
        self.run()
        return self.entries(key)[-1]

    # --- the results

    def sql(self, query: str, *values: object, **names: str) -> list[Row]:
        """Run a statement as the warehouse's owner; `{table}` is the dataset's table."""
        names_ = {
            "table": sql.Identifier("raw", self.contract.dataset),
            **{k: sql.Identifier(v) for k, v in names.items()},
        }
        with self.owner.cursor() as cursor:
            cursor.execute(sql.SQL(query).format(**names_) if "{" in query else query, values or None)
            return cursor.fetchall() if cursor.description else []

    def entries(self, key: str | None = None) -> list[Row]:
        """The dataset's ledger entries in this bucket, the oldest first."""
        return self.sql(
            "SELECT * FROM ops.file_ingestion_log WHERE dataset = %s AND bucket = %s "
            "AND (%s::text IS NULL OR object_key = %s) ORDER BY file_id",
            self.contract.dataset, self.bucket, key, key,
        )  # fmt: skip

    def entry(self, file_id: int) -> Row:
        return self.sql("SELECT * FROM ops.file_ingestion_log WHERE file_id = %s", file_id)[0]

    def count(self) -> int:
        """The number of rows in the table; 0 if there is no table."""
        if not self.sql("SELECT to_regclass(%s) AS there", f"raw.{self.contract.dataset}")[0]["there"]:
            return 0
        return self.sql("SELECT count(*) AS n FROM {table}")[0]["n"]

    def rows(self, *, lineage: bool = False) -> list[Row]:
        """The table's rows in key order, by default without lineage columns."""
        key = ", ".join(f'"{name}"' for name in self.contract.key)
        rows = self.sql(f"SELECT * FROM {{table}} ORDER BY {key}")
        return rows if lineage else [{k: v for k, v in row.items() if k not in LINEAGE} for row in rows]

    def versions(self) -> dict[str, str]:
        """The transaction that wrote each row, by the row's ctid: equal results mean that no row was written."""
        return {row["ctid"]: row["xmin"] for row in self.sql("SELECT ctid::text, xmin::text FROM {table}")}

    def rejected(self, file_id: int) -> list[Row]:
        return self.sql("SELECT * FROM ops.rejected_rows WHERE file_id = %s ORDER BY source_row, column_name", file_id)

    def events(self, file_id: int) -> list[str]:
        """The statuses a file went through."""
        events = self.sql("SELECT status FROM ops.file_event WHERE file_id = %s ORDER BY event_id", file_id)
        return [event["status"] for event in events]

    def keys(self, prefix: str = "") -> list[str]:
        return [item.key for item in self.objects.list(self.bucket, prefix)]

    def read(self, key: str) -> bytes:
        _, chunks = self.objects.read(self.bucket, key)
        return b"".join(chunks)

    def report(self, entry: Row) -> dict[str, Any]:
        """The report beside a settled file."""
        return json.loads(self.read(entry["settled_key"] + REPORT))

    def reject_file(self, entry: Row) -> list[dict[str, str]]:
        """The reject file beside a settled file."""
        return list(csv.DictReader(io.StringIO(self.read(entry["settled_key"] + REJECTS).decode(), newline="")))

    def staging_tables(self) -> list[str]:
        """Tables of this dataset that are left in schema load."""
        found = self.sql(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'load' AND tablename ~ %s",
            f"^{self.contract.dataset}_[0-9]+_[0-9]+$",
        )
        return [row["tablename"] for row in found]

    # --- what must always hold

    def assert_tidy(self) -> None:
        """Assert that nothing is left: no staging table, no staging object, no spooled file, nothing in incoming/."""
        assert self.staging_tables() == []
        assert self.keys("staging/") == []
        assert self.keys("incoming/") == []
        assert not self.settings.spool_dir.exists() or list(self.settings.spool_dir.iterdir()) == []

    def assert_archived(self, entry: Row, **rows: int) -> None:
        """Assert that a file was loaded and moved, and its counts add up; `rows` are the counts that are not zero."""
        assert entry["status"] == "archived", (entry["error_code"], entry["error_message"])
        names = ("inserted", "updated", "unchanged", "duplicate", "rejected")
        counts = {name: entry[f"rows_{name}"] for name in names}
        assert counts == dict.fromkeys(names, 0) | rows
        assert entry["rows_read"] == sum(counts.values())
        assert entry["stage"] == "settle"
        name = entry["object_key"].rsplit("/", maxsplit=1)[-1]
        assert entry["settled_key"] == f"processed/{entry['dataset']}/{entry['file_id']}/{name}"
        assert self.objects.head(self.bucket, entry["settled_key"]) is not None
        assert self.objects.head(self.bucket, entry["object_key"]) is None
        times = [entry[f"{at}_at"] for at in ("claimed", "validated", "processed", "loaded", "settled")]
        assert times == sorted(times)

    def assert_refused(self, entry: Row, code: str, stage: str = "validation") -> dict[str, Any]:
        """Assert that a file is in quarantine with this code and a readable message; its report."""
        assert (entry["status"], entry["error_code"]) == (f"{stage}_failed", code), entry["error_message"]
        assert entry["settled_key"].startswith(f"failed/{stage}_failed/{entry['dataset']}/{entry['file_id']}/")
        assert self.objects.head(self.bucket, entry["settled_key"]) is not None
        assert self.objects.head(self.bucket, entry["object_key"]) is None
        text = self.read(entry["settled_key"] + REPORT).decode()
        assert "Traceback" not in text + entry["error_message"]
        assert "\\n" not in json.dumps(entry["error_message"])
        report: dict[str, Any] = json.loads(text)
        assert (report["code"], report["message"]) == (code, entry["error_message"])
        assert len(report["message"]) > 20
        assert report["what_to_do"]
        return report
