"""The MLflow server of the platform: runs and models are in PostgreSQL, their files in the bucket `mlflow`.

It requires a login (MLflow's `basic-auth`); the accounts are in `local.services.mlflow_accounts`.
"""

from __future__ import annotations

import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from local.services import bucket, mlflow_accounts, postgres
from local.services.service import Service
from local.settings import REPOSITORY

if TYPE_CHECKING:
    from local.credentials import Credentials
    from local.settings import PlatformSettings

NAME = "mlflow"

_PROGRAM = Path(sys.executable).parent / "mlflow"
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def url(settings: PlatformSettings) -> str:
    """Return the server's address, for browsers and clients."""
    return f"http://127.0.0.1:{settings.mlflow_port}"


def variables(settings: PlatformSettings, credentials: Credentials) -> dict[str, str]:
    """Return the variables for training: address, login and signing key. The server transfers the models' files."""
    return {
        "MLFLOW_TRACKING_URI": url(settings),
        "MLFLOW_TRACKING_USERNAME": mlflow_accounts.TRAINING,
        "MLFLOW_TRACKING_PASSWORD": credentials.mlflow_training_password,
        "MODEL_SIGNING_KEY": credentials.model_signing_key,
        **_QUIET,
    }


def reader_variables(settings: PlatformSettings, credentials: Credentials) -> dict[str, str]:
    """Return the variables for the ML service, which reads models and verifies their signatures."""
    return {
        "MLFLOW_TRACKING_URI": url(settings),
        "MLFLOW_TRACKING_USERNAME": mlflow_accounts.READER,
        "MLFLOW_TRACKING_PASSWORD": credentials.mlflow_reader_password,
        "MODEL_SIGNING_KEY": credentials.model_signing_key,
    }


def service(settings: PlatformSettings, credentials: Credentials) -> Service:
    """Declare the server as a supervised program. It migrates its tables when it starts."""
    password = postgres.role_passwords(credentials)[NAME]
    database = f"{NAME}:{password}@127.0.0.1:{settings.postgres_port}/{NAME}"

    def probe(_since: float) -> str | None:
        try:
            direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with direct.open(f"{url(settings)}/health", timeout=5) as answer:
                body = answer.read(100).decode(errors="replace")
        except OSError as error:
            return f"it does not answer ({error})"
        return None if body == "OK" else f"another program answers on its port: {body!r}"

    return Service(
        name=NAME,
        command=(
            sys.executable, "-m", "local.services.mlflow_accounts",
            str(_PROGRAM), "server", "--app-name", "basic-auth",
            "--host", "127.0.0.1", "--port", str(settings.mlflow_port),
            "--workers", "1", "--artifacts-destination", f"s3://{NAME}",
        ),
        environment={
            "PYTHONPATH": str(REPOSITORY),
            # Not an argument, because `ps` shows arguments.
            "MLFLOW_BACKEND_STORE_URI": f"postgresql://{database}",
            mlflow_accounts.PASSWORDS[mlflow_accounts.ADMIN]: credentials.mlflow_admin_password,
            mlflow_accounts.PASSWORDS[mlflow_accounts.TRAINING]: credentials.mlflow_training_password,
            mlflow_accounts.PASSWORDS[mlflow_accounts.READER]: credentials.mlflow_reader_password,
            "MLFLOW_AUTH_CONFIG_PATH": str(settings.layout.mlflow_configuration),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": credentials.mlflow_flask_secret_key,
            # A page without an authorisation rule in MLflow is refused to all accounts but the administrator.
            "MLFLOW_BASIC_AUTH_FAIL_CLOSED": "true",
            "MLFLOW_S3_ENDPOINT_URL": bucket.endpoint(settings),
            "AWS_ACCESS_KEY_ID": credentials.mlflow_s3_access_key_id,
            "AWS_SECRET_ACCESS_KEY": credentials.mlflow_s3_secret_access_key,
            "AWS_DEFAULT_REGION": bucket.REGION,
            **bucket.CHECKSUMS,
            # Protects against DNS rebinding: requests with another Host header are refused.
            "MLFLOW_SERVER_ALLOWED_HOSTS": f"127.0.0.1:{settings.mlflow_port},localhost:{settings.mlflow_port}",
            # The workers for language model jobs take 1.4 GB, and this project has no such jobs.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            **_QUIET,
        },
        directory=settings.layout.home,
        probe=probe,
        port=settings.mlflow_port,
        port_variable="MLFLOW_PORT",
        address=url(settings),
    )  # fmt: skip
