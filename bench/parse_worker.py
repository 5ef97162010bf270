"""What one parse of a DAG file costs, in a process of its own: prints seconds of CPU time, imports not counted."""

from __future__ import annotations

import contextlib
import importlib
import os
import runpy
import sys

LIBRARY = ("catalog", "ingest", "consume", "upkeep", "quality", "transform")


def main(file: str) -> float:
    """Seconds of running that DAG file, once the library it imports is there, as in Airflow's forked processes.

    Time of child processes counts too: they check contracts that are not in the cache.
    """
    for name in LIBRARY:
        importlib.import_module(f"include.orchestration.{name}")
    before = os.times()
    with contextlib.suppress(Exception):  # broken_contracts.py raises what it found
        runpy.run_path(file)
    from include.contracts.checking import contract_checker

    contract_checker().close()  # the time of a child counts once it has ended
    after = os.times()
    return sum(after[:4]) - sum(before[:4])


if __name__ == "__main__":
    print(main(sys.argv[1]))
