"""Ends the child processes of a killed service before the service starts again: `python -m local.supervisor.leftovers`.

supervisor gives each service a process group. A killed service leaves its children in the group without a leader. The
workers of Airflow's LocalExecutor then wait for work forever and keep inherited resources, such as the database
connections of the dead scheduler. While such a worker lives, PostgreSQL does not notice that the scheduler is gone: its
open transaction stays open, and later schedulers skip the DAG runs that it has locked.

What belongs here: process groups without a leader. What does not: ending a whole platform (`processes`).
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import psutil

from local.supervisor.processes import is_alive

_KILL_SECONDS = 10.0


def leaderless(session: int) -> list[psutil.Process]:
    """Return the processes of a session whose process group has no leader, with all their descendants."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            # The kernel does not reuse a group's id while the group has a member.
            if os.getsid(process.pid) == session and not psutil.pid_exists(os.getpgid(process.pid)):
                found.update({one.pid: one for one in (process, *process.children(recursive=True))})
    return [process for process in found.values() if is_alive(process)]


def main() -> None:
    """Kill the leaderless processes of this session, and wait until they are gone and their connections are closed."""
    left = leaderless(os.getsid(0))
    for process in left:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, _KILL_SECONDS)
    if left:
        sys.stdout.write(f"{len(left)} processes of a killed service were ended.\n")


if __name__ == "__main__":
    main()
