"""Settings of Metabase's provisioner, read once from the environment and frozen.

What belongs here: addresses, the admin, timeouts and retries. What does not: what is shown, and the connection of the
report, which is that of the role `reader` in `include.settings`.
"""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from include.settings_base import Settings, constant


class MetabaseSettings(Settings):
    """Metabase, its admin, and its connection to the warehouse. Each name is read from METABASE_<NAME>."""

    model_config = SettingsConfigDict(title="Metabase", env_prefix="METABASE_", env_ignore_empty=True)

    url: str = Field("http://127.0.0.1:3000", description="its address")
    admin_email: str = Field("admin@filegate.example", description="the first admin, created if there is no user")
    admin_password: SecretStr = Field(SecretStr(""), description="password of the admin")
    site_name: str = Field("FileGate", description="name of the site, set when the first admin is created")
    collection: str = Field("FileGate", description="holds all questions and dashboards of this project")

    warehouse_name: str = Field("FileGate warehouse", description="name of the connection in Metabase")
    warehouse_host: str = Field("127.0.0.1", description="host of the warehouse, as Metabase itself reaches it")
    warehouse_port: int = Field(5433, ge=1, le=65535, description="its port")
    warehouse_database: str = Field("warehouse", description="its database")
    warehouse_user: str = Field("reader", description="a role that may only read")
    warehouse_password: SecretStr = Field(SecretStr(""), description="password of that role")
    warehouse_ssl: bool = Field(default=False, description="whether Metabase connects with TLS")

    start_seconds: float = Field(300.0, gt=0, description="longest wait for Metabase's start")

    poll_seconds: float = constant(2.0, ge=0, description="pause between two checks whether it has started")
    connect_timeout_seconds: float = constant(5.0, gt=0)
    read_timeout_seconds: float = constant(60.0, gt=0, description="Metabase tests a connection before it saves it")
    attempts: int = constant(5, ge=1, description="tries of one request")
    backoff_seconds: float = constant(0.5, ge=0, description="longest first pause; it doubles, with jitter")
    backoff_max_seconds: float = constant(15.0, ge=0)
