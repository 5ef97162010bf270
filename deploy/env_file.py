"""The files of a deployment's settings: `.env` with newly generated secrets, `pipelines.env` and `sources.env`.

What belongs here: the list of secrets, which setting is in which file, and writing the files. Compose fills the
variables of docker-compose.yaml in from `.env`, which therefore holds the secrets of all services. The containers of
Airflow read `pipelines.env` as a whole, and those that run code of DAGs `sources.env` too. Secrets that the embedded
platform also has keep its names; the embedded platform does not read them from `.env`, so the two do not interfere.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
from typing import TYPE_CHECKING

from local.errors import PlatformError
from local.setting_pages import PIPELINE_MODELS, commented

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
    "WAREHOUSE_LAKE_OWNER_PASSWORD": _password,
    "WAREHOUSE_LAKE_READER_PASSWORD": _password,
    "S3_LAKE_READER_SECRET_ACCESS_KEY": _password,
    "WAREHOUSE_FEAST_PASSWORD": _password,
    "WAREHOUSE_FEAST_READER_PASSWORD": _password,
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
# Settings of this machine's deployment, made by `filegate dev env-file`. Not for the repository.
# Losing this file means losing the access to the data in the volumes: keep a copy where secrets are kept.
"""
_CHOICES = """
# --- optional settings; the embedded platform (make up) reads the same names
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

# --- settings of the pipelines that other services have too; all others are in pipelines.env
#INGEST_LANDING_BUCKET=landing
#S3_EXTRA_BUCKETS=                       # more buckets, separated by commas: created, and open to the pipelines' key
#INGEST_MERGE_MEMORY_MB=128              # megabytes of a merge (work_mem), in a PostgreSQL of 1.5 GB
#QUALITY_DOCS_BUCKET=quality-docs
#STREAM_GROUP=filegate
#STREAM_PARTITIONS=2
#ALERTS_TO=                              # recipients of mail, separated by commas; empty: no mail
#ALERTS_SENDER=filegate@localhost
#ALERTS_SMTP_HOST=127.0.0.1
#ALERTS_SMTP_PORT=587
#ALERTS_SMTP_SECURITY=starttls           # starttls or ssl
#ALERTS_SMTP_USER=
#ALERTS_SMTP_PASSWORD=
"""
# What docker-compose.yaml sets for the containers of Airflow: addresses and folders, and the last lines above.
_SET_BY_COMPOSE = (
    "INGEST_CONTRACTS_DIR", "INGEST_CONTRACTS_CACHE_DIR", "INGEST_SPOOL_DIR", "SCHEMA_REGISTRY_URL", "SOURCES_DIR",
    *re.findall(r"^#([A-Z_]+)=", _CHOICES.partition("# --- settings of the pipelines")[2], flags=re.MULTILINE),
)  # fmt: skip

_PIPELINES_HEAD = """\
# Settings of the pipelines: the containers of Airflow read this file. No passwords of services here: they are in .env.
# Uncomment the lines you change, then run `docker compose up -d`. The embedded platform reads this file too.
"""

_SOURCES = """\
# Connections of sources, one a line: AIRFLOW_CONN_SOURCE_<NAME> for `connection: source_<name>` in sources/<name>.yaml.
# Not for the repository: it holds tokens. Airflow's worker, scheduler and DAG processor read it; it may be missing.
# Uncomment or add lines, then run `docker compose up -d`. The embedded platform reads this file too, when it
# starts: `filegate down`, `filegate up`.
#
# host: the address of the API. password: the token or key. login and password: name and password of basic, client id
# and secret of oauth2. Single quotes keep $ and # as they are; write a single quote in a value as \\u0027.
# A connection may be added in Airflow (Admin, Connections) instead; a line here has priority.
# Without its connection a run of collect_<name> fails and names it: containers have a stand-in for GitHub only, whose
# connection is SOURCE_GITHUB_URL and SOURCE_GITHUB_TOKEN in .env.
#
#AIRFLOW_CONN_SOURCE_SHOP='{"conn_type": "http", "host": "https://api.example.org/v2", "password": "token"}'
# Of a database (postgres or mysql), of a bucket:
#AIRFLOW_CONN_SOURCE_CRM='{"conn_type": "mysql", "host": "db", "login": "name", "password": "word", "schema": "crm"}'
#AIRFLOW_CONN_SOURCE_PARTNER='{"conn_type": "aws", "host": "https://s3.example.org", "login": "id", "password": "word"}'

# --- the definitions in sources/ that are shipped; read the terms of use of an API first
#AIRFLOW_CONN_SOURCE_CRYPTO_CANDLES='{"conn_type": "http", "host": "https://api.binance.com"}'
#AIRFLOW_CONN_SOURCE_CRYPTO_PRICES='{"conn_type": "http", "host": "https://api.coingecko.com"}'
#AIRFLOW_CONN_SOURCE_WEATHER='{"conn_type": "http", "host": "https://api.open-meteo.com"}'
#AIRFLOW_CONN_SOURCE_WEATHER_NOW='{"conn_type": "http", "host": "https://api.openweathermap.org", "password": "key"}'
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
    _write(path, env_text(profiles), "without its secrets, the data in the volumes cannot be opened")


def write_pipelines_file(path: Path, env_file: Path) -> list[str]:
    """Write the settings of the pipelines as comments, and copy the lines that an earlier `.env` has of them.

    Args:
        path: must not exist. Readable by its owner only: arguments of a notifier may contain a token.
        env_file: the file `.env`.

    Returns:
        The names of the copied settings.

    Raises:
        PlatformError: the file exists.
    """
    names = set(names_in_pipelines_file())
    lines = re.findall(r"^(?:export[ \t]+)?(([A-Z0-9_]+)[ \t]*=.*)$", env_file.read_text(), flags=re.MULTILINE)
    copied = {name: line for line, name in lines if name in names}
    text = "".join(f"{line}\n" for line in copied.values())
    _write(path, pipelines_text() + (f"\n# --- copied from {env_file.name}\n{text}" if copied else ""), "or edit it")
    return list(copied)


def write_sources_file(path: Path) -> None:
    """Write examples of the connections of sources, as comments.

    Args:
        path: must not exist. Readable by its owner only: connections hold tokens.

    Raises:
        PlatformError: the file exists.
    """
    _write(path, sources_text(), "or edit it")


def sources_text() -> str:
    """Return the content of `sources.env`."""
    return _SOURCES


def names_in_pipelines_file() -> list[str]:
    """The settings that the containers of Airflow read from `pipelines.env`."""
    return re.findall(r"^#([A-Z0-9_]+)=", pipelines_text(), flags=re.MULTILINE)


def pipelines_text() -> str:
    """Return the content of `pipelines.env`."""
    return _PIPELINES_HEAD + commented(PIPELINE_MODELS, without=_SET_BY_COMPOSE)


def _write(path: Path, text: str, reason: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise PlatformError(f"{path} exists already and is not overwritten", f"move it away first; {reason}") from None
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(file.fileno(), 0o600)  # whatever the umask says
        file.write(text)


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
