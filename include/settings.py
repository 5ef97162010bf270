"""Every setting of the library, read once from the environment, frozen, with unknown values refused.

What belongs here: names, defaults, units and limits. What does not: connections to any service.
`.env.example` lists the same names; a test compares the two.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

CONTRACTS_DIR = Path(__file__).parents[1] / "contracts"


class S3Config(BaseModel):
    """How to reach an S3-compatible store."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    endpoint_url: str | None
    access_key_id: str
    secret_access_key: SecretStr
    region: str = "us-east-1"


class WarehouseConfig(BaseModel):
    """How to reach the warehouse as one of its roles. Timeouts are in seconds; 0 switches one off."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: str
    port: int = Field(ge=1, le=65535)
    database: str
    user: str
    password: SecretStr
    connect_timeout: int = 10
    lock_timeout: int = 30
    statement_timeout: int = 3600


class KafkaConfig(BaseModel):
    """How to reach a Kafka-protocol broker. `options` are further ones in librdkafka's own names."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    bootstrap_servers: str
    options: dict[str, str | int | float | bool] = Field(default_factory=dict, repr=False)  # one may be a password


class StoreSettings(BaseSettings):
    """Where the bucket and the warehouse are, for commands that run outside Airflow.

    Inside Airflow the connections `landing_s3` and `warehouse_pg` hold the same values.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    s3_endpoint_url: str | None = "http://127.0.0.1:9000"
    s3_access_key_id: str = "platform"
    s3_secret_access_key: SecretStr = SecretStr("")
    s3_region: str = "us-east-1"
    warehouse_host: str = "127.0.0.1"
    warehouse_port: int = 5433
    warehouse_database: str = "warehouse"
    warehouse_ingest_user: str = "ingest"
    warehouse_ingest_password: SecretStr = SecretStr("")
    warehouse_owner_user: str = "warehouse_owner"
    warehouse_owner_password: SecretStr = SecretStr("")
    kafka_bootstrap: str = "127.0.0.1:9092"

    def s3(self) -> S3Config:
        """The object store's address and key."""
        return S3Config(
            endpoint_url=self.s3_endpoint_url,
            access_key_id=self.s3_access_key_id,
            secret_access_key=self.s3_secret_access_key,
            region=self.s3_region,
        )

    def warehouse(self, role: str = "ingest") -> WarehouseConfig:
        """Return the connection to the warehouse as `ingest` (the pipeline) or `owner` (migrations)."""
        return WarehouseConfig(
            host=self.warehouse_host,
            port=self.warehouse_port,
            database=self.warehouse_database,
            user=self.warehouse_owner_user if role == "owner" else self.warehouse_ingest_user,
            password=self.warehouse_owner_password if role == "owner" else self.warehouse_ingest_password,
        )


class MlServiceSettings(BaseSettings):
    """How the ML service is called. Each name is read from ML_SERVICE_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="ML_SERVICE_", frozen=True, extra="ignore", hide_input_in_errors=True)

    url: str = Field("http://127.0.0.1:8100", repr=False)
    token: SecretStr = Field(SecretStr(""), description="what the service asks for: its ML_API_TOKEN")
    batch_size: int = Field(1000, ge=1, le=1000, description="transactions of one request")
    requests_at_once: int = Field(4, ge=1, description="requests under way at the same time")
    connect_timeout_seconds: float = Field(2.0, gt=0)
    read_timeout_seconds: float = Field(10.0, gt=0)
    attempts: int = Field(5, ge=1, description="tries of one request")
    backoff_seconds: float = Field(0.2, ge=0, description="longest first pause; it doubles, with jitter")
    backoff_max_seconds: float = Field(5.0, ge=0)
    circuit_failures: int = Field(20, ge=1, description="failed tries in a row that open the circuit")
    circuit_reset_seconds: float = Field(10.0, gt=0, description="an open circuit lets one try through after this")


class StreamSettings(BaseSettings):
    """How messages are consumed. Each name is read from STREAM_<NAME>; SCHEMA_REGISTRY_URL has no prefix."""

    model_config = SettingsConfigDict(
        env_prefix="STREAM_", frozen=True, extra="ignore", populate_by_name=True, hide_input_in_errors=True
    )

    group: str = "filegate"
    batch_messages: int = Field(50_000, ge=1, description="most messages of one batch of one partition")
    batch_bytes: int = Field(64 * 1024**2, ge=1, description="most bytes of one batch of one partition")
    threshold_messages: int = Field(100, ge=1, description="a smaller batch is not stopped by its share of bad ones")
    batch_seconds: float = Field(5.0, gt=0, description="a batch is closed after this, full or not")
    run_seconds: float = Field(60.0, gt=0, description="a run takes batch after batch for this long at most")
    poke_seconds: float = Field(2.0, gt=0, description="pause between two checks for new messages")
    session_timeout_ms: int = Field(6000, ge=1000, description="a consumer not heard of for this long has died")
    max_poll_interval_ms: int = Field(300_000, ge=6000, description="longest time that one batch may take")
    partitions: int = Field(2, ge=1, description="of a topic that is made here")
    schema_registry_url: str | None = Field(None, repr=False, validation_alias="SCHEMA_REGISTRY_URL")  # with a login

    def group_of(self, topic: str) -> str:
        """The consumer group of a topic: its own, for consumers of one group disturb each other when they join."""
        return f"{self.group}.{topic}"


class GithubSettings(BaseSettings):
    """What is collected from GitHub, with which limits. Each name is read from GITHUB_<NAME>.

    Address and token are not here: the connection `source_github` holds them.
    """

    model_config = SettingsConfigDict(env_prefix="GITHUB_", frozen=True, extra="ignore")

    repositories: str = Field("harbour/ledger,harbour/beacon", description="owner/name, separated by commas")
    endpoints: str = Field("commits", description="of the table in include/sources/github/endpoints.py, by commas")
    raw_bucket: str = Field("raw-data", description="keeps the answers as they came")
    schedule_minutes: int = Field(30, ge=1, description="pause between two runs")
    page_size: int = Field(100, ge=1, le=100)
    max_pages: int = Field(200, ge=1, description="of one repository in one run; the next run goes on")
    overlap_hours: float = Field(720.0, ge=0, description="how far before the newest known record a run asks again")
    connect_timeout_seconds: float = Field(5.0, gt=0)
    read_timeout_seconds: float = Field(30.0, gt=0)
    attempts: int = Field(5, ge=1, description="tries of one request")
    backoff_seconds: float = Field(1.0, ge=0, description="longest first pause; it doubles, with jitter")
    backoff_max_seconds: float = Field(60.0, ge=0)
    max_wait_seconds: float = Field(120.0, ge=0, description="waits for the rate limit, together; then a later run")

    @property
    def repository_names(self) -> tuple[str, ...]:
        """The repositories, each once, in their order."""
        return _listed(self.repositories)

    @property
    def endpoint_names(self) -> tuple[str, ...]:
        """The endpoints, each once, in their order."""
        return _listed(self.endpoints)


class TrainingSettings(BaseSettings):
    """How the commit model is trained. Each name is read from TRAINING_<NAME>; MLFLOW_* and MODEL_* have no prefix."""

    model_config = SettingsConfigDict(
        env_prefix="TRAINING_", frozen=True, extra="ignore", populate_by_name=True, hide_input_in_errors=True
    )

    tracking_uri: str = Field("http://127.0.0.1:5000", repr=False, validation_alias="MLFLOW_TRACKING_URI")
    # Keys separated by commas: the first signs, the others were in use before.
    model_signing_key: SecretStr = Field(SecretStr(""), validation_alias="MODEL_SIGNING_KEY")
    min_rows: int = Field(200, ge=20, description="fewer commits are not trained on")
    test_share: float = Field(0.2, gt=0, lt=1, description="of the commits, held back for the test")
    folds: int = Field(5, ge=2, description="of the cross-validation")
    trees: int = Field(200, ge=1, description="of the forest")
    seed: int = Field(42, ge=0)


class QualitySettings(BaseSettings):
    """How the warehouse is checked. Each name is read from QUALITY_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="QUALITY_", frozen=True, extra="ignore")

    docs_bucket: str = Field("quality-docs", description="holds the pages that show the last results")
    schedule_minutes: int = Field(15, ge=1, description="pause between two checks without new rows")
    history_loads: int = Field(30, ge=3, description="earlier loads that a new one's volume is compared with")
    history_least: int = Field(5, ge=3, description="with fewer, the volume is not judged")
    deviations: float = Field(5.0, gt=0, description="robust deviations from the median that are an anomaly")
    keep_days: int = Field(90, ge=1, description="older results of tables are deleted; files keep theirs")


class AlertSettings(BaseSettings):
    """Who receives alerts, by which notifier, and how often. Each name is read from ALERTS_<NAME>.

    No alert is sent until `to` or `notifier` is set. The connection `alerts_smtp` holds the mail server.
    """

    model_config = SettingsConfigDict(
        env_prefix="ALERTS_", env_ignore_empty=True, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    to: str = Field("", description="addresses of mail, separated by commas; empty: no mail")
    sender: str = Field("filegate@localhost", description="address that mail is sent from")
    notifier: str = Field("", description="dotted path of another Airflow notifier; empty: mail")
    # A webhook's address is as secret as a password.
    notifier_kwargs: dict[str, Any] = Field(
        {}, repr=False, description="of that notifier, as JSON; texts are templates"
    )
    max_files: int = Field(20, ge=1, description="files listed in one message; the others are only counted")
    quiet_minutes: float = Field(60.0, ge=0, description="the same cause is sent again after this, with a count")
    waiting_minutes: float = Field(10.0, ge=0, description="a longer wait for a store, lock or service alerts")
    attempts: int = Field(3, ge=1, description="tries of one message")
    timeout_seconds: int = Field(10, ge=1, description="for each answer of the mail server")
    # Below the 50 seconds after which Airflow ends the process of a DAG callback.
    deadline_seconds: float = Field(30.0, gt=0, le=45, description="for all tries of a message; then it is given up")

    @field_validator("to", "sender")
    @classmethod
    def _one_line(cls, text: str) -> str:
        """Refuse line breaks: the address becomes a header of a mail."""
        if not text.isprintable():
            raise ValueError("an address must be on one line, without control characters")
        return text

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses, each once, in their order."""
        return _listed(self.to)

    @property
    def on(self) -> bool:
        """Whether alerts are sent at all."""
        return bool(self.addresses or self.notifier)


class AlertMailSettings(BaseSettings):
    """The mail server, from which the connection `alerts_smtp` is made. Each name is read from ALERTS_SMTP_<NAME>."""

    model_config = SettingsConfigDict(
        env_prefix="ALERTS_SMTP_", env_ignore_empty=True, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    host: str = "127.0.0.1"
    port: int = Field(587, ge=1, le=65535)
    security: Literal["starttls", "ssl", "none"] = Field("starttls", description="none: for a server on this machine")
    user: str = Field("", description="empty: the server asks for none")
    password: SecretStr = SecretStr("")


class IngestSettings(BaseSettings):
    """How files are found, batched, limited and retried. Each name is read from INGEST_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="INGEST_", frozen=True, extra="ignore")

    contracts_dir: Path = CONTRACTS_DIR
    contracts_cache_dir: Path = Path(gettempdir()) / f"filegate-contracts-{os.getuid()}"
    landing_bucket: str = "landing"
    spool_dir: Path = Path(gettempdir()) / "ingest-spool"

    poke_seconds: float = Field(2.0, gt=0, description="pause between two listings of the bucket")
    wait_hours: float = Field(24.0, gt=0, description="a waiting run ends after this and the next one begins")
    sweep_seconds: int = Field(60, ge=5, description="pause between two sweeps for files of no dataset")
    batch_max_files: int = Field(100, ge=1)
    batch_max_bytes: int = Field(32 * 1024**2, ge=1, description="a file larger than this travels alone")
    max_batches: int = Field(64, ge=1, le=1000, description="batches of one run; other files wait for the next run")
    batches_at_once: int = Field(4, ge=1, description="into how many batches many small files are spread")
    max_attempts: int = Field(3, ge=1, description="a file whose worker died this often is quarantined")

    retries: int = Field(3, ge=0, description="of a task, for network and database trouble")
    retry_delay_seconds: float = Field(5.0, ge=0)
    retry_backoff: float = Field(2.0, ge=1, description="each pause is this many times the one before")
    retry_max_delay_seconds: float = Field(300.0, ge=0)
    max_consecutive_failures: int = Field(20, ge=1, description="failed runs in a row that pause a DAG")

    max_file_bytes: int = Field(20 * 1024**3, ge=1)
    max_expanded_bytes: int = Field(100 * 1024**3, ge=1, description="of a compressed file, once expanded")
    max_expansion_ratio: int = Field(
        1000, ge=1, description="of a compressed or Parquet file: expanded to stored bytes"
    )
    expansion_free_bytes: int = Field(256 * 1024**2, ge=0, description="expanded bytes of which no ratio is asked")
    max_row_bytes: int = Field(1024**2, ge=1)
    max_columns: int = Field(500, ge=1)
    max_rejects_in_ledger: int = Field(1000, ge=0, description="rows of a file in ops.rejected_rows")

    engine_memory_mb: int = Field(128, ge=64)
    engine_threads: int = Field(2, ge=1)
    merge_memory_mb: int = Field(512, ge=4, description="work_mem of a merge, in the warehouse")
    lock_timeout_seconds: int = Field(30, ge=1, description="wait for a lock on the table before trying again later")


class RetentionSettings(BaseSettings):
    """How long everything but the tables' rows is kept. Each name is read from RETENTION_<NAME>; 0 is for ever.

    Entries of the ledger are always kept: their content hashes prevent that a file is loaded twice.
    """

    model_config = SettingsConfigDict(env_prefix="RETENTION_", frozen=True, extra="ignore")

    airflow_days: float = Field(30.0, ge=0, description="Airflow's runs with tasks, results, audit log, asset events")
    log_files_days: float = Field(30.0, ge=0, description="files of task logs, on a disk that the workers see")
    rejected_rows_days: float = Field(90.0, ge=0, description="ops.rejected_rows, after the file was settled")
    file_results_days: float = Field(
        90.0, ge=0, description="results of expectations on files; QUALITY_KEEP_DAYS: tables"
    )
    file_events_days: float = Field(365.0, ge=0, description="ops.file_event: the history of a settled file")
    alerts_days: float = Field(90.0, ge=0, description="ops.alert: causes that an alert was sent for")
    processed_days: float = Field(0.0, ge=0, description="objects in processed/")
    failed_days: float = Field(0.0, ge=0, description="objects in failed/; what is deleted cannot be reprocessed")
    old_versions_days: float = Field(7.0, ge=0, description="of landing objects that were replaced or deleted")
    leftover_hours: float = Field(
        24.0, gt=0, description="objects and files in staging/ and spool folders without a file under way"
    )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part for part in map(str.strip, text.split(",")) if part))


@lru_cache(maxsize=1)
def ingest_settings() -> IngestSettings:
    """The settings of this process."""
    return IngestSettings()


@lru_cache(maxsize=1)
def store_settings() -> StoreSettings:
    """The addresses and keys of this process."""
    return StoreSettings()


@lru_cache(maxsize=1)
def ml_service_settings() -> MlServiceSettings:
    """The ML service as this process calls it."""
    return MlServiceSettings()


@lru_cache(maxsize=1)
def stream_settings() -> StreamSettings:
    """How this process consumes messages."""
    return StreamSettings()


@lru_cache(maxsize=1)
def github_settings() -> GithubSettings:
    """What this process collects from GitHub."""
    return GithubSettings()


@lru_cache(maxsize=1)
def training_settings() -> TrainingSettings:
    """How this process trains."""
    return TrainingSettings()


@lru_cache(maxsize=1)
def quality_settings() -> QualitySettings:
    """How this process checks the warehouse."""
    return QualitySettings()


@lru_cache(maxsize=1)
def alert_settings() -> AlertSettings:
    """Where this process sends alerts."""
    return AlertSettings()


@lru_cache(maxsize=1)
def retention_settings() -> RetentionSettings:
    """How long this process keeps old runs, logs and objects."""
    return RetentionSettings()
