"""Fixtures for the tests of stages. A file on disk replaces the bucket; the stages themselves are real."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest

from include.contracts.model import Column, ColumnType, Contract, ErrorBudget
from include.errors import Stage
from include.ingestion import validate as stage_one
from include.ingestion.attempt import Attempt
from include.ingestion.engine import add_functions
from include.ingestion.enrich import Enricher
from include.ingestion.fetch import fetch
from include.ingestion.process import process
from include.ingestion.records import FallBackToSlowPath, FileEntry, FileRefusedError, FileStatus, Processed, Validated
from include.settings import IngestSettings, MlServiceSettings
from include.stores.object_store import ObjectInfo

ETAG = "the-etag"


@dataclass
class FileStore:
    """An object store with one object, which is a local file."""

    path: Path
    etag: str = ETAG

    def read(self, bucket: str, key: str, chunk_bytes: int) -> tuple[ObjectInfo, Iterator[bytes]]:
        def chunks() -> Iterator[bytes]:
            with self.path.open("rb") as stream:
                while chunk := stream.read(chunk_bytes):
                    yield chunk

        return self.head(bucket, key), chunks()

    def head(self, bucket: str, key: str) -> ObjectInfo:
        return ObjectInfo(key, self.etag, self.path.stat().st_size)


def make_contract(*columns: Column, **options: object) -> Contract:
    """A contract with the given columns; by default, one column of every type and the key `id`."""
    defaults: dict = {
        "dataset": "things",
        "version": "1.0.0",
        "description": "",
        "columns": columns or EVERY_TYPE,
        "key": ("id",),
        "newest_by": None,
        "path": Path("things.yaml"),
        "budget": ErrorBudget(share=1.0),
    }
    return Contract(**defaults | options)


@dataclass
class StandInLedger:
    """A ledger that knows which content was loaded before."""

    duplicate_of: Callable[[str], int | None]

    def find_duplicate(self, entry: FileEntry, sha256: str, *, allow_resend: bool) -> int | None:
        return self.duplicate_of(sha256)

    def check_turn(self, entry: FileEntry) -> None:
        """No file is earlier."""


@dataclass
class StandInStores:
    """The stores that validate and process use."""

    ledger: StandInLedger = field(default_factory=lambda: StandInLedger(lambda _: None))
    enricher: Any = field(default_factory=lambda: Enricher(MlServiceSettings()))


class Stages:
    """Runs validate and process on content or on a file, each time in a new folder."""

    def __init__(self, make_folder: Callable[[], Path]) -> None:
        self._make_folder = make_folder

    contract_of = staticmethod(make_contract)

    def validate(
        self,
        contract: Contract,
        content: bytes | Path,
        settings: IngestSettings | None = None,
        find_duplicate: Callable[[str], int | None] = lambda _: None,
        *,
        slow: bool = False,
    ) -> Validated:
        folder = self._make_folder()
        if isinstance(content, bytes):
            path = folder / "dropped"
            path.write_bytes(content)
        else:
            path = content
        stores = StandInStores(StandInLedger(find_duplicate))
        attempt = Attempt(contract, entry_of(contract, path), folder, settings or IngestSettings(), stores)
        with pytest.MonkeyPatch.context() as patch:
            if slow:
                patch.setattr(stage_one, "_fast_path", _fall_back)
            raw = fetch(attempt.entry, FileStore(path), folder, attempt.settings)
            return stage_one.validate(attempt, raw)

    def plan(self, contract: Contract, validated: Validated, enricher: Any = None) -> Processed:
        """What process plans for the validated file."""
        stores = StandInStores() if enricher is None else StandInStores(enricher=enricher)
        entry, folder = entry_of(contract, validated.path), validated.path.parent
        return process(Attempt(contract, entry, folder, IngestSettings(), stores), validated)

    def refusal(
        self, contract: Contract, content: bytes | Path, settings: IngestSettings | None = None, **options: bool
    ) -> FileRefusedError:
        with pytest.raises(FileRefusedError) as caught:
            self.validate(contract, content, settings, **options)
        return caught.value

    def processed(self, contract: Contract, validated: Validated) -> list[dict]:
        """The rows that load would copy, in the order of the file."""
        plan = self.plan(contract, validated)
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            add_functions(connection)
            rows = " UNION ALL ".join(f"({select})" for select in plan.selects)
            table = connection.execute(f"SELECT * FROM ({rows}) ORDER BY _source_row").to_arrow_table()
        assert table.num_rows == plan.rows_kept
        return table.to_pylist()

    def rows(self, contract: Contract, content: bytes | Path, **options: bool) -> list[dict]:
        return self.processed(contract, self.validate(contract, content, **options))


def entry_of(contract: Contract, path: Path) -> FileEntry:
    size = path.stat().st_size
    return FileEntry(
        7, contract.dataset, "landing", "incoming/x/dropped", ETAG, size, FileStatus.CLAIMED, Stage.VALIDATE, 1
    )


def _fall_back(*_: object) -> Iterator[None]:
    raise FallBackToSlowPath
    yield


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Stages:
    return Stages(lambda: tmp_path_factory.mktemp("stage"))


@pytest.fixture(scope="session")
def contract_of() -> Callable[..., Contract]:
    return make_contract


EVERY_TYPE = (
    Column("id", ColumnType.TEXT, required=True),
    Column("t", ColumnType.TEXT),
    Column("i", ColumnType.INTEGER),
    Column("n", ColumnType.NUMBER, precision=12, scale=2),
    Column("f", ColumnType.FLOAT),
    Column("b", ColumnType.BOOLEAN),
    Column("d", ColumnType.DATE),
    Column("ts", ColumnType.TIMESTAMP),
    Column("tz", ColumnType.TIMESTAMPTZ),
    Column("j", ColumnType.JSON),
    Column("u", ColumnType.UUID),
)
