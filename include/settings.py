"""Every setting of the library, read once from the environment, frozen, with invalid values refused.

What belongs here: names, defaults, units and limits. What does not: connections to any service.
`filegate dev settings` writes docs/configuration.md and .env.example from these models: the title of a model is a
heading, the first paragraph of its docstring introduces it, the description of a field explains a setting.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from include.settings_base import Settings, constant

_REPOSITORY = Path(__file__).resolve().parents[1]
CONTRACTS_DIR = _REPOSITORY / "contracts"
SOURCES_DIR = _REPOSITORY / "sources"
FEATURES_DIR = _REPOSITORY / "features"
DBT_PROJECT = _REPOSITORY / "dbt"


def dbt_manifest() -> Path:
    """Return the path of the dbt manifest: DBT_MANIFEST, relative to the checkout, or dbt/target/manifest.json."""
    return _REPOSITORY / (os.environ.get("DBT_MANIFEST") or DBT_PROJECT / "target" / "manifest.json")


class S3Config(BaseModel):
    """How to reach an S3-compatible store."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    endpoint_url: str | None
    access_key_id: str
    secret_access_key: SecretStr
    region: str = "us-east-1"
    addressing_style: Literal["path", "virtual", "auto"] = "path"


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


class StoreSettings(Settings):
    """Addresses and keys of the stores, for commands outside Airflow: `filegate env --services --owner` prints them.

    Inside Airflow the connections `landing_s3` and `warehouse_pg` hold the same values.
    """

    model_config = SettingsConfigDict(title="Addresses of the stores")

    s3_endpoint_url: str | None = Field("http://127.0.0.1:9000", description="any S3-compatible store; empty: AWS")
    s3_access_key_id: str = Field("platform", description="access key of the pipelines")
    s3_secret_access_key: SecretStr = Field(SecretStr(""), description="its secret")
    s3_region: str = Field("us-east-1", description="region of the buckets")
    warehouse_host: str = Field("127.0.0.1", description="host of the warehouse, a PostgreSQL server")
    warehouse_port: int = Field(5433, description="its port")
    warehouse_database: str = Field("warehouse", description="its database")
    warehouse_ingest_user: str = Field("ingest", description="role of the pipelines")
    warehouse_ingest_password: SecretStr = Field(SecretStr(""), description="password of that role")
    warehouse_transform_user: str = Field("transform", description="role of transformations, features and checks")
    warehouse_transform_password: SecretStr = Field(SecretStr(""), description="password of that role")
    warehouse_reader_user: str = Field("reader", description="role that may only read")
    warehouse_reader_password: SecretStr = Field(SecretStr(""), description="password of that role")
    warehouse_owner_user: str = Field("warehouse_owner", description="role of the migrations")
    warehouse_owner_password: SecretStr = Field(SecretStr(""), description="password of that role")
    warehouse_lake_database: str = Field("lake", description="the lakehouse's catalogue, on the same server")
    warehouse_lake_reader_user: str = Field("lake_reader", description="role that may only read the catalogue")
    warehouse_lake_reader_password: SecretStr = Field(SecretStr(""), description="password of that role")
    warehouse_feast_database: str = Field("feast", description="Feast's registry and online store, on the same server")
    warehouse_feast_user: str = Field("feast", description="role of Feast; it also reads the tables of features")
    warehouse_feast_password: SecretStr = Field(SecretStr(""), description="password of that role")
    s3_lake_reader_access_key_id: str = Field("lake-reader", description="access key that may only read the lakehouse")
    s3_lake_reader_secret_access_key: SecretStr = Field(SecretStr(""), description="its secret")
    kafka_bootstrap: str = Field("127.0.0.1:9092", description="the Kafka-protocol broker, host:port")

    def s3(self) -> S3Config:
        """The object store's address and key."""
        return S3Config(
            endpoint_url=self.s3_endpoint_url,
            access_key_id=self.s3_access_key_id,
            secret_access_key=self.s3_secret_access_key,
            region=self.s3_region,
        )

    def warehouse(self, role: str = "ingest") -> WarehouseConfig:
        """Return the connection to the warehouse as `ingest`, `transform`, `reader` or `owner` (migrations)."""
        return WarehouseConfig(
            host=self.warehouse_host,
            port=self.warehouse_port,
            database=self.warehouse_database,
            user=getattr(self, f"warehouse_{role}_user"),
            password=getattr(self, f"warehouse_{role}_password"),
        )


class MlServiceSettings(Settings):
    """How transactions get their category. Each name is read from ML_SERVICE_<NAME>."""

    model_config = SettingsConfigDict(title="Calls of the ML service", env_prefix="ML_SERVICE_")

    url: str = Field("http://127.0.0.1:8100", repr=False, description="address; `up` sets it to the service it starts")
    token: SecretStr = Field(SecretStr(""), description="the service's ML_API_TOKEN; `up` sets it to the generated one")
    attempts: int = Field(5, ge=1, description="tries of one request")

    batch_size: int = constant(1000, ge=1, le=1000, description="transactions of one request")
    requests_at_once: int = constant(4, ge=1, description="requests under way at the same time")
    connect_timeout_seconds: float = constant(2.0, gt=0)
    read_timeout_seconds: float = constant(10.0, gt=0)
    backoff_seconds: float = constant(0.2, ge=0, description="longest first pause; it doubles, with jitter")
    backoff_max_seconds: float = constant(5.0, ge=0)
    circuit_failures: int = constant(20, ge=1, description="failed tries in a row that open the circuit")
    circuit_reset_seconds: float = constant(10.0, gt=0, description="an open circuit lets one try through after this")


class StreamSettings(Settings):
    """How Kafka topics are consumed. Each name is read from STREAM_<NAME>; SCHEMA_REGISTRY_URL has no prefix."""

    model_config = SettingsConfigDict(title="Messages", env_prefix="STREAM_")

    group: str = Field("filegate", description="the consumer group of a topic is this, a dot and the topic")
    batch_messages: int = Field(50_000, ge=1, description="most messages of one batch of one partition")
    batch_bytes: int = Field(64 * 1024**2, ge=1, description="most bytes of one batch of one partition")
    partitions: int = Field(2, ge=1, description="partitions of a topic that is created here")
    schema_registry_url: str | None = Field(  # it may contain a login
        None, repr=False, validation_alias="SCHEMA_REGISTRY_URL",
        description="empty: messages are JSON; set: also Avro in the registry's wire format",
    )  # fmt: skip

    threshold_messages: int = constant(100, ge=1, description="smaller batches are not stopped by their bad messages")
    batch_seconds: float = constant(5.0, gt=0, description="a batch is closed after this, full or not")
    run_seconds: float = constant(60.0, gt=0, description="a run takes batch after batch for this long at most")
    session_timeout_ms: int = constant(6000, ge=1000, description="a consumer not heard of for this long has died")
    max_poll_interval_ms: int = constant(300_000, ge=6000, description="longest time that one batch may take")

    def group_of(self, topic: str) -> str:
        """The consumer group of a topic: its own, for consumers of one group disturb each other when they join."""
        return f"{self.group}.{topic}"


class SourceSettings(Settings):
    """What is collected from APIs by definition. Each name is read from SOURCES_<NAME>.

    Addresses and logins are not here: each source has its connection `source_<name>`.
    """

    model_config = SettingsConfigDict(title="Sources", env_prefix="SOURCES_", env_ignore_empty=True)

    dir: Path = Field(SOURCES_DIR, description="one YAML per source; relative to the checkout; it may be missing")
    stand_in: bool = Field(default=False, description="whether a stand-in may answer instead of the real API")


class TrainingSettings(Settings):
    """How the commit model is trained. Each name is read from TRAINING_<NAME>; MLFLOW_* and MODEL_* have no prefix."""

    model_config = SettingsConfigDict(title="The commit model", env_prefix="TRAINING_")

    tracking_uri: str = Field(
        "http://127.0.0.1:5000", repr=False, validation_alias="MLFLOW_TRACKING_URI",
        description="MLflow's server; `up` sets it to the one it starts",
    )  # fmt: skip
    model_signing_key: SecretStr = Field(
        SecretStr(""), validation_alias="MODEL_SIGNING_KEY",
        description="signs models, the same key for training and the ML service; `new,old` signs with the first and "
        "accepts both; `up` sets it to the generated one",
    )  # fmt: skip
    min_rows: int = Field(200, ge=20, description="with fewer commits no model is trained")
    trees: int = Field(200, ge=1, description="trees of the forest")

    folds: int = constant(5, ge=2, description="of the cross-validation")
    test_share: float = constant(0.2, gt=0, lt=1, description="of the commits, held back for the test")
    seed: int = constant(42, ge=0)


class MlflowLogin(Settings):
    """The login at MLflow, which MLflow's own client reads. Each name is read from MLFLOW_TRACKING_<NAME>."""

    model_config = SettingsConfigDict(title="Login at MLflow", env_prefix="MLFLOW_TRACKING_")

    username: str = Field("", description="`training` for DAGs, `reader` for the ML service; set by `up`")
    password: SecretStr = Field(SecretStr(""), description="password of that account, made at the first start")


class QualitySettings(Settings):
    """How the tables of the warehouse are checked. Each name is read from QUALITY_<NAME>."""

    model_config = SettingsConfigDict(title="Quality checks", env_prefix="QUALITY_")

    docs_bucket: str = Field("quality-docs", description="bucket of the pages that show the last results")
    schedule_minutes: int = Field(15, ge=1, description="pause between two checks without new rows")
    deviations: float = Field(5.0, gt=0, description="robust deviations from the median volume that are an anomaly")
    keep_days: int = Field(
        90, ge=1, description="older results of tables are deleted; results of files: RETENTION_FILE_RESULTS_DAYS"
    )


class LakeSettings(Settings):
    """The lakehouse: tables of contracts with `lake`, kept as Parquet files. Each name is read from LAKE_<NAME>."""

    model_config = SettingsConfigDict(title="Lakehouse", env_prefix="LAKE_")

    memory_mb: int = Field(1024, ge=256, description="megabytes that DuckDB may use in a process; more goes to disk")
    keep_days: float = Field(30.0, gt=0, description="how far back time travel reaches; older snapshots are deleted")

    bucket: str = constant("lake", description="bucket of the Parquet files")
    writer_hours: float = constant(24.0, gt=0, description="longer than any update: younger files are never deleted")


class FeastSettings(Settings):
    """The feature store's own virtualenv, made by `filegate feast setup`. Each name is read from FEAST_<NAME>."""

    model_config = SettingsConfigDict(title="Feast", env_prefix="FEAST_")

    dir: Path = Field(
        _REPOSITORY / ".venv" / "feast", description="folder of Feast's virtualenv (600 MB) and generated repository"
    )


class AlertSettings(Settings):
    """Who receives alerts. None is sent until ALERTS_TO or ALERTS_NOTIFIER is set.

    Each name is read from ALERTS_<NAME>. The connection `alerts_smtp` holds the mail server.
    """

    model_config = SettingsConfigDict(title="Alerts", env_prefix="ALERTS_", env_ignore_empty=True)

    to: str = Field("", description="recipients of mail, separated by commas; empty: no mail")
    sender: str = Field("filegate@localhost", description="address that mail is sent from")
    notifier: str = Field("", description="dotted path of another Airflow notifier; empty: mail")
    # A webhook's address is as secret as a password.
    notifier_kwargs: dict[str, Any] = Field(
        {}, repr=False, description="its arguments, as JSON; texts are templates: {{ alert.subject }}"
    )
    quiet_minutes: float = Field(60.0, ge=0, description="the same cause is sent again after this, with a count")
    waiting_minutes: float = Field(10.0, ge=0, description="a longer wait for a store, lock or service alerts")

    max_files: int = constant(20, ge=1, description="files listed in one message; the others are only counted")
    attempts: int = constant(3, ge=1, description="tries of one message")
    timeout_seconds: int = constant(10, ge=1, description="for each answer of the mail server")
    # Below the 50 seconds after which Airflow ends the process of a DAG callback.
    deadline_seconds: float = constant(30.0, gt=0, le=45, description="for all tries of a message; then it is given up")

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


class AlertMailSettings(Settings):
    """The server of mails, for the connection `alerts_smtp`. Each name is read from ALERTS_SMTP_<NAME>."""

    model_config = SettingsConfigDict(title="Mail server", env_prefix="ALERTS_SMTP_", env_ignore_empty=True)

    host: str = Field("127.0.0.1", description="host of the mail server")
    port: int = Field(587, ge=1, le=65535, description="usual: 587 with starttls, 465 with ssl, 25 with none")
    security: Literal["starttls", "ssl", "none"] = Field(
        "starttls", description="starttls, ssl, or none for a server on this machine"
    )
    user: str = Field("", description="empty: the server needs no login")
    password: SecretStr = Field(SecretStr(""), description="password of that user")


class IngestSettings(Settings):
    """How files are found, batched, limited and retried. Each name is read from INGEST_<NAME>."""

    model_config = SettingsConfigDict(title="Ingestion", env_prefix="INGEST_")

    contracts_dir: Path = Field(CONTRACTS_DIR, description="one YAML per dataset; relative to the checkout")
    contracts_cache_dir: Path = Field(
        Path(gettempdir()) / f"filegate-contracts-{os.getuid()}",
        description="results of checking contracts; writable by this user only",
    )
    landing_bucket: str = Field("landing", description="bucket with incoming/, staging/, processed/ and failed/")
    spool_dir: Path = Field(
        Path(gettempdir()) / "ingest-spool", description="copies of the files being read; relative to the checkout"
    )

    poke_seconds: float = Field(2.0, gt=0, description="pause between two listings of the bucket")
    wait_hours: float = Field(24.0, gt=0, description="a waiting run ends after this and the next one begins")
    sweep_seconds: int = Field(60, ge=5, description="pause between two sweeps for files of no dataset")
    batch_max_files: int = Field(100, ge=1, description="most files of one batch")
    batch_max_bytes: int = Field(
        32 * 1024**2, ge=1, description="most bytes of a batch; a larger file is its own batch"
    )
    batches_at_once: int = Field(4, ge=1, description="batches of one dataset at the same time")
    max_attempts: int = Field(3, ge=1, description="a file whose worker died this often is quarantined")

    retries: int = Field(3, ge=0, description="retries of a task, after network and database errors")
    retry_delay_seconds: float = Field(5.0, ge=0, description="pause before the first retry; it doubles")
    max_consecutive_failures: int = Field(20, ge=1, description="failed runs in a row that pause a DAG")

    max_file_bytes: int = Field(20 * 1024**3, ge=1, description="a larger file is rejected")
    max_expanded_bytes: int = Field(100 * 1024**3, ge=1, description="most bytes of a compressed file, once expanded")
    max_expansion_ratio: int = Field(
        1000, ge=1, description="expanded to stored bytes of a compressed or Parquet file, beyond 256 MiB expanded"
    )
    max_row_bytes: int = Field(1024**2, ge=1, description="a longer row is rejected")
    max_columns: int = Field(500, ge=1, description="a file with more columns is rejected")

    engine_memory_mb: int = Field(128, ge=64, description="megabytes of the DuckDB engine that reads a file")
    merge_memory_mb: int = Field(512, ge=4, description="megabytes of a merge (work_mem); in containers 128")
    lock_timeout_seconds: int = Field(30, ge=1, description="wait for a lock on the table before trying again later")

    max_batches: int = constant(64, ge=1, le=1000, description="batches of one run; other files wait for the next run")
    expansion_free_bytes: int = constant(256 * 1024**2, ge=0, description="expanded bytes of which no ratio is asked")
    max_rejects_in_ledger: int = constant(1000, ge=0, description="rows of a file in ops.rejected_rows")


class RetentionSettings(Settings):
    """How long everything but the tables' rows is kept; 0 is for ever, fractions of a day are allowed.

    Each name is read from RETENTION_<NAME>. Entries of the ledger are always kept: their content hashes prevent that a
    file is loaded twice.
    """

    model_config = SettingsConfigDict(title="Retention", env_prefix="RETENTION_")

    airflow_days: float = Field(
        30.0, ge=0, description="Airflow's runs and asset events; at least twice INGEST_WAIT_HOURS"
    )
    log_files_days: float = Field(30.0, ge=0, description="files of task logs on a disk that the workers can access")
    rejected_rows_days: float = Field(
        90.0, ge=0, description="ops.rejected_rows of settled files; their reject files stay"
    )
    file_results_days: float = Field(
        90.0, ge=0, description="results of expectations on files; QUALITY_KEEP_DAYS: tables"
    )
    file_events_days: float = Field(365.0, ge=0, description="ops.file_event: the history of a settled file")
    alerts_days: float = Field(90.0, ge=0, description="ops.alert: causes that an alert was sent for")
    source_runs_days: float = Field(365.0, ge=0, description="ops.source_run: what each run of a source read")
    source_objects_days: float = Field(
        365.0, ge=0, description="ops.source_object: objects that are gone from the bucket of their source"
    )
    processed_days: float = Field(0.0, ge=0, description="objects in processed/")
    failed_days: float = Field(0.0, ge=0, description="objects in failed/; what is deleted cannot be reprocessed")
    old_versions_days: float = Field(7.0, ge=0, description="versions of landing objects that were replaced or deleted")

    leftover_hours: float = constant(
        24.0, gt=0, description="what no unsettled file owns in staging/ and spool folders"
    )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part for part in map(str.strip, text.split(",")) if part))


# The settings of this process, each read at its first use.
ingest_settings = lru_cache(maxsize=1)(IngestSettings)
store_settings = lru_cache(maxsize=1)(StoreSettings)
ml_service_settings = lru_cache(maxsize=1)(MlServiceSettings)
stream_settings = lru_cache(maxsize=1)(StreamSettings)
source_settings = lru_cache(maxsize=1)(SourceSettings)
training_settings = lru_cache(maxsize=1)(TrainingSettings)
quality_settings = lru_cache(maxsize=1)(QualitySettings)
lake_settings = lru_cache(maxsize=1)(LakeSettings)
feast_settings = lru_cache(maxsize=1)(FeastSettings)
alert_settings = lru_cache(maxsize=1)(AlertSettings)
retention_settings = lru_cache(maxsize=1)(RetentionSettings)
