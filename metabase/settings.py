"""Settings of Metabase's provisioner and of the report, read once from the environment and frozen.

What belongs here: addresses, the admin, the reader's connection, timeouts and retries. What does not: what is shown.
"""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from include.settings import WarehouseConfig


class MetabaseSettings(BaseSettings):
    """Address, admin and contents of Metabase. Each name is read from METABASE_<NAME>.

    The `warehouse_*` names are the connection of Metabase itself to the warehouse, as the role `reader`.
    """

    model_config = SettingsConfigDict(env_prefix="METABASE_", env_ignore_empty=True, frozen=True, extra="ignore")

    url: str = "http://127.0.0.1:3000"
    admin_email: str = Field("admin@filegate.example", description="of the first admin, created if there is no user")
    admin_password: SecretStr = SecretStr("")
    site_name: str = "FileGate"
    collection: str = Field("FileGate", description="holds all questions and dashboards of this project")

    warehouse_name: str = Field("FileGate warehouse", description="the connection's name in Metabase")
    warehouse_host: str = "127.0.0.1"
    warehouse_port: int = Field(5433, ge=1, le=65535)
    warehouse_database: str = "warehouse"
    warehouse_user: str = "reader"
    warehouse_password: SecretStr = SecretStr("")
    warehouse_ssl: bool = False

    start_seconds: float = Field(300.0, gt=0, description="limit of Metabase's start")
    poll_seconds: float = Field(2.0, ge=0, description="pause between two checks whether it has started")
    connect_timeout_seconds: float = Field(5.0, gt=0)
    read_timeout_seconds: float = Field(60.0, gt=0, description="Metabase tests a connection before it saves it")
    attempts: int = Field(5, ge=1, description="tries of one request")
    backoff_seconds: float = Field(
        0.5, ge=0, description="longest first pause; each next one is twice as long, with jitter"
    )
    backoff_max_seconds: float = Field(15.0, ge=0)


class ReaderSettings(BaseSettings):
    """The warehouse as `reader`, under the names that `filegate env` prints."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    warehouse_host: str = "127.0.0.1"
    warehouse_port: int = 5433
    warehouse_database: str = "warehouse"
    warehouse_reader_user: str = "reader"
    warehouse_reader_password: SecretStr = SecretStr("")

    def warehouse(self) -> WarehouseConfig:
        """Return the connection of the report, with a statement timeout of 120 seconds."""
        return WarehouseConfig(
            host=self.warehouse_host,
            port=self.warehouse_port,
            database=self.warehouse_database,
            user=self.warehouse_reader_user,
            password=self.warehouse_reader_password,
            statement_timeout=120,
        )
