"""Backups of a platform, which stops for them, and their restore."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from alembic import command
from psycopg import sql

from include.contracts.reader import read_contract
from include.ingestion.attempt import open_stores
from include.ingestion.claim import claim
from include.ingestion.ledger import Ledger
from include.ingestion.object_keys import incoming_prefix
from include.ingestion.pipeline import ingest_batch
from include.ingestion.records import AirflowRun
from include.ingestion.settle import settle
from include.samples.writer import Sample, write_sample
from include.settings import CONTRACTS_DIR, IngestSettings
from include.stores.object_store import ObjectInfo, ObjectStore
from local.commands.backup import LEFT_OUT, back_up
from local.commands.restore import restore
from local.errors import PlatformError
from local.services import postgres
from local.services.postgres import DATABASES, WAREHOUSE, superuser_connection
from local.settings import PORTS, REPOSITORY, temporary_settings
from local.supervisor.platform import STORES, Platform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.settings import PlatformSettings

pytestmark = pytest.mark.long

ROWS = 50


class WorkerDiedError(BaseException):
    """Raised to end a run; no pipeline code catches it."""


class Sales:
    """Runs the pipeline of the dataset sales with the same calls as its DAG."""

    def __init__(self, platform: Platform, folder: Path) -> None:
        self._platform, self._folder, self._runs = platform, folder, 0
        # Table-level expectations are tested elsewhere; their library is slow to import.
        self._contract = replace(read_contract(CONTRACTS_DIR / "sales.yaml"), expectations=())
        self._settings = IngestSettings(spool_dir=folder / "spool")

    def drop(self, name: str, start: int, *, rows: int = ROWS) -> None:
        file = self._folder / name
        write_sample(Sample(self._contract, rows, start=start), file)
        self.put(name, file.read_bytes())

    def put(self, name: str, body: bytes) -> None:
        with open_stores(self._platform.s3_config, self._platform.warehouse_config()) as stores:
            stores.objects.put("landing", incoming_prefix("sales") + name, body)

    def run(self) -> None:
        self._runs += 1
        with open_stores(self._platform.s3_config, self._platform.warehouse_config()) as stores:
            run = AirflowRun("ingest_sales", f"run-{id(self)}-{self._runs}")
            for batch in claim(self._contract, stores, run, self._settings):
                ingest_batch(self._contract, batch, stores, self._settings)
            settle(self._contract, stores, self._settings)

    def die_before_the_commit(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Ledger, "loaded", _die)
            with pytest.raises(WorkerDiedError):
                self.run()

    def rows(self) -> list[tuple[object, ...]]:
        return self.query("SELECT sale_id, _file_id, _loaded_at FROM raw.sales ORDER BY sale_id")

    def files(self) -> dict[str, tuple[object, ...]]:
        """Return status and inserted rows of each file by name; a name must not occur twice."""
        found = self.query(
            "SELECT split_part(object_key, '/', 3), status, rows_inserted FROM ops.file_ingestion_log "
            "WHERE dataset = 'sales' ORDER BY file_id"
        )
        assert len({row[0] for row in found}) == len(found)
        return {str(row[0]): row[1:] for row in found}

    def query(self, statement: str) -> list[tuple[object, ...]]:
        with superuser_connection(self._platform.settings, self._platform.credentials, WAREHOUSE) as connection:
            return connection.execute(statement).fetchall()


def _die(*_: object, **__: object) -> None:
    raise WorkerDiedError


def objects(platform: Platform) -> list[ObjectInfo]:
    """The objects of the landing bucket."""
    return list(ObjectStore(platform.s3_config).list("landing", ""))


def row_counts(platform: Platform) -> dict[str, int]:
    """The rows of every table of every database."""
    counts = {}
    for database in DATABASES:
        with superuser_connection(platform.settings, platform.credentials, database.name) as connection:
            tables = connection.execute(
                "SELECT schemaname, tablename FROM pg_tables "
                "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
            ).fetchall()
            for table in tables:
                counted = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(*map(str, table)))
                found = connection.execute(counted).fetchone()
                counts[f"{database.name}.{table[0]}.{table[1]}"] = int(str(found[0])) if found else 0
    return counts


@dataclass
class Site:
    """A platform, a backup that was made while a file was half loaded, and its rows and row counts before that."""

    platform: Platform
    sales: Sales
    backup: Path
    rows: list[tuple[object, ...]]
    counts: dict[str, int]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    base = Path(tempfile.mkdtemp(prefix="platform-"))
    base.chmod(0o755)  # PostgreSQL's user must be able to enter
    platform = Platform(temporary_settings(base / "home"))
    try:
        platform.up(STORES)
        yield _backed_up(platform, base)
    finally:
        Platform(platform.settings).down()
        shutil.rmtree(base)


def _backed_up(platform: Platform, base: Path) -> Site:
    sales = Sales(platform, base)
    sales.drop("sales_before.csv", start=0)
    sales.put("sales_bad.csv", b"not,a,known,header\n1,2,3,4\n")
    sales.run()
    sales.drop("sales_early.csv", start=1000)
    sales.run()
    rows = sales.rows()
    sales.drop("sales_half.csv", start=2000)
    sales.die_before_the_commit()
    sales.drop("sales_waiting.csv", start=3000)
    counts = row_counts(platform)
    back_up(platform, base / "backup")
    assert all(status.healthy for status in platform.status() if status.name in STORES)
    sales.run()
    assert len(sales.rows()) == 4 * ROWS, "the pipeline does not continue after the backup"
    return Site(platform, sales, base / "backup", rows, counts)


def test_backup_has_all_data_and_is_private(site: Site) -> None:
    assert (len(site.rows), site.counts["warehouse.raw.sales"]) == (2 * ROWS, 2 * ROWS)
    names = {"manifest.json", ".platform", "secrets.env", "postgres", "s3"}
    assert {path.name for path in site.backup.iterdir()} == names
    known = LEFT_OUT | names
    assert {path.name for path in site.platform.settings.platform_home.iterdir()} <= known, "is it needed in a backup?"
    assert site.backup.stat().st_mode & 0o077 == 0
    assert not [path for path in site.backup.rglob("*") if path.stat().st_mode & 0o077]


def test_data_is_overwritten_only_with_force(site: Site) -> None:
    before = objects(site.platform)
    with pytest.raises(PlatformError, match=r"contains data already: .*make clean.* --force"):
        restore(site.platform.settings, site.backup, force=False)
    assert objects(site.platform) == before


def test_restored_platform_has_loaded_rows_and_loads_the_others_once(site: Site) -> None:
    platform, sales = site.platform, site.sales
    platform.up(STORES)
    sales.query("DELETE FROM ops.file_event RETURNING 1")
    sales.query("DELETE FROM raw.sales RETURNING 1")
    store = ObjectStore(platform.s3_config)
    for item in objects(platform):
        store.delete("landing", item.key)

    restore(platform.settings, site.backup, force=True)
    assert [path.name for path in site.backup.parent.iterdir() if path.name.startswith("home")] == ["home"]
    platform = Platform(platform.settings)
    platform.up(STORES)

    sales = Sales(platform, site.backup.parent)
    assert row_counts(platform) == site.counts
    assert sales.rows() == site.rows
    archived = ("archived", ROWS)
    loaded = {"sales_before.csv": archived, "sales_bad.csv": ("validation_failed", None), "sales_early.csv": archived}
    assert sales.files() == loaded | {"sales_half.csv": ("processed", None)}

    sales.run()
    assert sales.files() == loaded | {"sales_half.csv": archived, "sales_waiting.csv": archived}
    assert len(sales.rows()) == 4 * ROWS
    names = [item.key for item in objects(platform)]
    settled = {row[0] for row in sales.query("SELECT settled_key FROM ops.file_ingestion_log")}
    assert len(settled) == 5
    assert settled <= set(names)
    assert not [name for name in names if name.startswith("incoming/")]

    reader = platform.warehouse_config("reader")
    with psycopg.connect(
        host=reader.host, port=reader.port, dbname=reader.database, user=reader.user,
        password=reader.password.get_secret_value(), autocommit=True,
    ) as connection:  # fmt: skip
        assert connection.execute("SELECT count(*) FROM raw.sales").fetchone() == (4 * ROWS,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM raw.sales")


def test_a_restore_that_fails_leaves_the_platform_as_it_was(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = site.platform.settings.layout
    (layout.home / "kept").touch()

    def fail(*_: object) -> None:
        raise PlatformError("the disk is broken")

    monkeypatch.setattr(postgres, "give_to_server", fail)
    with pytest.raises(PlatformError, match="the disk is broken"):
        restore(site.platform.settings, site.backup, force=True)
    assert (layout.home / "kept").exists()
    assert [path.name for path in layout.home.parent.iterdir() if path.name.startswith("home")] == ["home"]


def _restore_and_die(settings: PlatformSettings, backup: Path) -> None:
    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    pytest.MonkeyPatch().setattr(postgres, "give_to_server", die)
    restore(settings, backup, force=True)


def test_killed_restore_does_not_block_the_next_start(site: Site) -> None:
    platform = Platform(site.platform.settings)
    platform.up(STORES)
    before = site.sales.rows()
    process = multiprocessing.get_context("spawn").Process(
        target=_restore_and_die, args=(platform.settings, site.backup)
    )
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL, "the restore was not killed"
    assert platform.settings.layout.restoring.exists()

    assert Platform(platform.settings).up(STORES)
    assert site.sales.rows() == before

    restore(platform.settings, site.backup, force=True)
    assert [path.name for path in site.backup.parent.iterdir() if path.name.startswith("home")] == ["home"]
    platform.up(STORES)
    assert row_counts(platform) == site.counts


def test_old_platform_cannot_be_started_during_a_restore(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, refused = site.platform.settings, list[str]()

    def start(*_: object) -> None:
        with pytest.raises(PlatformError, match="another command is starting or stopping") as found:
            Platform(settings).up(STORES)
        refused.append(str(found.value))
        give_to_server(*_)

    give_to_server = postgres.give_to_server
    monkeypatch.setattr(postgres, "give_to_server", start)
    restore(settings, site.backup, force=True)
    assert refused
    assert [path.name for path in site.backup.parent.iterdir() if path.name.startswith("home")] == ["home"]


def test_a_backup_of_an_older_version_is_migrated_by_the_next_start(site: Site) -> None:
    home = site.backup.with_name("older")
    settings = temporary_settings(home)
    with pytest.MonkeyPatch.context() as patch:
        newest = command.upgrade
        patch.setattr(command, "upgrade", lambda config, _: newest(config, "0003"))
        Platform(settings).up(STORES)
        back_up(Platform(settings), home.with_name("older-backup"))
    try:
        restore(settings, home.with_name("older-backup"), force=True)
        restored = Platform(settings)
        restored.up(STORES)
        sales = Sales(restored, site.backup.parent)
        sales.drop("sales_older.csv", start=0)
        sales.run()
        assert sales.files() == {"sales_older.csv": ("archived", ROWS)}
        assert sales.query("SELECT version_num = '0003' FROM public.alembic_version") == [(False,)]

        sales.query("UPDATE public.alembic_version SET version_num = '9999' RETURNING 1")
        restored.down()
        with pytest.raises(PlatformError, match="warehouse has another version than this code"):
            restored.up(STORES)
    finally:
        Platform(settings).down()


# --- a backup that cannot be made


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_interrupted_backup_starts_the_platform_again_and_leaves_nothing(
    site: Site, tmp_path: Path, signal_number: int
) -> None:
    """The command runs in a process of its own, and gets the signal while everything is stopped."""
    site.platform.up(STORES)
    before, settings = site.sales.rows(), site.platform.settings
    variables = {name.upper(): str(value) for name, value in settings.model_dump(mode="json").items() if name in SHOWN}
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, "backup", "--yes", str(tmp_path / "backup")], cwd=REPOSITORY,
        env=os.environ | variables | {"SIGNAL": str(signal_number)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    output = process.communicate(timeout=180)[0].decode()
    assert process.returncode == 130, output
    assert list(tmp_path.iterdir()) == []
    assert all(status.healthy for status in site.platform.status() if status.name in STORES), output
    assert site.sales.rows() == before


SHOWN = {"platform_home", "kafka_storage", "s3_internal_ports", *PORTS}
INTERRUPTED = """
import os, signal
from local.__main__ import app
from local.commands import backup

def interrupt(_home, draft, *_):
    draft.mkdir()
    os.kill(os.getpid(), int(os.environ["SIGNAL"]))
    signal.pause()

signal.signal(signal.SIGINT, signal.default_int_handler)
backup.copy_files = interrupt
app()
"""
