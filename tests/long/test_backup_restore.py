"""Backups of a platform while pipelines run, and their restore."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import signal
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import psycopg
import pytest
from alembic import command

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
from local.commands import backup, backup_manifest, dumps
from local.commands import restore as restoring
from local.commands.backup import alone, back_up
from local.commands.restore import restore
from local.errors import PlatformError
from local.services.postgres import WAREHOUSE, superuser_connection
from local.settings import Layout, temporary_settings
from local.supervisor import processes
from local.supervisor.platform import S3, STORES, Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.commands.backup_manifest import Manifest
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


class Busy:
    """Receives the steps of a backup, and runs the pipeline between them."""

    def __init__(self, *, at_end_of: dict[str, Callable[[], None]], at_begin_of: dict[str, Callable[[], None]]) -> None:
        self._at_end_of, self._at_begin_of = at_end_of, at_begin_of

    def begin(self, step: str) -> None:
        self._at_begin_of.pop(step, lambda: None)()

    def end(self, step: str, outcome: str) -> None:
        self._at_end_of.pop(step, lambda: None)()

    def note(self, text: str) -> None:
        pass


def objects(platform: Platform) -> list[ObjectInfo]:
    """The objects of the landing bucket."""
    return list(ObjectStore(platform.s3_config).list("landing", ""))


@dataclass
class Site:
    """A platform, a backup that was made while files were loaded, and the rows in the backup's snapshot."""

    platform: Platform
    sales: Sales
    backup: Path
    manifest: Manifest
    rows: list[tuple[object, ...]]


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
    sales, seen = Sales(platform, base), list[tuple[object, ...]]()
    sales.drop("sales_before.csv", start=0)
    sales.put("sales_bad.csv", b"not,a,known,header\n1,2,3,4\n")
    sales.run()
    sales.drop("sales_early.csv", start=1000)

    def before_the_copy() -> None:
        sales.run()
        seen.extend(sales.rows())
        sales.drop("sales_half.csv", start=2000)
        sales.die_before_the_commit()
        sales.drop("sales_waiting.csv", start=3000)

    busy = Busy(at_end_of={"secrets": before_the_copy}, at_begin_of={"database warehouse": sales.run})
    manifest = back_up(platform, base / "backup", busy)
    assert len(sales.rows()) == 4 * ROWS, "the pipeline did not run during the backup"
    return Site(platform, sales, base / "backup", manifest, seen)


def test_backup_lists_its_content_and_is_private(site: Site) -> None:
    assert site.manifest.rows["warehouse"]["raw.sales"] == 2 * ROWS
    assert site.manifest.unsettled == 1
    assert {path.name for path in site.backup.iterdir()} == {"manifest.json", "secrets.env", "databases", "s3"}
    assert site.backup.stat().st_mode & 0o077 == 0
    assert not [path for path in site.backup.rglob("*") if path.is_file() and path.stat().st_mode & 0o077]


def test_data_is_overwritten_only_with_force(site: Site) -> None:
    before = objects(site.platform)
    with pytest.raises(PlatformError, match=r"contains data already: .*make clean.* FORCE=1"):
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
    assert sales.rows() == site.rows
    assert sales.query("SELECT count(*) FROM ops.file_event") == [(site.manifest.rows["warehouse"]["ops.file_event"],)]
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
        raise PlatformError("postgres is not ready")

    monkeypatch.setattr(Platform, "up", fail)
    with pytest.raises(PlatformError, match="postgres is not ready"):
        restore(site.platform.settings, site.backup, force=True)
    assert (layout.home / "kept").exists()
    assert [path.name for path in layout.home.parent.iterdir() if path.name.startswith("home")] == ["home"]


def _restore_and_die(settings: PlatformSettings, backup: Path) -> None:
    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    pytest.MonkeyPatch().setattr(restoring, "_compare", die)
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
    assert processes.find(Layout(platform.settings.layout.restoring), session=None)

    assert Platform(platform.settings).up(STORES), "the port is taken by the server of the killed restore"
    assert processes.find(Layout(platform.settings.layout.restoring), session=None) == []
    assert site.sales.rows() == before


def test_old_platform_cannot_be_started_during_a_restore(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, refused = site.platform.settings, list[str]()

    def compare(*_: object) -> None:
        with pytest.raises(PlatformError, match="another command is starting or stopping") as found:
            Platform(settings).up(STORES)
        refused.append(str(found.value))

    monkeypatch.setattr(restoring, "_compare", compare)
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


def test_backup_of_an_earlier_version_is_restored_with_its_objects(site: Site) -> None:
    """In an earlier version the objects are plain files below buckets/."""
    old, name, body = site.backup.with_name("format-1"), "buckets/landing/incoming/sales/sales_old.csv", b"sale_id\n1\n"
    shutil.copytree(site.backup, old)
    shutil.rmtree(old / "s3")
    (old / name).parent.mkdir(parents=True)
    (old / name).write_bytes(body)
    (old / "manifest.json").unlink()
    files = {path: stored for path, stored in site.manifest.files.items() if not path.startswith("s3/")}
    files[name] = backup_manifest.stored(old, name, hashlib.sha256(body).hexdigest())
    changes = {"format": 1, "buckets": ["landing"], "files": files}
    backup_manifest.write(old, site.manifest.model_copy(update=changes))

    restore(site.platform.settings, old, force=True)
    platform = Platform(site.platform.settings)
    platform.up(STORES)

    assert [item.key for item in objects(platform)] == ["incoming/sales/sales_old.csv"]
    assert Sales(platform, site.backup.parent).rows() == site.rows


# --- a backup that cannot be made


def test_backup_that_fails_while_the_s3_server_is_stopped_starts_it_again(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        assert not next(status for status in platform.status() if status.name == S3).pid
        raise PlatformError("the disk is full")

    monkeypatch.setattr(backup._Backup, "_copy_objects", fail)
    with pytest.raises(PlatformError, match="the disk is full"):
        back_up(platform, tmp_path / "backup")
    assert list(tmp_path.iterdir()) == []
    assert all(status.healthy for status in platform.status() if status.name in STORES)


def test_a_backup_that_fails_leaves_nothing(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise PlatformError("pg_dump failed")

    monkeypatch.setattr(dumps, "dump", fail)
    with pytest.raises(PlatformError, match="pg_dump failed"):
        back_up(platform, tmp_path / "backup")
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_reported_before_anything_is_written(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    with pytest.raises(PlatformError, match=r"may need \d+ MB, and 1 MB are free"):
        back_up(platform, tmp_path / "backup")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_not_written_to(platform: Platform, tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="exists already"):
        back_up(platform, tmp_path)


def test_a_backup_does_not_go_where_clean_would_delete_it(platform: Platform) -> None:
    with pytest.raises(PlatformError, match="lies in the platform's own folder"):
        back_up(platform, platform.settings.layout.home / "backup")


def test_two_backups_at_once_are_refused(platform: Platform, tmp_path: Path) -> None:
    with alone(platform.settings.layout), pytest.raises(PlatformError, match="another backup, restore or rotation"):
        back_up(platform, tmp_path / "backup")
