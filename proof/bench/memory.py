"""Peak memory of this process."""

from __future__ import annotations

import re
from pathlib import Path


def peak_mb() -> float:
    """Return the peak resident memory in MB.

    getrusage is not used: for a new process it reports at least the peak of its parent.
    """
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit("/proc/self/status has no line VmHWM: the peak memory of this process is not known")
    return int(found[1]) / 1024
