"""Fixtures for the tests of stages. A file on disk replaces the bucket; the stages themselves are real."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from include.contracts.model import Column, ColumnType, Contract, ErrorBudget
from include.errors import Stage
from include.ingestion import validate as stage_one
from include.ingestion.engine import add_functions
from include.ingestion.enrich import Enricher
from include.ingestion.fetch import fetch
from include.ingestion.process import process
from include.ingestion.readers.vectorised import FallBackToSlowPath
from include.ingestion.records import FileEntry, FileRefusedError, Status, Validated
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


class Stages:
    """Runs validate and process on content or on a file, each time in a new folder."""

    def __init__(self, make_folder: Callable[[], Path]) -> None:
        self._make_folder = make_folder

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
        entry = FileEntry(
            7, contract.dataset, "landing", "incoming/x/dropped", ETAG, path.stat().st_size, Status.CLAIMED,
            Stage.VALIDATE, 1,
        )  # fmt: skip
        with pytest.MonkeyPatch.context() as patch:
            if slow:
                patch.setattr(stage_one, "_fast_path", _fall_back)
            settings = settings or IngestSettings()
            raw = fetch(entry, FileStore(path), folder, settings)
            return stage_one.validate(contract, raw, folder, settings, find_duplicate)

    def refusal(
        self, contract: Contract, content: bytes | Path, settings: IngestSettings | None = None, **options: bool
    ) -> FileRefusedError:
        with pytest.raises(FileRefusedError) as caught:
            self.validate(contract, content, settings, **options)
        return caught.value

    def processed(self, contract: Contract, validated: Validated) -> list[dict]:
        """The rows that load would copy, in the order of the file."""
        settings = IngestSettings()
        plan = process(contract, validated, validated.path.parent, settings, Enricher(MlServiceSettings()))
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            add_functions(connection)
            rows = " UNION ALL ".join(f"({select})" for select in plan.selects)
            table = connection.execute(f"SELECT * FROM ({rows}) ORDER BY _source_row").to_arrow_table()
        assert table.num_rows == plan.rows_kept
        return table.to_pylist()

    def rows(self, contract: Contract, content: bytes | Path, **options: bool) -> list[dict]:
        return self.processed(contract, self.validate(contract, content, **options))


def _fall_back(*_: object) -> Iterator[None]:
    raise FallBackToSlowPath
    yield


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Stages:
    return Stages(lambda: tmp_path_factory.mktemp("stage"))


@pytest.fixture(scope="session")
def contract_of() -> Callable[..., Contract]:
    """Makes a contract with the given columns; by default, one column of every type and the key `id`."""

    def make(*columns: Column, **options: object) -> Contract:
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

    return make


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
