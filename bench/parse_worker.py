"""How long one parse of the ingest DAGs takes, in a process of its own: prints the seconds, imports not counted."""

from __future__ import annotations

import importlib
import runpy
import sys
import time


def main(file: str) -> float:
    """Seconds of running that DAG file, once the library it imports is there, as in Airflow's forked processes."""
    importlib.import_module("include.orchestration.catalog")
    importlib.import_module("include.orchestration.ingest")
    start = time.perf_counter()
    runpy.run_path(file)
    return time.perf_counter() - start


if __name__ == "__main__":
    print(main(sys.argv[1]))
