"""Calls of Feast from this environment: each runs `feast_process` in Feast's virtualenv.

What belongs here: starting the process, and its environment. What does not: what it does (`feast_process`).
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.errors import CommandError
from include.feature_store import environment
from include.feature_store.repository import write_repository

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    import pyarrow as pa

    from include.feature_store.config import FeatureStoreConfig
    from include.features.compiler import FeatureView

_ROOT = Path(__file__).parents[2]
_MODULE = "include.feature_store.feast_process"
_LOG_LINES = 15

Entity = tuple[str, "datetime"]


def process_variables(config: FeatureStoreConfig) -> dict[str, str]:
    """The whole environment of a process of Feast: the login of its own role and no other secret."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    # Feast writes times without a zone, which are UTC.
    return kept | {"PYTHONPATH": str(_ROOT), "PGTZ": "UTC", "TZ": "UTC"} | config.variables()


def prepare(views: Iterable[FeatureView], folder: Path | None = None) -> Path:
    """Write the repository of the views with a table, and return its folder.

    Args:
        views: those with a table.
        folder: where; None: the common one.

    Raises:
        CommandError: Feast is not installed.
    """
    if (complaint := environment.complaint()) is not None:
        raise CommandError(complaint)
    chosen = folder or environment.repository()
    write_repository(chosen, views)
    return chosen


def historical(
    config: FeatureStoreConfig, repository: Path, features: Sequence[str], key: str, entities: Sequence[Entity]
) -> pa.Table:
    """Return the features of entities as they were known at their times, in any order.

    Args:
        config: the stores.
        repository: the folder of a generated repository.
        features: as view:feature.
        key: the join key.
        entities: its values, each with a time that has a zone.

    Raises:
        CommandError: the process failed.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    # The two environments have different versions of pandas: they share plain Parquet files.
    schema = pa.schema([(key, pa.string()), ("event_timestamp", pa.timestamp("us", "UTC"))])
    columns = [list(column) for column in zip(*entities, strict=True)]
    with tempfile.TemporaryDirectory(prefix="feast-") as folder:
        given, result = Path(folder) / "entities.parquet", Path(folder) / "features.parquet"
        pq.write_table(pa.table(columns, schema=schema), given)
        call(
            config, "historical", repository=str(repository), features=list(features), entities=str(given),
            result=str(result),
        )  # fmt: skip
        found = pq.read_table(result)
    # Feast drops the zone, which is UTC.
    at = found.column_names.index("event_timestamp")
    return found.set_column(at, schema.field(1), found.column(at).cast(schema.field(1).type))


def call(config: FeatureStoreConfig, function: str, **arguments: Any) -> Any:
    """Call a function of `feast_process` and return its answer.

    Args:
        config: the stores.
        function: its name.
        arguments: of the function, as JSON can hold them.

    Raises:
        CommandError: the process failed; the error has its last lines.
    """
    with tempfile.TemporaryDirectory(prefix="feast-") as folder:
        result = Path(folder) / "result.json"
        done = subprocess.run(  # noqa: S603 - Feast's own interpreter
            [environment.python(), "-m", _MODULE, result],
            env=process_variables(config), input=json.dumps({"call": function, **arguments}),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            output = done.stdout.replace(config.store.password.get_secret_value() or "\0", "***")
            lines = tuple(output.strip().splitlines()[-_LOG_LINES:])
            raise CommandError(f"Feast failed at `{function}`", "the last lines of its output say why", lines)
        return json.loads(result.read_text())
