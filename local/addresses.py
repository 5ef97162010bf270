"""Environment variables with the addresses and logins of the platform, for users and for the project's commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.conninfo import make_conninfo

from local.services import airflow, bucket, ml_api, mlflow, mlflow_accounts, postgres
from local.settings import ingest_settings

if TYPE_CHECKING:
    from include.settings import WarehouseConfig
    from local.supervisor.platform import Platform


def for_users(platform: Platform, *, owner: bool = False, aws: bool = False, services: bool = False) -> dict[str, str]:
    """Return the variables that `filegate env` exports: addresses, the reader's login, Airflow's login.

    Args:
        platform: the platform to reach.
        owner: also the login of the warehouse's owner, who may change everything in it.
        aws: also the AWS_* variables; they replace a user's own credentials in that shell.
        services: also the variables of the services: keys of the buckets, roles of the pipelines.

    Raises:
        PlatformError: the platform was never started.
    """
    chosen = _common(platform)
    if owner:
        config = platform.warehouse_config("owner")
        chosen |= {
            "WAREHOUSE_OWNER_DSN": _dsn(config),
            "WAREHOUSE_OWNER_USER": config.user,
            "WAREHOUSE_OWNER_PASSWORD": config.password.get_secret_value(),
        }
    if aws:
        chosen |= _aws(platform)
    if services:
        chosen |= _services(platform)
    return chosen


def for_library(platform: Platform) -> dict[str, str]:
    """Return every variable, for the project's commands. They replace variables of the user's shell.

    Raises:
        PlatformError: the platform was never started.
    """
    return for_users(platform, owner=True, aws=True, services=True)


def _common(platform: Platform) -> dict[str, str]:
    settings, credentials = platform.settings, platform.credentials
    reader = platform.warehouse_config("reader")
    return {
        "PLATFORM_HOME": str(settings.platform_home),
        "AIRFLOW_URL": airflow.url(settings),
        "AIRFLOW_USER": credentials.airflow_admin_user,
        "AIRFLOW_PASSWORD": credentials.airflow_admin_password,
        "LANDING_ENDPOINT": bucket.endpoint(settings),
        "LANDING_BUCKET": ingest_settings().landing_bucket,
        "WAREHOUSE_DSN": _dsn(reader),
        "WAREHOUSE_READER_USER": reader.user,
        "WAREHOUSE_READER_PASSWORD": reader.password.get_secret_value(),
        "WAREHOUSE_HOST": reader.host,
        "WAREHOUSE_PORT": str(reader.port),
        "WAREHOUSE_DATABASE": reader.database,
        **_lake(platform),
        "KAFKA_BOOTSTRAP": airflow.library_variables(settings, credentials)["KAFKA_BOOTSTRAP"],
        "ML_API_URL": ml_api.url(settings),
        "MLFLOW_TRACKING_URI": mlflow.url(settings),
    }


def _lake(platform: Platform) -> dict[str, str]:
    reader = platform.lake_config()
    return {
        "WAREHOUSE_LAKE_DATABASE": reader.catalogue.database,
        "WAREHOUSE_LAKE_READER_USER": reader.catalogue.user,
        "WAREHOUSE_LAKE_READER_PASSWORD": reader.catalogue.password.get_secret_value(),
        "S3_LAKE_READER_ACCESS_KEY_ID": reader.objects.access_key_id,
        "S3_LAKE_READER_SECRET_ACCESS_KEY": reader.objects.secret_access_key.get_secret_value(),
    }


def _aws(platform: Platform) -> dict[str, str]:
    s3 = platform.s3_config
    return {
        "AWS_ACCESS_KEY_ID": s3.access_key_id,
        "AWS_SECRET_ACCESS_KEY": s3.secret_access_key.get_secret_value(),
        "AWS_REGION": s3.region,
        "AWS_DEFAULT_REGION": s3.region,
        "AWS_ENDPOINT_URL_S3": bucket.endpoint(platform.settings),
        **bucket.CHECKSUMS,
    }


def _services(platform: Platform) -> dict[str, str]:
    return {
        **airflow.library_variables(platform.settings, platform.credentials),
        "WAREHOUSE_TRANSFORM_USER": "transform",
        "WAREHOUSE_TRANSFORM_PASSWORD": platform.credentials.warehouse_transform_password,
        "WAREHOUSE_FEAST_DATABASE": postgres.FEAST,
        "WAREHOUSE_FEAST_USER": postgres.FEAST_OWNER,
        "WAREHOUSE_FEAST_PASSWORD": platform.credentials.warehouse_feast_password,
        "ML_API_TOKEN": platform.credentials.ml_api_token,
        "MLFLOW_TRACKING_USERNAME": mlflow_accounts.ADMIN,
        "MLFLOW_TRACKING_PASSWORD": platform.credentials.mlflow_admin_password,
    }


def _dsn(config: WarehouseConfig) -> str:
    password = config.password.get_secret_value()
    dsn = f"postgresql://{config.user}:{password}@{config.host}:{config.port}/{config.database}"
    make_conninfo(dsn)  # raises if the password breaks the address
    return dsn
