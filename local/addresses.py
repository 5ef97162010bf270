"""What other programs on this machine need to reach the platform: the names that `make env` exports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.conninfo import make_conninfo

from local import airflow, bucket, ml_api, mlflow
from local.settings import ingest_settings

if TYPE_CHECKING:
    from local.platform import Platform


def variables(platform: Platform) -> dict[str, str]:
    """Every address, user and password, by the name that tools and the library read it from.

    The warehouse's address is the owner's: this is for the person at the keyboard. Pipelines get less.

    Raises:
        PlatformError: the platform was never started.
    """
    settings, credentials = platform.settings, platform.credentials
    s3, owner = platform.s3_config, platform.warehouse_config("owner")
    secret = s3.secret_access_key.get_secret_value()
    dsn = f"postgresql://{owner.user}:{owner.password.get_secret_value()}@{owner.host}:{owner.port}/{owner.database}"
    make_conninfo(dsn)  # a password that would break the address shows here, not at the user's
    return {
        "LANDING_ENDPOINT": bucket.endpoint(settings),
        "LANDING_BUCKET": ingest_settings().landing_bucket,
        "AWS_ACCESS_KEY_ID": s3.access_key_id,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_REGION": s3.region,
        "AWS_DEFAULT_REGION": s3.region,
        "AWS_ENDPOINT_URL_S3": bucket.endpoint(settings),
        **bucket.CHECKSUMS,
        "WAREHOUSE_DSN": dsn,
        "ML_API_URL": ml_api.url(settings),
        "MLFLOW_TRACKING_URI": mlflow.url(settings),
        "AIRFLOW_URL": airflow.url(settings),
        "AIRFLOW_USER": credentials.airflow_admin_user,
        "AIRFLOW_PASSWORD": credentials.airflow_admin_password,
        **airflow.library_variables(settings, credentials),
        "WAREHOUSE_TRANSFORM_USER": "transform",
        "WAREHOUSE_TRANSFORM_PASSWORD": credentials.warehouse_transform_password,
        "WAREHOUSE_READER_USER": "reader",
        "WAREHOUSE_READER_PASSWORD": credentials.warehouse_reader_password,
        "WAREHOUSE_OWNER_USER": owner.user,
        "WAREHOUSE_OWNER_PASSWORD": owner.password.get_secret_value(),
        "PLATFORM_HOME": str(settings.platform_home),
    }
