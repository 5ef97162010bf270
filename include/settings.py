"""Every setting of the library, read once from the environment, frozen, with unknown values refused.

What belongs here: names, defaults, units and limits. What does not: anything that connects to something.
`.env.example` lists the same names; a test keeps the two alike.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from tempfile import gettempdir

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

CONTRACTS_DIR = Path(__file__).parent / "contracts"


class S3Config(BaseModel):
    """How to reach an S3-compatible store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint_url: str | None
    access_key_id: str
    secret_access_key: SecretStr
    region: str = "us-east-1"


class WarehouseConfig(BaseModel):
    """How to reach the warehouse as one of its roles. Timeouts are in seconds; 0 switches one off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str
    port: int = Field(ge=1, le=65535)
    database: str
    user: str
    password: SecretStr
    connect_timeout: int = 10
    lock_timeout: int = 30
    statement_timeout: int = 3600


class StoreSettings(BaseSettings):
    """Where the bucket and the warehouse are, for commands that run outside Airflow.

    Inside Airflow the connections `landing_s3` and `warehouse_pg` say the same.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

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

    def s3(self) -> S3Config:
        """The object store's address and key."""
        return S3Config(
            endpoint_url=self.s3_endpoint_url,
            access_key_id=self.s3_access_key_id,
            secret_access_key=self.s3_secret_access_key,
            region=self.s3_region,
        )

    def warehouse(self, role: str = "ingest") -> WarehouseConfig:
        """The warehouse as `ingest` (the pipeline) or `owner` (migrations)."""
        return WarehouseConfig(
            host=self.warehouse_host,
            port=self.warehouse_port,
            database=self.warehouse_database,
            user=self.warehouse_owner_user if role == "owner" else self.warehouse_ingest_user,
            password=self.warehouse_owner_password if role == "owner" else self.warehouse_ingest_password,
        )


class IngestSettings(BaseSettings):
    """How files are found, batched, limited and retried. Each name is read from INGEST_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="INGEST_", frozen=True, extra="ignore")

    contracts_dir: Path = CONTRACTS_DIR
    landing_bucket: str = "landing"
    spool_dir: Path = Path(gettempdir()) / "ingest-spool"

    poke_seconds: float = Field(2.0, gt=0, description="pause between two looks into the bucket")
    wait_hours: float = Field(24.0, gt=0, description="a waiting run ends after this and the next one begins")
    sweep_seconds: int = Field(30, ge=5, description="pause between two sweeps for files of no dataset")
    batch_max_files: int = Field(100, ge=1)
    batch_max_bytes: int = Field(32 * 1024**2, ge=1, description="a file larger than this travels alone")
    max_batches: int = Field(64, ge=1, le=1000, description="batches of one run; the rest waits for the next")
    batches_at_once: int = Field(4, ge=1, description="into how many batches many small files are spread")
    max_attempts: int = Field(3, ge=1, description="a file whose worker died this often is quarantined")

    retries: int = Field(3, ge=0, description="of a task, for network and database trouble")
    retry_delay_seconds: float = Field(5.0, ge=0)
    retry_backoff: float = Field(2.0, ge=1, description="each pause is this many times the one before")
    retry_max_delay_seconds: float = Field(300.0, ge=0)
    max_consecutive_failures: int = Field(20, ge=1, description="failed runs in a row that pause a DAG")

    max_file_bytes: int = Field(20 * 1024**3, ge=1)
    max_expanded_bytes: int = Field(100 * 1024**3, ge=1, description="of a compressed file, once expanded")
    max_row_bytes: int = Field(1024**2, ge=1)
    max_columns: int = Field(500, ge=1)
    max_rejects_in_ledger: int = Field(1000, ge=0, description="rows of a file in ops.rejected_rows")

    engine_memory_mb: int = Field(128, ge=64)
    engine_threads: int = Field(2, ge=1)
    merge_memory_mb: int = Field(512, ge=4, description="work_mem of a merge, in the warehouse")
    lock_timeout_seconds: int = Field(30, ge=1, description="wait for a lock on the table before trying again later")


@lru_cache(maxsize=1)
def ingest_settings() -> IngestSettings:
    """The settings of this process."""
    return IngestSettings()


@lru_cache(maxsize=1)
def store_settings() -> StoreSettings:
    """The addresses and keys of this process."""
    return StoreSettings()
