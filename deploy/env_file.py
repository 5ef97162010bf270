"""The file `.env` of a deployment: newly generated secrets, and every other setting as a comment with its default.

What belongs here: the list of secrets, and writing the file. Secrets that the embedded platform also has keep its
names; the embedded platform does not read them from `.env`, so the two do not interfere.
"""

from __future__ import annotations

import base64
import os
import secrets
from typing import TYPE_CHECKING

from local.errors import PlatformError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

PROFILES = ("streaming", "ml", "bi", "observability", "full")


def _password() -> str:
    return secrets.token_hex(16)


def _signing_key() -> str:
    return secrets.token_hex(32)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


# Each secret with its generator. Hexadecimal digits need no quoting in JSON and URLs.
SECRETS: dict[str, Callable[[], str]] = {
    "POSTGRES_PASSWORD": _password,
    "AIRFLOW_DB_PASSWORD": _password,
    "WAREHOUSE_OWNER_PASSWORD": _password,
    "WAREHOUSE_INGEST_PASSWORD": _password,
    "WAREHOUSE_TRANSFORM_PASSWORD": _password,
    "WAREHOUSE_READER_PASSWORD": _password,
    "MLFLOW_DB_PASSWORD": _password,
    "METABASE_DB_PASSWORD": _password,
    "MINIO_ROOT_PASSWORD": _password,
    "S3_SECRET_ACCESS_KEY": _password,
    "MLFLOW_S3_SECRET_ACCESS_KEY": _password,
    "MLFLOW_ADMIN_PASSWORD": _password,
    "MLFLOW_TRAINING_PASSWORD": _password,
    "MLFLOW_READER_PASSWORD": _password,
    "MLFLOW_FLASK_SECRET_KEY": _signing_key,
    "ML_API_TOKEN": _signing_key,
    "MODEL_SIGNING_KEY": _signing_key,
    "REDIS_PASSWORD": _password,
    "AIRFLOW_ADMIN_PASSWORD": _password,
    "AIRFLOW_FERNET_KEY": _fernet_key,
    "AIRFLOW_JWT_SECRET": _signing_key,
    "AIRFLOW_API_SECRET_KEY": _signing_key,
    "KAFKA_UI_PASSWORD": _password,
    "METABASE_ADMIN_PASSWORD": _password,
    "METABASE_ENCRYPTION_KEY": _signing_key,
    "GRAFANA_ADMIN_PASSWORD": _password,
}

_HEAD = """\
# Settings of this machine's deployment, made by `make env-file`. Not for the repository.
# Losing this file means losing the access to the data in the volumes: keep a copy where secrets are kept.
"""
_CHOICES = """
# --- optional settings; the embedded platform (make up) reads the same names for its ports and pipelines
#BIND_ADDRESS=127.0.0.1                  # the address that ports are published on; 0.0.0.0 is the whole network
#AIRFLOW_ADMIN_USER=admin                # passwords are above
#METABASE_ADMIN_EMAIL=admin@filegate.example
#CELERY_CONCURRENCY=4                    # tasks of one worker at the same time
#AIRFLOW_PARALLELISM=8                   # tasks at the same time, over all workers
#AIRFLOW_PORT=8080
#POSTGRES_PORT=5433
#S3_PORT=9000
#S3_CONSOLE_PORT=9001
#ML_API_PORT=8100
#MLFLOW_PORT=5000
#KAFKA_PORT=9092
#KAFKA_ADVERTISED_HOST=localhost         # the host name of the broker for clients outside the containers
#SCHEMA_REGISTRY_PORT=8081
#KAFKA_UI_PORT=8090
#METABASE_PORT=3000
#GRAFANA_PORT=3001
#PROMETHEUS_PORT=9090
# Settings of the pipelines: .env.example
"""


def write_env_file(path: Path, profiles: Sequence[str] = ()) -> None:
    """Write the file, readable by its owner only.

    Args:
        path: must not exist.
        profiles: members of PROFILES that are started besides core.

    Raises:
        PlatformError: the file exists, or a profile is unknown.
    """
    if unknown := sorted(set(profiles) - set(PROFILES)):
        raise PlatformError(f"no such profile: {', '.join(unknown)}", f"choose from {', '.join(PROFILES)}")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        remedy = "move it away first; without its secrets, the data in the volumes cannot be opened"
        raise PlatformError(f"{path} exists already and is not overwritten", remedy) from None
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(file.fileno(), 0o600)  # whatever the umask says
        file.write(env_text(profiles))


def env_text(profiles: Sequence[str] = ()) -> str:
    """Return the content of the file, with new secrets at every call."""
    observed = "True" if {"observability", "full"} & set(profiles) else "False"
    lines = [f"{name}={make()}\n" for name, make in SECRETS.items()]
    chosen = (
        "\n# --- profiles to start besides core: streaming, ml, bi, observability, full; separated by commas\n"
        f"COMPOSE_PROFILES={','.join(profiles)}\n"
        f"AIRFLOW_METRICS_ON={observed}                # True together with the profile observability\n"
    )
    return f"{_HEAD}\n{''.join(lines)}{chosen}{_CHOICES}"
