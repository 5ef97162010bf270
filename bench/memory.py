"""The memory that this process has used at most."""

from __future__ import annotations

import re
from pathlib import Path


def peak_mb() -> float:
    """Resident memory at its peak, in MB.

    Not getrusage's: what that tells of a new process is at least the peak of the one that started it.
    """
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit("the system does not tell how much memory a process has used")
    return int(found[1]) / 1024
