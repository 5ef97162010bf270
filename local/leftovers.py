"""Ends what a killed service left behind, before its successor starts: `python -m local.leftovers`.

supervisor gives each service a process group. A service that is killed leaves its children in it, without a leader:
the workers of Airflow's LocalExecutor wait for ever for work, and hold what they inherited, the dead scheduler's
connections to the database among it. While one lives PostgreSQL cannot tell that the scheduler is gone: a transaction
that it had open stays open, and each later scheduler passes over the DAG runs that it had locked.

What belongs here: groups without a leader. What does not: a whole platform's end (`processes`).
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import psutil

from local.processes import is_alive

_KILL_SECONDS = 10.0


def leaderless(session: int) -> list[psutil.Process]:
    """Every process of that session whose process group has lost its leader, with all that descend from it."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            # A group's id is not given to a new process while the group has a member.
            if os.getsid(process.pid) == session and not psutil.pid_exists(os.getpgid(process.pid)):
                found.update({one.pid: one for one in (process, *process.children(recursive=True))})
    return [process for process in found.values() if is_alive(process)]


def main() -> None:
    """End those of our own session, and wait until they are gone: their connections are closed then."""
    left = leaderless(os.getsid(0))
    for process in left:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, _KILL_SECONDS)
    if left:
        sys.stdout.write(f"{len(left)} processes of a killed service were ended.\n")


if __name__ == "__main__":
    main()
