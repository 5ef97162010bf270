"""`python -m local.services.mlflow_accounts mlflow server ...`: set MLflow's accounts, then become the server.

What belongs here: the accounts, their permissions, and the configuration of MLflow's basic authentication. The image of
MLflow runs this file too, so it imports only MLflow. Passwords come from the environment, which `ps` does not show. The
configuration file contains the address of the database with its password, so only its owner can read it.

The accounts and their passwords are set at every start: a rotation of the secrets needs no old password.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ADMIN, TRAINING, READER = "admin", "training", "reader"
PASSWORDS = {
    ADMIN: "MLFLOW_ADMIN_PASSWORD",
    TRAINING: "MLFLOW_TRAINING_PASSWORD",
    READER: "MLFLOW_READER_PASSWORD",
}
# Permissions on all experiments and registered models. By MLflow's rule, the account that creates one may manage it.
# Without a grant an account has no permission; a request without an account is answered with 401.
GRANTS = {TRAINING: "EDIT", READER: "READ"}
SCHEMA = "auth"  # a separate schema in MLflow's database, since the tables have general names such as `users`

# MLflow checks a password with scrypt several times per request, 0.1 s of CPU each. The cache keeps correct passwords;
# a changed password removes the account's entry, which is safe with one worker.
_CONFIGURATION = """\
[mlflow]
default_permission = NO_PERMISSIONS
database_uri = {address}
admin_username = {admin}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
grant_default_workspace_access = false
auth_cache_ttl_seconds = 60
"""


def prepare() -> None:
    """Write the configuration, migrate the tables, and set accounts, passwords and permissions.

    Raises:
        KeyError: a variable is not set.
    """
    backend = os.environ["MLFLOW_BACKEND_STORE_URI"]
    passwords = {name: os.environ.pop(variable) for name, variable in PASSWORDS.items()}
    address = f"{backend}?options=-csearch_path={SCHEMA}"
    # Read by `import mlflow.server.auth`, here and in the server.
    _write(Path(os.environ["MLFLOW_AUTH_CONFIG_PATH"]), _CONFIGURATION.format(address=_escaped(address), admin=ADMIN))
    _make_schema(backend)

    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore()
    store.init_db(address)  # type: ignore[no-untyped-call]
    for name, password in passwords.items():
        if store.has_user(name):
            store.update_user(name, password=password, is_admin=name == ADMIN)
        else:
            store.create_user(name, password, is_admin=name == ADMIN)
    for name, permission in GRANTS.items():
        for kind in ("experiment", "registered_model"):
            store.grant_user_permission(name, kind, "*", permission)


def _make_schema(address: str) -> None:
    from sqlalchemy import create_engine, text

    engine = create_engine(address)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    engine.dispose()


def _write(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _escaped(value: str) -> str:
    """Escape a value for configparser."""
    return value.replace("%", "%%")


if __name__ == "__main__":
    prepare()
    os.environ.pop("PYTHONPATH", None)  # the server does not need this checkout
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - no shell; the command is in the service's declaration
