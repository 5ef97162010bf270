"""An update that is killed at any statement leaves everything or nothing, and the next one continues."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local.settings import REPOSITORY

if TYPE_CHECKING:
    from conftest import Sales

pytestmark = pytest.mark.integration

_SCRIPT = Path(__file__).with_name("dying_updater.py")
# Each is the beginning of a statement: the process dies before it.
_STEPS = ("MERGE", "DELETE FROM lake.", "INSERT INTO lake.meta", "COMMIT", "AFTER")


def _plain(config: Any) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(config.model_dump_json())
    for model, fields in (
        (config, values),
        *((getattr(config, n), values[n]) for n in ("catalogue", "objects") if n in values),
    ):
        for name in ("password", "secret_access_key"):
            if name in fields:
                fields[name] = getattr(model, name).get_secret_value()
    return values


@pytest.mark.parametrize("before", _STEPS, ids=lambda step: step.split()[-1].strip(".").replace(".", "-").lower())
def test_killed_update_leaves_no_row_out_and_none_twice(sales: Sales, before: str, tmp_path: Path) -> None:
    sales.insert(1, 200)
    sales.update()
    sales.insert(201, 230, file_id=2)
    sales.run(f"UPDATE {sales.relation} SET amount = 0 WHERE id < 20")
    sales.run(f"DELETE FROM {sales.relation} WHERE id BETWEEN 50 AND 59")
    snapshot = sales.snapshots()
    configuration = tmp_path / "configuration.json"
    configuration.write_text(
        json.dumps({
            "lake": _plain(sales.platform.lake_config(writes=True)),
            "warehouse": _plain(sales.platform.warehouse_config("transform")),
            "locks": _plain(sales.platform.warehouse_config("ingest")),
        })
    )  # fmt: skip
    died = subprocess.run(
        [sys.executable, str(_SCRIPT), str(configuration), sales.name, before], cwd=REPOSITORY, check=False, timeout=200
    )
    assert died.returncode == -signal.SIGKILL
    is_committed = before == "AFTER"
    assert sales.snapshots() == snapshot + is_committed
    assert sales.rows() == (220 if is_committed else 200)
    done = sales.update()
    assert (done.inserted, done.updated, done.deleted) == ((0, 0, 0) if is_committed else (30, 19, 10))
    sales.assert_same()
