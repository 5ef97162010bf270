"""The ML service of this checkout, `ml_api/`, as a service of the embedded platform."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from local.services import mlflow, postgres
from local.services.service import Service, get_json
from local.settings import REPOSITORY

if TYPE_CHECKING:
    from local.credentials import Credentials
    from local.settings import PlatformSettings

NAME = "ml-api"


def url(settings: PlatformSettings) -> str:
    """Return the service's address; its API documentation is below /docs."""
    return f"http://127.0.0.1:{settings.ml_api_port}"


def service(settings: PlatformSettings, credentials: Credentials) -> Service:
    """Declare the ML service as a supervised program."""

    def probe(_since: float) -> str | None:
        try:
            health = get_json(f"{url(settings)}/health")
        except (OSError, ValueError) as error:
            return f"it does not answer ({error})"
        return None if health.get("status") == "ok" else f"it is {health.get('status') or 'unknown'}"

    return Service(
        name=NAME,
        command=(sys.executable, "-m", "ml_api"),
        environment={
            "PYTHONPATH": str(REPOSITORY),
            "ML_API_HOST": "127.0.0.1",
            "ML_API_PORT": str(settings.ml_api_port),
            "ML_API_TOKEN": credentials.ml_api_token,
            # Used for the first classification of a commit: the service starts without MLflow, and before it.
            **mlflow.reader_variables(settings, credentials),
            "ML_API_ONLINE_STORE": postgres.online_store(settings, credentials),
        },
        directory=settings.layout.home,
        probe=probe,
        port=settings.ml_api_port,
        port_variable="ML_API_PORT",
        address=url(settings),
    )
