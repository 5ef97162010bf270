"""Puts `filegate` beside the interpreter: `python -m include.cli.install CHECKOUT`. Standard library only.

The checkout is no package that pip installs: a `.pth` file puts it on the import path of this virtual environment.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

# A shell starts the interpreter: its path may be longer, or have spaces, than a first line of a script allows.
_SCRIPT = """#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
import sys

from include.cli.app import main

sys.argv[0] = "filegate"
main()
"""


def install(checkout: Path) -> Path:
    """Write the command and the `.pth` file; the path of the command.

    Raises:
        OSError: the virtual environment cannot be written.
    """
    (Path(sysconfig.get_path("purelib")) / "filegate.pth").write_text(f"{checkout}\n", encoding="utf-8")
    command = Path(sysconfig.get_path("scripts")) / "filegate"
    command.write_text(_SCRIPT.format(python=sys.executable), encoding="utf-8")
    command.chmod(0o755)
    return command


if __name__ == "__main__":
    install(Path(sys.argv[1]).resolve())
