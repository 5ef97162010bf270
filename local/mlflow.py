"""The MLflow server of the platform: runs and models in PostgreSQL, their files in the bucket `mlflow`."""

from __future__ import annotations

import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from local import bucket, postgres
from local.services import Service

if TYPE_CHECKING:
    from local.credentials import Credentials
    from local.settings import PlatformSettings

NAME = "mlflow"

_PROGRAM = Path(sys.executable).parent / "mlflow"
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def url(settings: PlatformSettings) -> str:
    """The server's address, for browsers and for clients."""
    return f"http://127.0.0.1:{settings.mlflow_port}"


def variables(settings: PlatformSettings) -> dict[str, str]:
    """What clients are told. Files pass through the server: they need no key of the bucket."""
    return {"MLFLOW_TRACKING_URI": url(settings), **_QUIET}


def service(settings: PlatformSettings, credentials: Credentials) -> Service:
    """The server as a supervised program. It brings its tables up to date when it starts."""
    password = postgres.role_passwords(credentials)[NAME]
    database = f"{NAME}:{password}@127.0.0.1:{settings.postgres_port}/{NAME}"

    def probe(_since: float) -> str | None:
        try:
            direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with direct.open(f"{url(settings)}/health", timeout=5) as answer:
                said = answer.read(100).decode(errors="replace")
        except OSError as error:
            return f"it does not answer ({error})"
        return None if said == "OK" else f"another program answers on its port: {said!r}"

    return Service(
        name=NAME,
        command=(
            str(_PROGRAM), "server", "--host", "127.0.0.1", "--port", str(settings.mlflow_port),
            "--workers", "1", "--artifacts-destination", f"s3://{NAME}",
        ),
        environment={
            # Not an argument: `ps` shows those.
            "MLFLOW_BACKEND_STORE_URI": f"postgresql://{database}",
            "MLFLOW_S3_ENDPOINT_URL": bucket.endpoint(settings),
            "AWS_ACCESS_KEY_ID": credentials.s3_access_key_id,
            "AWS_SECRET_ACCESS_KEY": credentials.s3_secret_access_key,
            "AWS_DEFAULT_REGION": bucket.REGION,
            **bucket.CHECKSUMS,
            # A page of another site that a browser sends here under a name of its own is refused.
            "MLFLOW_SERVER_ALLOWED_HOSTS": f"127.0.0.1:{settings.mlflow_port},localhost:{settings.mlflow_port}",
            # The workers for jobs of language models take 1.4 GB, and nothing here has such jobs.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            **_QUIET,
        },
        directory=settings.layout.home,
        probe=probe,
        port=settings.mlflow_port,
        port_variable="MLFLOW_PORT",
        address=url(settings),
        start_seconds=settings.platform_start_seconds,  # the first start makes its tables
    )  # fmt: skip
