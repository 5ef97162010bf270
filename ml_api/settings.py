"""What the service can be told from outside. What it accepts in a request is in `ml_api.models`."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class MlApiSettings(BaseSettings):
    """Where the service listens. Each name is read from ML_API_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="ML_API_", env_ignore_empty=True, frozen=True, extra="ignore")

    host: str = Field("127.0.0.1", description="0.0.0.0 in a container")
    port: int = Field(8100, ge=1, le=65535)
