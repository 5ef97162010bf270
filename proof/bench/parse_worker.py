"""Parse one DAG file in a separate process and print the seconds of CPU time, without imports."""

from __future__ import annotations

import contextlib
import importlib
import os
import runpy
import sys

LIBRARY = ("catalog", "ingest", "consume", "file_moves", "quality", "transform")


def main(file: str) -> float:
    """Return the seconds of CPU time for a DAG file whose library is already imported, as in Airflow's forks.

    The time of child processes counts too: they check contracts that are not in the cache.
    """
    for name in LIBRARY:
        importlib.import_module(f"include.orchestration.{name}")
    before = os.times()
    with contextlib.suppress(Exception):  # broken_contracts.py raises for a broken contract
        runpy.run_path(file)
    from include.contracts.check_parent import contract_checker

    contract_checker().close()  # os.times() counts a child once it has ended
    after = os.times()
    return sum(after[:4]) - sum(before[:4])


if __name__ == "__main__":
    print(main(sys.argv[1]))
