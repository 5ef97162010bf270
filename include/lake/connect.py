"""DuckDB with the lake attached: the catalogue in PostgreSQL, the Parquet files in a bucket.

What belongs here: the connection, its secrets and its limits. What does not: what is read and written (`update`).

The extensions come from wheels of DuckDB's own version and are loaded from where they lie: nothing is downloaded, and
nothing is copied. Passwords are in DuckDB's secrets: they are in no statement that fails later, and in no listing.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import duckdb

from include.contracts.expressions import literal
from include.errors import Code, PermanentError
from include.lake.config import CATALOGUE_SCHEMA
from include.lake.errors import lake_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.lake.config import LakeConfig
    from include.settings import S3Config, WarehouseConfig

LAKE, WAREHOUSE = "lake", "warehouse"
_EXTENSIONS = ("ducklake", "httpfs", "postgres_scanner")
_THREADS = 2
_CONNECT_SECONDS = 10
# Values of the warehouse reach DuckDB as they are, whatever the settings of the server or the role are.
_SESSION = {
    "DateStyle": "ISO", "IntervalStyle": "postgres", "TimeZone": "UTC", "extra_float_digits": "3",
    "bytea_output": "hex", "default_transaction_read_only": "on", "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0", "search_path": "pg_catalog",
}  # fmt: skip


@contextmanager
def open_lake(
    config: LakeConfig, warehouse: WarehouseConfig | None = None, *, read_only: bool = False
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open DuckDB with the lake as `lake`, and the warehouse as `warehouse` if it is given, for reading only.

    Args:
        config: the catalogue, the bucket and their logins.
        warehouse: a role that may read the tables.
        read_only: attach the lake for reading only. The first writer creates the catalogue's tables.

    Raises:
        RetryableError: the catalogue, the warehouse or the bucket does not answer.
        PermanentError: a login is refused, or an extension is not installed.
    """
    with (
        TemporaryDirectory(prefix="lake-") as spill,
        lake_errors(),
        duckdb.connect(config=_limits(config, spill)) as engine,
    ):
        for name in _EXTENSIONS:
            engine.execute(f"LOAD {literal(str(_extension(name)))}")
        # Its bar is printed to stdout, also without a terminal.
        engine.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'")
        engine.execute(_bucket_secret(config.objects, config.bucket))
        engine.execute(_catalogue_secret(config.catalogue))
        options = [f"META_SECRET '{LAKE}_catalogue'", f"METADATA_SCHEMA '{CATALOGUE_SCHEMA}'"]
        options.append("READ_ONLY" if read_only else f"DATA_PATH {literal(f's3://{config.bucket}/data/')}")
        engine.execute(f"ATTACH 'ducklake:postgres:' AS {LAKE} ({', '.join(options)})")
        if warehouse is not None:
            engine.execute(f"ATTACH {literal(_address(warehouse))} AS {WAREHOUSE} (TYPE postgres, READ_ONLY)")
        yield engine


def _limits(config: LakeConfig, spill: str) -> dict[str, str | bool | int | float | list[str]]:
    return {
        "threads": _THREADS, "memory_limit": f"{config.memory_mb}MB", "temp_directory": spill,
        "autoinstall_known_extensions": False, "autoload_known_extensions": False,
        "python_enable_replacements": False, "preserve_insertion_order": False,
    }  # fmt: skip


def _extension(name: str) -> Path:
    package = f"duckdb_extension_{name}"
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise PermanentError(Code.INTERNAL, error=f"the package {package} is not installed")
    return Path(spec.origin).parent / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"


def _bucket_secret(objects: S3Config, bucket: str) -> str:
    values = {
        "KEY_ID": objects.access_key_id, "SECRET": objects.secret_access_key.get_secret_value(),
        "REGION": objects.region, "SCOPE": f"s3://{bucket}",
    }  # fmt: skip
    options = [f"{name} {literal(value)}" for name, value in values.items()]
    if objects.endpoint_url:
        url = urlsplit(objects.endpoint_url)
        options += [f"ENDPOINT {literal(url.netloc + url.path.rstrip('/'))}", f"USE_SSL {url.scheme == 'https'}"]
    if objects.addressing_style == "path":
        options.append("URL_STYLE 'path'")
    return f"CREATE SECRET {LAKE}_bucket (TYPE s3, {', '.join(options)})"


def _catalogue_secret(catalogue: WarehouseConfig) -> str:
    return (
        f"CREATE SECRET {LAKE}_catalogue (TYPE postgres, HOST {literal(catalogue.host)}, PORT {catalogue.port}, "
        f"DATABASE {literal(catalogue.database)}, USER {literal(catalogue.user)}, "
        f"PASSWORD {literal(catalogue.password.get_secret_value())})"
    )


def _address(warehouse: WarehouseConfig) -> str:
    """The connection string of libpq, with the password."""
    from psycopg import conninfo

    return conninfo.make_conninfo(
        host=warehouse.host, port=warehouse.port, user=warehouse.user, dbname=warehouse.database,
        password=warehouse.password.get_secret_value(), connect_timeout=_CONNECT_SECONDS,
        application_name="update_lake", keepalives_idle=30,
        options=" ".join(f"-c {name}={value}" for name, value in _SESSION.items()),
    )  # fmt: skip
