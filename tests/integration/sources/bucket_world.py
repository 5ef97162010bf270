"""A bucket source of a test: a bucket on one S3 server, the landing bucket on another one, and the real warehouse."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from element_world import Crash, Row, Steps

from include.contracts.model import Column, ColumnType
from include.contracts.reader import read_contract
from include.ingestion.attempt import open_stores
from include.ingestion.claim import claim
from include.ingestion.pipeline import ingest_batch
from include.ingestion.records import AirflowRun
from include.ingestion.settle import settle
from include.settings import CONTRACTS_DIR, IngestSettings
from include.sources import positions
from include.sources.bucket import copying, run
from include.sources.bucket.definition import BucketSource
from include.sources.bucket.run import BucketTask, CollectedObjects, collect_objects
from include.sources.elements import elements
from include.sources.listing import Traffic
from include.sources.run import SourceStores
from include.sources.runs import AirflowAttempt
from include.stores.object_store import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import psycopg
    import pytest

    from include.contracts.model import Contract
    from include.settings import S3Config, WarehouseConfig
    from include.stores.object_store import ObjectInfo
    from include.stores.warehouse import Connection
    from local.supervisor.platform import Platform

__all__ = ["BucketWorld", "Crash"]

COLUMNS = (Column("id", ColumnType.TEXT, required=True), Column("n", ColumnType.INTEGER))
RUN_ID = "scheduled__2026-12-01T10:00:00+00:00"


class OriginStore(ObjectStore):
    """The store of the source. `before` is called before an object is read, `between` after each chunk of it."""

    steps = Steps()
    before: Callable[[ObjectInfo], object] | None = None
    between: Callable[[ObjectInfo, int], object] | None = None

    def pages(self, *given: Any) -> Any:
        pages = super().pages(*given)
        while (page := self.steps.do(lambda: next(pages, None))) is not None:
            yield page

    def read_version(self, bucket: str, version: ObjectInfo, chunk_bytes: int = 0) -> Iterator[bytes]:
        if self.before:
            self.before(version)
        chunks = self.steps.do(lambda: ObjectStore.read_version(self, bucket, version, chunk_bytes))
        return self._chunks(version, chunks)

    def _chunks(self, version: ObjectInfo, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for number, chunk in enumerate(chunks, start=1):
            yield chunk
            if self.between:
                self.between(version, number)


class LandingStore(ObjectStore):
    """The landing bucket, each call of which is a step."""

    steps = Steps()

    def head(self, bucket: str, key: str) -> Any:
        return self.steps.do(lambda: ObjectStore.head(self, bucket, key))

    def put_new_parts(self, bucket: str, key: str, parts: Iterator[bytes]) -> None:
        self.steps.do(lambda: ObjectStore.put_new_parts(self, bucket, key, parts))


@dataclass
class BucketWorld:
    """A source with its bucket, and a dataset. Objects are CSV files with the columns id and n."""

    platform: Platform
    origin_config: S3Config
    name: str
    landing_bucket: str
    owner: psycopg.Connection[Row]
    folder: Path
    contract_changes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.origin = OriginStore(self.origin_config)
        self.landing = LandingStore(self.platform.s3_config)
        self.traffic = Traffic()

    @property
    def bucket(self) -> str:
        return self.name.replace("_", "-")

    @property
    def contract(self) -> Contract:
        shipped = read_contract(CONTRACTS_DIR / "sales.yaml")
        own = {"dataset": self.name, "columns": COLUMNS, "key": ("id",), "newest_by": "n", "row_rules": (),
               "expectations": (), "file_patterns": (), "min_share_of_usual": None}  # fmt: skip
        return replace(shipped, **(own | self.contract_changes))

    def source(self, **changes: Any) -> BucketSource:
        values = {
            "name": self.name, "kind": "bucket", "connection": "source_test", "schedule": None, "dataset": self.name,
            "bucket": self.bucket, "prefix": "exports/", "pattern": "**/*.csv", **changes,
        }  # fmt: skip
        return BucketSource.model_validate(values)

    def collect(self, *, full: bool = False, run_id: str = RUN_ID, **changes: Any) -> CollectedObjects:
        """Run once; `changes` of the definition."""
        source = self.source(**changes)
        [element] = elements(source)
        self.traffic = Traffic()
        stores = SourceStores(
            self.landing, self.platform.warehouse_config(), self.landing_bucket, self.folder / "spool"
        )
        task = BucketTask(source, self.contract, element, AirflowAttempt(AirflowRun("collect", run_id)), full)
        return collect_objects(task, self.origin, self.traffic, stores)

    # --- objects

    def put(self, name: str, content: str | bytes | None = None, prefix: str = "exports/") -> bytes:
        """Write an object of the source; by default a CSV file with one row, whose id is the name."""
        body = f"id,n\n{name},1\n" if content is None else content
        body = body.encode() if isinstance(body, str) else body
        self.origin.put(self.bucket, prefix + name, body)
        return body

    def delete(self, name: str, prefix: str = "exports/") -> None:
        self.origin.delete(self.bucket, prefix + name)

    @property
    def incoming(self) -> dict[str, bytes]:
        """The copies in incoming/, by their path below the folder of the source."""
        prefix = f"incoming/{self.name}/{self.name}/"
        listed = ObjectStore.list(self.landing, self.landing_bucket, prefix)
        return {item.key.removeprefix(prefix): self.body(item.key) for item in listed}

    def body(self, key: str) -> bytes:
        return b"".join(ObjectStore.read(self.landing, self.landing_bucket, key)[1])

    @property
    def landed(self) -> list[bytes]:
        """The content of each copy, in incoming/ or behind the pipeline, without reports."""
        keys = [item.key for item in ObjectStore.list(self.landing, self.landing_bucket, "")]
        return sorted(self.body(key) for key in keys if not key.endswith((".report.json", ".rejects.csv")))

    # --- rows

    @property
    def rows(self) -> list[Row]:
        """The rows of ops.source_object, by key."""
        return self.select("SELECT * FROM ops.source_object WHERE source = %s ORDER BY object_key")

    @property
    def runs(self) -> list[Row]:
        return self.select("SELECT * FROM ops.source_run WHERE source = %s ORDER BY source_run_id")

    @property
    def position(self) -> Row:
        return self.select("SELECT * FROM ops.source_position WHERE source = %s")[0]

    @property
    def loaded(self) -> dict[str, int]:
        """The rows of the table: n by id."""
        rows = self.owner.execute(f'SELECT id, n FROM raw."{self.name}"'.encode()).fetchall()
        return {row["id"]: row["n"] for row in rows}

    def select(self, query: str) -> list[Row]:
        return self.owner.execute(query.encode(), [self.name]).fetchall()

    def load(self) -> list[Row]:
        """Load the copies as ingest_<dataset> does; return the entries of the ledger, the oldest first."""
        settings = IngestSettings(landing_bucket=self.landing_bucket, spool_dir=self.folder / "ingest")
        with open_stores(self.platform.s3_config, self.platform.warehouse_config()) as stores:
            while batches := claim(self.contract, stores, AirflowRun("ingest_test", "run"), settings):
                for batch in batches:
                    ingest_batch(self.contract, batch, stores, settings)
                settle(self.contract, stores, settings)
        return self.select("SELECT * FROM ops.file_ingestion_log WHERE dataset = %s ORDER BY file_id")

    # --- crashes

    @contextmanager
    def steps(self, monkeypatch: pytest.MonkeyPatch, at: int = 0, *, after: bool = False) -> Iterator[Steps]:
        """Count the calls of stores and warehouse, one after the other, and crash at one of them."""
        counted = self.origin.steps = self.landing.steps = Steps(at, after)
        real = run.connect

        @contextmanager
        def connect(config: WarehouseConfig) -> Iterator[Connection]:
            with real(config) as connection:
                execute = connection.execute
                connection.execute = lambda *given: counted.do(lambda: execute(*given))  # type: ignore[method-assign]
                yield connection

        with monkeypatch.context() as patched:
            patched.setattr(copying, "_AT_ONCE", 1)
            for module in (run, copying, positions):
                patched.setattr(module, "connect", connect)
            try:
                yield counted
            finally:
                self.origin.steps = self.landing.steps = Steps()

    def clear(self) -> None:
        self.owner.execute(f'DROP TABLE IF EXISTS raw."{self.name}"'.encode())
        for table in ("source_position", "source_run", "source_object"):
            self.owner.execute(f"DELETE FROM ops.{table} WHERE source = %s".encode(), [self.name])
