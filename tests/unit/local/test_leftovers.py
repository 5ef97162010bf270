"""The left-over processes of a killed service are ended, and no others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from local.supervisor.processes import is_alive

pytestmark = pytest.mark.unit

# A service with a child, and a grandchild in its own process group, like Airflow's tasks.
SERVICE = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", '''
import subprocess, time
print(subprocess.Popen(["sleep", "600"], process_group=0).pid, flush=True)
time.sleep(600)
'''], stdout=subprocess.PIPE, text=True)
print(child.pid, child.stdout.readline().strip(), flush=True)
time.sleep(600)
"""
# A supervisor with two services, one of which is killed; then the command that runs before its restart.
SUPERVISOR = """
import subprocess, sys
started = [subprocess.Popen([sys.executable, "-c", sys.argv[1]], process_group=0, stdout=subprocess.PIPE, text=True)
           for _ in range(2)]
children = [service.stdout.readline().split() for service in started]
started[0].kill()
started[0].wait()
print(started[1].pid, *children[0], *children[1], flush=True)
subprocess.run([sys.executable, "-m", "local.supervisor.leftovers"], process_group=0, check=True)
sys.stdin.read()
"""


def test_only_the_group_without_a_leader_is_ended() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, SERVICE],
        cwd=Path(__file__).parents[3], start_new_session=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as supervisor:  # fmt: skip
        assert supervisor.stdout
        service, *of_killed_and_living = (int(pid) for pid in supervisor.stdout.readline().split())
        try:
            assert supervisor.stdout.readline() == "2 processes of a killed service were ended.\n"
            assert [_lives(pid) for pid in (service, *of_killed_and_living)] == [True, False, False, True, True]
        finally:
            for pid in (*of_killed_and_living, service, supervisor.pid):
                if _lives(pid):
                    os.kill(pid, 9)


def _lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and is_alive(psutil.Process(pid))
