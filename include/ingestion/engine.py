"""DuckDB as the engine: bounded in memory and threads, with access to one folder only."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
from duckdb import func

from include.contracts.expressions import literal
from include.ingestion.readers.json_values import kept_by_jsonb_column, numbers_as_text_column

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from include.settings import IngestSettings

# Arrow's own allocator keeps freed memory; the system's allocator returns it, so that a worker stays small.
pa.set_memory_pool(pa.system_memory_pool())

_THREADS = 2
_open: dict[Path, duckdb.DuckDBPyConnection] = {}


def add_functions(connection: duckdb.DuckDBPyConnection) -> None:
    """Register the JSON functions that DuckDB lacks: see `json_values`."""
    arrow, special = func.PythonUDFType.ARROW, func.FunctionNullHandling.SPECIAL
    connection.create_function(
        "kept_by_jsonb", kept_by_jsonb_column, ["VARCHAR"], "BOOLEAN", type=arrow, null_handling=special
    )
    connection.create_function(
        "numbers_as_text",
        numbers_as_text_column,
        ["VARCHAR", "VARCHAR"],
        "VARCHAR",
        type=arrow,
        null_handling=special,
    )


@contextmanager
def engine(folder: Path, settings: IngestSettings) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a connection that reads and writes below `folder` only: a contract's expressions can reach nothing else.

    Opening an engine takes as long as ingesting a small file. So within a `with engine(...)` block, a further engine
    for the same folder, or for one directly below it, is a cursor of the first.
    """
    if (shared := _open.get(folder) or _open.get(folder.parent)) is not None:
        with shared.cursor() as cursor:
            yield cursor
        return
    connection = duckdb.connect(
        config={
            "memory_limit": f"{settings.engine_memory_mb}MB",
            "threads": _THREADS,
            "temp_directory": str(folder / f"spill-{os.getpid()}"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
            "preserve_insertion_order": True,
        }
    )
    try:
        connection.execute(
            f"SET GLOBAL TimeZone = 'UTC'; SET allowed_directories = [{literal(str(folder))}]; "
            "SET enable_external_access = false; SET lock_configuration = true"
        )
        add_functions(connection)
        _open[folder] = connection
        yield connection
    finally:
        _open.pop(folder, None)
        connection.close()
        pa.default_memory_pool().release_unused()  # else malloc keeps freed memory while the next stage allocates more
