"""How a command of the library finds the stores: the environment names them, or the embedded platform is asked."""

from __future__ import annotations

import importlib
import importlib.util
import os

_PLATFORM = "local.commands"
_ENVIRONMENT = f"{_PLATFORM}.environment"


def has_platform() -> bool:
    """Whether this installation has the embedded platform beside the library."""
    try:
        return importlib.util.find_spec(_PLATFORM) is not None
    except ModuleNotFoundError:
        return False


def use_platform(unless: str = "WAREHOUSE_INGEST_PASSWORD") -> None:
    """Take the addresses and keys of the embedded platform into this process's environment.

    Args:
        unless: a variable; if it has a value, the environment stays as it is. `filegate env` exports addresses and the
            reader's login, not this password.

    Raises:
        SystemExit: the platform was never started.
    """
    if not os.environ.get(unless) and has_platform():
        os.environ.update(importlib.import_module(_ENVIRONMENT).variables())


def finds_platform(variable: str) -> bool:
    """Whether the environment has a variable, or the embedded platform gives it: for commands that can do without.

    Args:
        variable: such as WAREHOUSE_READER_PASSWORD. All variables of the platform are taken into the environment.
    """
    use_settings()
    if not os.environ.get(variable) and has_platform():
        os.environ.update(importlib.import_module(_ENVIRONMENT).variables_if_started())
    return bool(os.environ.get(variable))


def use_settings() -> None:
    """Take the settings of the pipelines in `.env` into this process's environment, where it does not have them.

    For commands that need no server: they read the contracts that the platform reads, whether it was started or not.
    """
    if has_platform():
        for name, value in importlib.import_module(_ENVIRONMENT).settings().items():
            os.environ.setdefault(name, value)


def connection_variable(connection: str) -> str | None:
    """An Airflow connection as its variable AIRFLOW_CONN_<NAME> has it, in the environment or in `.env`; else None."""
    name = f"AIRFLOW_CONN_{connection.upper()}"
    if not os.environ.get(name) and has_platform():
        return importlib.import_module(_ENVIRONMENT).connections().get(name)  # type: ignore[no-any-return]
    return os.environ.get(name)
