"""Which files the task of `reprocess_failed` selects. The stores are replaced by stubs.

The script runs in a separate process, since Airflow reads its configuration at import.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

SCRIPT = """
import json
from contextlib import contextmanager
from dataclasses import astuple
from types import SimpleNamespace
from include.ingestion.upkeep import requeue
from include.orchestration import catalog, file_moves, stores

@contextmanager
def connected():
    yield SimpleNamespace(objects=None, connection=None)
stores.connected_stores = connected
selected = []

def requeue_stub(selection, *others):
    selected.append(astuple(selection))
    return SimpleNamespace(keys=["a"], missing=[], waiting=[], refused=[])
requeue.requeue = requeue_stub
for dataset in ("all", "sales", "unknown"):
    counts = file_moves.requeue_files.function(dataset, "load", "*.csv")
print("RESULT" + json.dumps([selected, counts]))
"""


def test_all_selects_the_files_of_every_dataset(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=root, env={"AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(root)},
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    selected, counts = json.loads(done.stdout.partition("RESULT")[2])
    assert [dataset for dataset, *_ in selected] == ["", "sales", "unknown"]
    assert {tuple(others) for _, *others in selected} == {("load", "*.csv", None)}
    assert counts == {"requeued": 1, "missing": 0, "waiting": 0}
