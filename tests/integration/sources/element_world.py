"""A source of a test between the real bucket and warehouse: a list of records that grows, read by a small reader."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from include.contracts.model import Column, ColumnType
from include.contracts.reader import read_contract
from include.ingestion.attempt import open_stores
from include.ingestion.claim import claim
from include.ingestion.pipeline import ingest_batch
from include.ingestion.records import AirflowRun
from include.ingestion.settle import settle
from include.settings import CONTRACTS_DIR, IngestSettings, KafkaConfig, StreamSettings
from include.sources import positions, run
from include.sources.definition import RestSource
from include.sources.deliver import element_slug
from include.sources.listing import Element, Listing, Position, Traffic
from include.sources.run import CollectedElement, ElementTask, SourceStores, collect
from include.sources.runs import AirflowAttempt
from include.stores.object_store import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from types import ModuleType

    import psycopg
    import pytest

    from include.contracts.model import Contract
    from include.errors import PipelineError
    from include.settings import WarehouseConfig
    from include.sources.listing import Sink
    from include.stores.warehouse import Connection
    from local.supervisor.platform import Platform

Row = dict[str, Any]
COLUMNS = (Column("id", ColumnType.TEXT, required=True), Column("n", ColumnType.INTEGER))
ELEMENT = "/shops/north/orders"
PAGE_RECORDS = 3


class Crash(BaseException):
    """The process dies: no code after this point runs, except what the operating system does, too."""


@dataclass
class Steps:
    """Counts the calls of stores and reader, and crashes at one of them. `at` 0: never."""

    at: int = 0
    after: bool = False
    count: int = 0

    def do(self, call: Callable[[], Any]) -> Any:
        self.count += 1
        is_last = self.count == self.at
        if is_last and not self.after:
            self.crash()
        result = call()
        if is_last:
            self.crash()
        return result

    def crash(self) -> None:
        raise Crash


class StepStore(ObjectStore):
    """The bucket, each call of which is a step. `before_put` runs once before a new file is written, or instead of it.

    Instead, if it returns True.
    """

    steps = Steps()
    before_put: Callable[[], object] | None = None

    def head(self, bucket: str, key: str) -> Any:
        return self.steps.do(lambda: ObjectStore.head(self, bucket, key))

    def put_new(self, bucket: str, key: str, body: Any, content_type: str = "") -> None:
        hook, self.before_put = self.before_put, None
        if hook and hook() is True:
            return
        self.steps.do(lambda: ObjectStore.put_new(self, bucket, key, body, content_type))


def count_statements(patched: pytest.MonkeyPatch, steps: Steps, *modules: ModuleType) -> None:
    """Count each statement of the warehouse's connections that the modules open."""
    real = run.connect

    @contextmanager
    def connect(config: WarehouseConfig) -> Iterator[Connection]:
        with real(config) as connection:
            execute = connection.execute
            connection.execute = lambda *given: steps.do(lambda: execute(*given))  # type: ignore[method-assign]
            yield connection

    for module in modules:
        patched.setattr(module, "connect", connect)


@dataclass
class ElementWorld:
    """One source with one dataset. Records are numbers; the watermark is the largest one that was read."""

    platform: Platform
    name: str
    raw_bucket: str
    landing_bucket: str
    owner: psycopg.Connection[Row]
    folder: Path
    kafka: KafkaConfig | None = None
    streams: StreamSettings = field(default_factory=StreamSettings)
    records: list[int] = field(default_factory=lambda: list(range(1, 8)))
    begun: list[Position] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.objects = StepStore(self.platform.s3_config)
        self.columns = COLUMNS
        self.changes: dict[str, Any] = {}

    # --- collecting

    @property
    def contract(self) -> Contract:
        shipped = read_contract(CONTRACTS_DIR / "sales.yaml")
        own = {"dataset": self.name, "columns": self.columns, "key": ("id",), "newest_by": "n", "row_rules": (),
               "expectations": (), "file_patterns": (), "min_share_of_usual": None}  # fmt: skip
        return replace(shipped, **(own | self.changes))

    def source(self, **changes: Any) -> RestSource:
        values = {
            "name": self.name, "kind": "rest", "connection": "source_test", "schedule": None, "dataset": self.name,
            "requests": [{"path": "/orders"}], **changes,
        }  # fmt: skip
        return RestSource.model_validate(values)

    @property
    def stores(self) -> SourceStores:
        warehouse = self.platform.warehouse_config()
        return SourceStores(
            self.objects, warehouse, self.landing_bucket, self.folder / "spool", self.kafka, self.streams
        )

    def collect(
        self,
        element: str = ELEMENT,
        read: Callable[..., Listing] | None = None,
        run_id: str = "manual__2026-12-01T10:00:00+00:00",
        *,
        is_stand_in: bool = False,
        attempt: AirflowAttempt | None = None,
        **changes: Any,
    ) -> CollectedElement:
        """Run once. `read` instead of the world's own reader; `changes` of the definition."""
        own = attempt or AirflowAttempt(AirflowRun("dag", run_id))
        traffic = Traffic(is_stand_in=is_stand_in)
        task = ElementTask(self.source(**changes), self.contract, Element(element, {"shop": "north/sea"}), own)
        chosen = read or self.reader()
        return collect(task, lambda *given: chosen(*given, traffic), traffic, self.stores)

    def reader(self, *, stop_after: int | None = None, error: PipelineError | None = None) -> Callable[..., Listing]:
        """A reader of pages of three records behind the watermark. After so many pages it stops, or meets an error."""

        def read(element: Element, position: Position, sink: Sink, traffic: Traffic) -> Listing:
            self.begun.append(position)
            listing = Listing(replace(position, next_page=None))
            waiting = iter([n for n in self.records if n > int(position.watermark or 0)])
            while page := list(islice(waiting, PAGE_RECORDS)):
                self.objects.steps.do(lambda: None)
                listing.pages += 1
                body = json.dumps([{"id": f"{element.name}:{n}", "n": n} for n in page]).encode()
                traffic.requests, traffic.bytes = traffic.requests + 1, traffic.bytes + len(body)
                sink.keep(body, listing.pages)
                for n in page:
                    sink.take(self.line(element.name, n))
                listing.records_read += len(page)
                listing.position = Position(str(page[-1]), "/orders?limit=3", f'"{page[-1]}"')
                if listing.pages == stop_after:
                    listing.error = error
                    if error is None:
                        listing.position = replace(listing.position, next_page=f"page {listing.pages + 1}")
                    break
            listing.not_modified = listing.records_read == 0
            return listing

        return read

    @staticmethod
    def line(element: str, n: int) -> bytes:
        return f'{{"id":"{element}:{n}","n":{n}}}'.encode()

    @contextmanager
    def steps(
        self, monkeypatch: pytest.MonkeyPatch, at: int = 0, *, after: bool = False, kind: type[Steps] = Steps
    ) -> Iterator[Steps]:
        """Count the calls of stores, warehouse and reader, and crash at one of them."""
        counted = self.objects.steps = kind(at, after)
        with monkeypatch.context() as patched:
            count_statements(patched, counted, run, positions)
            try:
                yield counted
            finally:
                self.objects.steps = Steps()

    # --- objects and rows

    def keys(self, bucket: str) -> list[str]:
        return [item.key for item in self.objects.list(bucket, "")]

    @property
    def raw(self) -> list[str]:
        return self.keys(self.raw_bucket)

    @property
    def incoming(self) -> list[str]:
        return [key for key in self.keys(self.landing_bucket) if key.startswith("incoming/")]

    def body(self, bucket: str, key: str) -> bytes:
        return b"".join(self.objects.read(bucket, key)[1])

    def delivered(self, element: str = ELEMENT) -> list[int]:
        """The numbers in all files of an element, wherever they are by now."""
        name = f"/{element_slug(element)}_"
        files = [key for key in self.keys(self.landing_bucket) if name in key and key.endswith(".ndjson")]
        lines = [line for key in files for line in self.body(self.landing_bucket, key).splitlines()]
        assert all(json.loads(line)["id"].startswith(f"{element}:") for line in lines)
        return sorted(json.loads(line)["n"] for line in lines)

    def row(self, element: str = ELEMENT) -> Row:
        return self._rows("SELECT * FROM ops.source_position WHERE source = %s AND element = %s", element)[0]

    def runs(self, element: str = ELEMENT) -> list[Row]:
        """The runs of an element, the oldest first."""
        return self._rows(
            "SELECT * FROM ops.source_run WHERE source = %s AND element = %s ORDER BY source_run_id", element
        )

    def _rows(self, query: str, element: str) -> list[Row]:
        return self.owner.execute(query.encode(), [self.name, element]).fetchall()

    # --- loading

    def load(self) -> list[Row]:
        """Load the files as ingest_<dataset> does; return the entries of the ledger, the oldest first."""
        settings = IngestSettings(landing_bucket=self.landing_bucket, spool_dir=self.folder / "ingest")
        with open_stores(self.platform.s3_config, self.platform.warehouse_config()) as stores:
            for batch in claim(self.contract, stores, AirflowRun("ingest_test", "run"), settings):
                ingest_batch(self.contract, batch, stores, settings)
            settle(self.contract, stores, settings)
        return self.owner.execute(
            b"SELECT * FROM ops.file_ingestion_log WHERE dataset = %s ORDER BY file_id", [self.name]
        ).fetchall()

    def clear(self) -> None:
        self.owner.execute(f'DROP TABLE IF EXISTS raw."{self.name}"'.encode())
        for table in ("source_position", "source_run"):
            self.owner.execute(f"DELETE FROM ops.{table} WHERE source = %s".encode(), [self.name])


def numbers(lines: Iterable[bytes | None]) -> list[int]:
    """The numbers of records."""
    return [json.loads(line or b"")["n"] for line in lines]
