"""`python -m local.mlflow_accounts mlflow server ...`: set MLflow's accounts, then become the server.

What belongs here: the accounts, what each may do, and the configuration of MLflow's basic authentication. The image of
MLflow runs this file as well, so it imports MLflow alone. Passwords come by the environment, which `ps` does not show;
the file in which MLflow wants the address of its database is readable by its owner alone.

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
# On all experiments and registered models. The account that makes one may manage it, which is MLflow's rule. Without a
# grant an account has no permission at all; a request without an account is answered with 401.
GRANTS = {TRAINING: "EDIT", READER: "READ"}
SCHEMA = "auth"  # of its own, in MLflow's database: its tables are called `users`, `roles` and the like

# A password is compared by scrypt, several times in a request: 0.1 s of CPU each. The cache keeps what was right; the
# one worker forgets an account's entry when its password is changed.
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
    """Write the configuration, bring the tables to this MLflow's version, set accounts, passwords and permissions.

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
    """For its owner alone, from the first byte on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _escaped(value: str) -> str:
    """As configparser reads it."""
    return value.replace("%", "%%")


if __name__ == "__main__":
    prepare()
    os.environ.pop("PYTHONPATH", None)  # the server needs nothing of this checkout
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - no shell; the declaration of the service says which
