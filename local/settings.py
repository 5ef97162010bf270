"""The settings of the embedded platform, and its folders.

What belongs here: ports, limits and paths. Passwords are generated in `local.credentials`; the settings of the
pipelines (INGEST_*, STREAM_* and so on) are defined in `include.settings` and passed through.
"""

from __future__ import annotations

import hashlib
import os
import random
import socket
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from dotenv import dotenv_values
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from include.settings import IngestSettings

REPOSITORY = Path(__file__).resolve().parents[1]
ENV_FILE = REPOSITORY / ".env"
# The pipelines' settings of containers, beside `.env`: `deploy.env_file`.
PIPELINES_FILE = "pipelines.env"
# The connections of sources, beside `.env`: `deploy.env_file`.
SOURCES_FILE = "sources.env"
# A variable of this prefix is the connection of a source; the source's name in capital letters follows.
SOURCE_CONNECTION = "AIRFLOW_CONN_SOURCE_"

# An earlier release kept the contracts here: `local.old_contracts`.
OLD_CONTRACTS_DIR = REPOSITORY / "include" / "contracts"

# The path of a unix socket has at most 107 bytes, and supervisor first binds a longer temporary name.
_MAX_SOCKET_PATH = 90

# supervisor's configuration treats these as variables and comments, and cannot quote them everywhere.
_UNUSABLE_IN_PATHS = frozenset("%;#\n")

PORTS = (
    "postgres_port", "s3_port", "kafka_port", "ml_api_port", "mlflow_port", "stand_ins_port",
    "redis_port", "airflow_port",
)  # fmt: skip

# One for each part of the S3 server over HTTP, one more for each over gRPC: `local.services.seaweedfs`.
INTERNAL_S3_PORTS = 7

# Settings that determine the services. The values of the start are kept as long as the services run.
SHAPE = (
    "airflow_executor", "celery_workers", "kafka_storage", "s3_extra_buckets", "s3_internal_ports", "stand_ins",
)  # fmt: skip

# Below the ephemeral ports of Linux.
_PORTS_OF_ROWS = range(20000, 32000, 10)

# The prefixes of the pipelines' settings.
OF_PIPELINES = (
    "INGEST_",
    "ML_SERVICE_",
    "STREAM_",
    "SCHEMA_REGISTRY_URL",
    "SOURCES_",
    "TRAINING_",
    "QUALITY_",
    "LAKE_",
    "FEAST_",
    "RETENTION_",
    "ALERTS_",
)

# Settings of an earlier release that are keys of sources/github_*.yaml now.
OF_GITHUB = frozenset({
    "GITHUB_REPOSITORIES", "GITHUB_ENDPOINTS", "GITHUB_SCHEDULE_MINUTES", "GITHUB_OVERLAP_HOURS", "GITHUB_RAW_BUCKET",
})  # fmt: skip
# Settings of earlier releases. Their lines in `.env` are ignored.
NO_LONGER_SETTINGS = frozenset({
    "INGEST_RETRY_BACKOFF", "INGEST_RETRY_MAX_DELAY_SECONDS", "INGEST_ENGINE_THREADS", "INGEST_MAX_BATCHES",
    "INGEST_EXPANSION_FREE_BYTES", "INGEST_MAX_REJECTS_IN_LEDGER", "ML_SERVICE_BATCH_SIZE",
    "ML_SERVICE_REQUESTS_AT_ONCE", "ML_SERVICE_CONNECT_TIMEOUT_SECONDS", "ML_SERVICE_READ_TIMEOUT_SECONDS",
    "ML_SERVICE_BACKOFF_SECONDS", "ML_SERVICE_BACKOFF_MAX_SECONDS", "ML_SERVICE_CIRCUIT_FAILURES",
    "ML_SERVICE_CIRCUIT_RESET_SECONDS", "STREAM_THRESHOLD_MESSAGES", "STREAM_BATCH_SECONDS", "STREAM_RUN_SECONDS",
    "STREAM_POKE_SECONDS", "STREAM_SESSION_TIMEOUT_MS", "STREAM_MAX_POLL_INTERVAL_MS", "TRAINING_TEST_SHARE",
    "TRAINING_SEED", "QUALITY_HISTORY_LOADS", "QUALITY_HISTORY_LEAST", "RETENTION_LEFTOVER_HOURS", "ALERTS_MAX_FILES",
    "ALERTS_ATTEMPTS", "ALERTS_TIMEOUT_SECONDS", "ALERTS_DEADLINE_SECONDS", "ALERTS_PAUSE_SECONDS", "TRAINING_FOLDS",
    "METABASE_POLL_SECONDS", "METABASE_CONNECT_TIMEOUT_SECONDS", "METABASE_READ_TIMEOUT_SECONDS", "METABASE_ATTEMPTS",
    "METABASE_BACKOFF_SECONDS", "METABASE_BACKOFF_MAX_SECONDS", "GITHUB_REPLAY_PORT", "GITHUB_PAGE_SIZE",
    "GITHUB_MAX_PAGES", "GITHUB_CONNECT_TIMEOUT_SECONDS", "GITHUB_READ_TIMEOUT_SECONDS", "GITHUB_ATTEMPTS",
    "GITHUB_BACKOFF_SECONDS", "GITHUB_BACKOFF_MAX_SECONDS", "GITHUB_MAX_WAIT_SECONDS",
}) | OF_GITHUB  # fmt: skip


class PlatformSettings(BaseSettings):
    """Folder, ports and limits of the platform that `filegate up` starts on this machine."""

    model_config = SettingsConfigDict(
        title="The embedded platform",
        env_file=ENV_FILE, env_ignore_empty=True, frozen=True, extra="ignore", hide_input_in_errors=True,
    )  # fmt: skip

    platform_home: Path = Field(
        REPOSITORY / ".local", description="folder with all of its state; relative to the checkout"
    )
    postgres_port: int = Field(5433, ge=1, le=65535, description="port of PostgreSQL")
    s3_port: int = Field(9000, ge=1, le=65535, description="port of the S3 server")
    s3_internal_ports: int = Field(
        9010, ge=1, le=65535 - INTERNAL_S3_PORTS, description="first of seven consecutive ports inside the S3 server"
    )
    s3_extra_buckets: str = Field(
        "", description="more buckets, separated by commas: created, and open to the pipelines' key; * is any name"
    )
    airflow_port: int = Field(8080, ge=1, le=65535, description="port of Airflow's pages and API")
    kafka_port: int = Field(9092, ge=1, le=65535, description="port of the Kafka-protocol broker")
    kafka_storage: Literal["bucket", "memory"] = Field(
        "bucket", description="where the broker keeps topics: bucket, or memory until it stops"
    )
    kafka_max_mb: int = Field(
        2048, ge=1, description="megabytes of topics in the bucket above which the broker does not start"
    )
    ml_api_port: int = Field(8100, ge=1, le=65535, description="port of the ML service")
    mlflow_port: int = Field(5000, ge=1, le=65535, description="port of MLflow: runs, models, figures")
    source_github_url: str = Field("", description="empty: a stand-in; https://api.github.com: the real API")
    source_github_token: SecretStr = Field(
        SecretStr(""), description="token of the real API: 5,000 requests per hour instead of 60"
    )
    stand_ins_port: int = Field(8201, ge=1, le=65535, description="port of the stand-ins for the sources' APIs")
    stand_ins: bool = Field(
        default=True,
        description="whether stand-ins answer to sources without a connection (as AIRFLOW_CONN_SOURCE_WEATHER)",
    )
    airflow_parallelism: int = Field(8, ge=1, description="tasks at the same time")
    airflow_executor: Literal["local", "celery"] = Field(
        "local", description="local: the scheduler runs the tasks; celery: workers over Redis"
    )
    celery_workers: int = Field(2, ge=1, le=32, description="workers of the executor celery")
    celery_concurrency: int = Field(4, ge=1, description="tasks of one worker at the same time")
    redis_port: int = Field(6379, ge=1, le=65535, description="port of Redis, the workers' queue")
    airflow_new_files_seconds: int = Field(60, ge=1, description="pause between two scans for new DAGs and contracts")
    platform_min_free_mb: int = Field(1024, ge=0, description="megabytes of free disk below which nothing is started")
    platform_start_seconds: int = Field(900, ge=1, description="longest wait for services that make progress")

    @field_validator("platform_home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        """Resolve a relative home from the checkout, not from the current directory."""
        absolute = Path(os.path.realpath(REPOSITORY / home.expanduser()))
        if bad := sorted(set(str(absolute)) & _UNUSABLE_IN_PATHS):
            raise ValueError(f"the folder's path must not contain {' '.join(map(repr, bad))}")
        return absolute

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        ports = [getattr(self, name) for name in PORTS]
        ports += range(self.s3_internal_ports, self.s3_internal_ports + INTERNAL_S3_PORTS)
        if len(set(ports)) < len(ports):
            raise ValueError("two services have the same port")
        return self

    @property
    def layout(self) -> Layout:
        """The folders below the home."""
        return Layout(self.platform_home)


@dataclass(frozen=True)
class Layout:
    """Every path below PLATFORM_HOME."""

    home: Path

    @property
    def unfinished(self) -> Path:
        """The names of the services whose start is not finished."""
        return self.run / "unfinished.json"

    @property
    def marker(self) -> Path:
        """Marks the folder as a platform's home, so that `clean` may delete it."""
        return self.home / ".platform"

    @property
    def lock(self) -> Path:
        """The lock of the command that starts or stops services."""
        return self.home / "lock"

    @property
    def secrets(self) -> Path:
        """Passwords and keys, generated at the first start."""
        return self.home / "secrets.env"

    @property
    def restoring(self) -> Path:
        """The new home that a restore builds beside the current one. A killed restore leaves it."""
        return self.home.with_name(self.home.name + ".restoring")

    @property
    def replaced(self) -> Path:
        """The old home beside the current one, until the end of a restore."""
        return self.home.with_name(self.home.name + ".replaced")

    @property
    def logs(self) -> Path:
        """One log per service."""
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """Configuration, pid files and start scripts of the running instance."""
        return self.home / "run"

    @property
    def instance(self) -> Path:
        """The ports, settings and process session of the running instance."""
        return self.run / "instance.json"

    @property
    def socket(self) -> Path:
        """The supervisor's control socket; in a private temporary folder if the path of the home is too long."""
        inside = self.run / "supervisor.sock"
        if len(os.fsencode(inside)) <= _MAX_SOCKET_PATH:
            return inside
        digest = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"platform-{os.getuid()}-{digest}" / "supervisor.sock"

    @property
    def report(self) -> Path:
        """The dashboards as one page."""
        return self.home / "report.html"

    @property
    def postgres(self) -> Path:
        """PostgreSQL's data directory."""
        return self.home / "postgres"

    @property
    def s3(self) -> Path:
        """The S3 server's keys and settings, and below `data` all objects in the server's format."""
        return self.home / "s3"

    @property
    def old_buckets(self) -> Path:
        """The folder in which an earlier version kept objects as plain files: `local.services.bucket_import`."""
        return self.home / "buckets"

    @property
    def redis(self) -> Path:
        """The configuration of the workers' queue."""
        return self.home / "redis"

    @property
    def mlflow_configuration(self) -> Path:
        """The configuration of MLflow's authentication, written at every start, readable by its owner only."""
        return self.home / "mlflow_auth.ini"

    @property
    def airflow(self) -> Path:
        """AIRFLOW_HOME."""
        return self.home / "airflow"

    @property
    def manifest(self) -> Path:
        """The dbt manifest, from which Airflow makes its tasks."""
        return self.home / "dbt" / "manifest.json"

    @property
    def spool(self) -> Path:
        """Temporary files of the ingestion stages."""
        return self.home / "spool"

    @property
    def private_folders(self) -> tuple[Path, ...]:
        """The folders that only their owner may read."""
        return self.logs, self.s3, self.airflow, self.spool, self.manifest.parent

    @property
    def contracts_cache(self) -> Path:
        """Cached results of checking the contracts."""
        return self.home / "contracts-cache"


def free_ports(count: int) -> list[int]:
    """Return different free ports of the loopback interface. For tests.

    Args:
        count: how many.
    """
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def free_port_row(count: int) -> int:
    """Return the first of several free consecutive ports. For tests.

    Args:
        count: how many.
    """
    for first in random.sample(_PORTS_OF_ROWS, 100):
        with ExitStack() as held:
            try:
                for port in range(first, first + count):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise OSError(f"no {count} ports in a row are free between {_PORTS_OF_ROWS[0]} and {_PORTS_OF_ROWS[-1]}")


def temporary_settings(home: Path, **changes: object) -> PlatformSettings:
    """Make settings of a separate platform for a test: in `home`, on free ports, without `.env`.

    Args:
        home: an empty folder, or one that does not exist yet.
        changes: further settings.
    """
    ports: dict[str, object] = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    ports |= {"s3_internal_ports": free_port_row(INTERNAL_S3_PORTS), "kafka_storage": "memory"}
    return PlatformSettings(_env_file=None, platform_home=home, **(ports | changes))  # type: ignore[arg-type]


def pipeline_variables() -> dict[str, str]:
    """Return the pipelines' settings for the services: from the environment, else `pipelines.env`, else `.env`.

    Relative folders start from the checkout; they are made absolute, since services have other working directories.
    The earlier folder of the contracts is left out, so that the present one is used.
    """
    named = _named_variables()
    own = {name.upper() for name in PlatformSettings.model_fields}
    names = [name for name in named if name.startswith(OF_PIPELINES) and name not in own | NO_LONGER_SETTINGS]
    variables = {name: value for name in names if (value := named[name])}
    if names_old_contracts():
        del variables["INGEST_CONTRACTS_DIR"]
    return {name: str(REPOSITORY / value) if name.endswith("_DIR") else value for name, value in variables.items()}


def source_connections() -> dict[str, str]:
    """Return the connections of sources, AIRFLOW_CONN_SOURCE_<NAME>, by variable.

    They are those of the environment, else of `sources.env`, else of `pipelines.env` or `.env`.
    """
    named = _variables_of(*_files(), ENV_FILE.with_name(SOURCES_FILE)).items()
    return {name: value for name, value in named if name.startswith(SOURCE_CONNECTION) and value}


def names_old_contracts() -> bool:
    """Whether INGEST_CONTRACTS_DIR names the folder in which an earlier release kept the contracts."""
    folder = _named_variables().get("INGEST_CONTRACTS_DIR")
    return folder is not None and (REPOSITORY / folder).resolve() == OLD_CONTRACTS_DIR


def ignored_settings() -> str:
    """Name the lines of `.env` and `pipelines.env` that are no longer settings; empty if there are none."""
    sentences = []
    for file in _files():
        if names := sorted(NO_LONGER_SETTINGS & dotenv_values(file).keys()):
            verb, line = ("is no longer a setting", "line") if len(names) == 1 else ("are no longer settings", "lines")
            sentences.append(f"{', '.join(names)} {verb}; remove the {line} from {file.name}.")
            if OF_GITHUB.intersection(names):
                sentences.append("List the repositories of GitHub in sources/github_*.yaml, at forEach.")
    return " ".join(sentences)


def _named_variables() -> dict[str, str | None]:
    return _variables_of(*_files())


def _variables_of(*files: Path) -> dict[str, str | None]:
    """Return the variables of the environment and of files; the environment and later files come first."""
    return {name: value for file in files for name, value in dotenv_values(file).items()} | os.environ


def _files() -> tuple[Path, Path]:
    return ENV_FILE, ENV_FILE.with_name(PIPELINES_FILE)


def ingest_settings() -> IngestSettings:
    """Return the ingest settings of the pipelines, for commands that must use the same ones."""
    prefix = "INGEST_"
    variables = pipeline_variables().items()
    return IngestSettings.model_validate(
        {name.removeprefix(prefix).lower(): value for name, value in variables if name.startswith(prefix)}
    )
