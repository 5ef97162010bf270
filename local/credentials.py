"""The passwords and keys of an embedded platform: generated once, kept in one private file, printed only by `env`."""

from __future__ import annotations

import base64
import os
import secrets
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from dotenv import dotenv_values

from local.errors import PlatformError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _password() -> str:
    return secrets.token_hex(16)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _signing_key() -> str:
    return secrets.token_hex(64)


@dataclass(frozen=True, repr=False)
class Credentials:
    """Every secret by name. It has no repr, so that no secret gets into a log or a traceback."""

    postgres_password: str
    airflow_db_password: str
    warehouse_owner_password: str
    warehouse_ingest_password: str
    warehouse_transform_password: str
    warehouse_reader_password: str
    mlflow_db_password: str
    metabase_db_password: str
    s3_secret_access_key: str
    airflow_admin_password: str
    airflow_fernet_key: str
    airflow_jwt_secret: str
    airflow_api_secret_key: str
    supervisor_password: str
    redis_password: str
    mlflow_admin_password: str
    mlflow_training_password: str
    mlflow_reader_password: str
    mlflow_flask_secret_key: str
    ml_api_token: str
    model_signing_key: str
    s3_admin_secret_access_key: str
    mlflow_s3_secret_access_key: str
    kafka_s3_secret_access_key: str
    warehouse_lake_owner_password: str
    warehouse_lake_reader_password: str
    s3_lake_reader_secret_access_key: str
    warehouse_feast_password: str
    warehouse_feast_reader_password: str

    s3_access_key_id: str = "platform"
    mlflow_s3_access_key_id: str = "mlflow"
    airflow_admin_user: str = "admin"


_MAKERS: dict[str, Callable[[], str]] = {
    "airflow_fernet_key": _fernet_key,
    "airflow_jwt_secret": _signing_key,
    "airflow_api_secret_key": _signing_key,
    "mlflow_flask_secret_key": _signing_key,
    "ml_api_token": _signing_key,
    "model_signing_key": _signing_key,
    "s3_access_key_id": lambda: "platform",
    "mlflow_s3_access_key_id": lambda: "mlflow",
    "airflow_admin_user": lambda: "admin",
}


def load(path: Path) -> Credentials:
    """Read the secrets file.

    Raises:
        PlatformError: the file does not exist yet, or lacks a secret.
    """
    if not path.exists():
        raise PlatformError(f"the platform was never started in {path.parent}", "start it with `make up`")
    known = _read(path)
    names = [field.name for field in fields(Credentials)]
    if missing := [name for name in names if name not in known]:
        raise PlatformError(
            f"{path} lacks {', '.join(name.upper() for name in missing)}", "complete them with `make up`"
        )
    return Credentials(**{name: known[name] for name in names})


def supervisor_password(path: Path) -> str:
    """Read the only secret that a stop needs. The file may be of an older version and lack newer secrets."""
    return _read(path).get("supervisor_password", "")


def load_or_make(path: Path) -> Credentials:
    """Read the secrets file; generate and add missing secrets. Only the owner may read the file."""
    known = _read(path)
    values = {
        field.name: known.get(field.name) or _MAKERS.get(field.name, _password)() for field in fields(Credentials)
    }
    if values != known:
        _write(path, values)
    return Credentials(**values)


def rotated(current: Credentials) -> Credentials:
    """Generate a new value for every secret; user names and key ids stay.

    Airflow's new Fernet key is put before the old ones, which still decrypt existing rows: see `without_old_keys`. The
    new key of models is put before the current one, so that models signed with the current one are still accepted.
    """
    fresh = {field.name: _MAKERS.get(field.name, _password)() for field in fields(Credentials)}
    fresh["model_signing_key"] += "," + current.model_signing_key.partition(",")[0]
    keys = [fresh["airflow_fernet_key"], *current.airflow_fernet_key.split(",")]
    return Credentials(**(fresh | {"airflow_fernet_key": ",".join(keys)}))


def without_old_keys(current: Credentials) -> Credentials:
    """Keep only Airflow's newest two Fernet keys, once all rows are encrypted with the newest.

    The second one can decrypt rows of a restored backup.
    """
    newest = current.airflow_fernet_key.split(",")[:2]
    return replace(current, airflow_fernet_key=",".join(newest))


def save(path: Path, credentials: Credentials) -> None:
    """Replace the file atomically."""
    _write(path, {field.name: getattr(credentials, field.name) for field in fields(Credentials)})


def _read(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    return {name.lower(): value for name, value in dotenv_values(path).items() if value}


def _write(path: Path, values: dict[str, str]) -> None:
    """Write the file atomically: with a half-written file, the database could not be opened."""
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("# Made at the first start. Losing this file means losing the access to the data beside it.\n")
        file.writelines(f"{name.upper()}={value}\n" for name, value in values.items())
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
