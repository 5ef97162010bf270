"""Settings of the service, read from the environment."""

from __future__ import annotations

import re

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_ADDRESS = re.compile(r"https?://[^\s/@]+(/[^\s@]*)?")


class MlApiSettings(BaseSettings):
    """Address, token and models of the service that classifies. Each name is read from ML_API_<NAME>.

    MLFLOW_* and MODEL_* have no prefix.
    """

    model_config = SettingsConfigDict(
        title="The ML service", env_prefix="ML_API_", env_ignore_empty=True, frozen=True, extra="ignore",
        populate_by_name=True, hide_input_in_errors=True,
    )  # fmt: skip

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 in containers")
    port: int = Field(8100, ge=1, le=65535, description="port to listen on")
    mlflow_tracking_uri: str = Field(
        "", validation_alias="MLFLOW_TRACKING_URI", description="MLflow's server; if empty, no commit is classified"
    )
    token: SecretStr = Field(
        SecretStr(""), description="token that callers send, made at the first start; it does not start without"
    )
    model_signing_key: SecretStr = Field(
        SecretStr(""),
        validation_alias="MODEL_SIGNING_KEY",
        description="keys, separated by commas, that may have signed a model; if empty, no model is loaded",
    )
    model_refresh: float = Field(
        60, gt=0, le=86_400, description="seconds until MLflow is asked for the champion again"
    )
    model_load_seconds: float = Field(60, gt=0, le=600, description="how long a request waits for the first model")

    online_store: SecretStr = Field(
        SecretStr(""), description="the online store, as postgresql://feast_reader:PASSWORD@HOST/feast; may be empty"
    )

    @field_validator("mlflow_tracking_uri")
    @classmethod
    def _is_a_server(cls, address: str) -> str:
        """Accept only http(s) servers, without credentials: the address is shown in messages."""
        if address and not _ADDRESS.fullmatch(address):
            raise ValueError(
                "give http://HOST:PORT or https://HOST; put user name and password into MLFLOW_TRACKING_USERNAME and"
                " MLFLOW_TRACKING_PASSWORD"
            )
        return address
