"""How a command of the library finds the stores: the environment names them, or the embedded platform is asked."""

from __future__ import annotations

import importlib
import importlib.util
import os

_ENVIRONMENT = "local.commands.environment"


def use_platform(unless: str = "WAREHOUSE_HOST") -> None:
    """Take the addresses and keys of the embedded platform into this process's environment.

    Args:
        unless: a variable; if the environment has it, it stays as it is.

    Raises:
        typer.Exit: the platform was never started.
    """
    if unless not in os.environ and importlib.util.find_spec("local") is not None:
        os.environ.update(importlib.import_module(_ENVIRONMENT).variables())
