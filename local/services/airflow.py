"""Airflow's services, which share one metadata database, and their configuration.

What belongs here: processes, and configuration through environment variables. Tasks use the warehouse's `ingest` role;
DAGs do not have the owner's password.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from local.errors import PlatformError
from local.services import airflow_cleanup, broker, bucket, mail, ml_api, mlflow, postgres, workers
from local.services.service import Service, get_json, shared_environment
from local.services.stand_ins import service as stand_ins
from local.settings import REPOSITORY, Layout, PlatformSettings, pipeline_variables

if TYPE_CHECKING:
    from pathlib import Path

    from local.credentials import Credentials

API_SERVER = "airflow-api-server"
SCHEDULER = "airflow-scheduler"
CLEANUP = "airflow-cleanup"

# The name of each service on Airflow's health page.
_HEALTH_NAMES = {
    API_SERVER: "metadatabase",
    SCHEDULER: "scheduler",
    "airflow-dag-processor": "dag_processor",
    "airflow-triggerer": "triggerer",
}

# The API server reads task logs from the local disk. No log server is started: it would listen on all interfaces and
# on one fixed port.
_ARGUMENTS = {
    API_SERVER: ("api-server", "--workers", "1"),
    SCHEDULER: ("scheduler", "--skip-serve-logs"),
    "airflow-dag-processor": ("dag-processor",),
    "airflow-triggerer": ("triggerer", "--skip-serve-logs"),
}

_COMMAND_SECONDS = 600


def url(settings: PlatformSettings) -> str:
    """Return the address of Airflow's pages."""
    return f"http://127.0.0.1:{settings.airflow_port}"


def services(settings: PlatformSettings, credentials: Credentials) -> list[Service]:
    """Declare Airflow's four services, the clean-up of their database, and the executor's workers."""
    variables = environment(settings, credentials)
    return [
        *(_service(name, settings, variables) for name in _ARGUMENTS),
        _cleanup(settings, credentials),
        *workers.services(settings, credentials, variables),
    ]


def names(settings: PlatformSettings) -> tuple[str, ...]:
    """Return the names of Airflow's services."""
    return (*_ARGUMENTS, CLEANUP, *workers.names(settings))


def prepare(settings: PlatformSettings, credentials: Credentials) -> None:
    """Write the password file, and migrate the metadata database to this version of Airflow.

    Raises:
        PlatformError: the migration failed; the message names its log.
    """
    layout = settings.layout
    layout.airflow.mkdir(exist_ok=True)
    layout.spool.mkdir(exist_ok=True)
    _write_password_file(layout, credentials)
    stamp, wanted = layout.airflow / "database.version", version("apache-airflow-core")
    if stamp.exists() and stamp.read_text() == wanted:
        return
    log = layout.logs / "airflow-migration.log"
    run_command(settings, credentials, Command(("db", "migrate"), log, "Airflow's database migration"))
    stamp.write_text(wanted)


@dataclass(frozen=True)
class Command:
    """A command of `airflow` with its arguments.

    `log` gets its output and is overwritten. `what` is its name in an error message; `hint` is added to the remedy.
    """

    arguments: tuple[str, ...]
    log: Path
    what: str
    hint: str = ""


def run_command(settings: PlatformSettings, credentials: Credentials, command: Command) -> None:
    """Run an `airflow` command with the platform's secrets in its environment, and wait for its end.

    Raises:
        PlatformError: the command failed, or did not end in time.
    """
    what, remedy = command.what, f"look into {command.log}{command.hint}"
    with command.log.open("w") as file:
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter
                [sys.executable, "-m", "airflow", *command.arguments],
                env=shared_environment(settings.platform_home) | environment(settings, credentials),
                cwd=settings.layout.airflow,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=_COMMAND_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise PlatformError(f"{what} did not end within {_COMMAND_SECONDS} seconds", remedy) from None
    if done.returncode:
        raise PlatformError(f"{what} failed", remedy)


# Loggers that would fill the log of an idle platform: a line for each request of each task, three for each DAG at each
# parse, and some for each scan for new DAG files and each parse of one.
_QUIET = ", ".join(
    f"{name}=WARNING"
    for name in (
        "http.access",
        "airflow.models.dag",
        "airflow.serialization.definitions.dag",
        "airflow.dag_processing.manager.DagFileProcessorManager",
        "airflow.dag_processing.dagbag.BundleDagBag",
    )
)


def environment(settings: PlatformSettings, credentials: Credentials) -> dict[str, str]:
    """Return the environment of Airflow and its tasks."""
    return {
        "AIRFLOW_HOME": str(settings.layout.airflow),
        "PYTHONPATH": str(REPOSITORY),
        **_airflow_options(settings, credentials),
        **_connections(settings, credentials),
        **library_variables(settings, credentials),
        **bucket.CHECKSUMS,
        **mlflow.variables(settings, credentials),
        "DBT_MANIFEST": str(settings.layout.manifest),
        "SCARF_ANALYTICS": "false",
        "DO_NOT_TRACK": "1",
        "GX_ANALYTICS_ENABLED": "false",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


def _airflow_options(settings: PlatformSettings, credentials: Credentials) -> dict[str, str]:
    database = _database(settings, credentials)
    scan_seconds = str(settings.airflow_new_files_seconds)
    bundle = {
        "name": "platform",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        # The root and not dags/: only the bundle's root is on the import path, and `include` is in it.
        # .airflowignore excludes everything but dags/ from the scan.
        "kwargs": {"path": str(REPOSITORY)},
    }
    sections: dict[str, dict[str, str]] = {
        "core": {
            "executor": workers.executor(settings),
            "parallelism": str(settings.airflow_parallelism),
            "load_examples": "False",
            "dags_are_paused_at_creation": "False",
            "plugins_folder": str(REPOSITORY / "plugins"),
            # On a loaded machine a parse takes long; if it is cut off, Airflow takes every DAG for deleted.
            "dagbag_import_timeout": "300",
            "fernet_key": credentials.airflow_fernet_key,
            "simple_auth_manager_users": f"{credentials.airflow_admin_user}:admin",
            "simple_auth_manager_passwords_file": str(_password_file(settings.layout)),
            "execution_api_server_url": f"{url(settings)}/execution/",
        },
        "database": {"sql_alchemy_conn": database},
        "api": {
            "host": "127.0.0.1",
            "port": str(settings.airflow_port),
            "base_url": url(settings),
            "secret_key": credentials.airflow_api_secret_key,
        },
        "api_auth": {"jwt_secret": credentials.airflow_jwt_secret},
        "dag_processor": {
            "dag_bundle_config_list": json.dumps([bundle]),
            "refresh_interval": scan_seconds,
            "min_file_process_interval": scan_seconds,  # a new contract changes no DAG file: parse again anyway
            "bundle_refresh_check_interval": "5",
            "dag_file_processor_timeout": "360",  # above dagbag_import_timeout, whose error shows the slow line
            "print_stats_interval": "0",  # the table takes 2 KB of log each half minute with a dozen files
        },
        "scheduler": {
            # A task whose worker died with the scheduler is retried after one minute instead of five.
            "task_instance_heartbeat_timeout": "60",
            "orphaned_tasks_check_interval": "60",
            # Each scheduler loop examines every waiting run. With 1 s, the default, twenty idle datasets cost half a
            # core and files are not loaded sooner; examining fewer runs per loop does delay them.
            "scheduler_idle_sleep_time": "2",
        },
        "logging": {"colored_console_log": "False", "namespace_levels": _QUIET},
        "usage_data_collection": {"enabled": "False"},
        "cosmos": {"enable_telemetry": "False", "cache_dir": str(settings.layout.manifest.parent / "cosmos")},
    }
    for section, options in workers.sections(settings, credentials, database).items():
        sections[section] = sections.get(section, {}) | options
    return {
        f"AIRFLOW__{section.upper()}__{name.upper()}": value
        for section, options in sections.items()
        for name, value in options.items()
    }


def _database(settings: PlatformSettings, credentials: Credentials) -> str:
    return f"postgresql+psycopg2://airflow:{credentials.airflow_db_password}@127.0.0.1:{settings.postgres_port}/airflow"


def _connections(settings: PlatformSettings, credentials: Credentials) -> dict[str, str]:
    landing = {
        "conn_type": "aws",
        "login": credentials.s3_access_key_id,
        "password": credentials.s3_secret_access_key,
        "extra": {"endpoint_url": bucket.endpoint(settings), "region_name": bucket.REGION},
    }
    warehouse = {
        "conn_type": "postgres",
        "host": "127.0.0.1",
        "port": settings.postgres_port,
        "schema": postgres.WAREHOUSE,
        "login": "ingest",
        "password": credentials.warehouse_ingest_password,
    }
    transform = warehouse | {"login": "transform", "password": credentials.warehouse_transform_password}
    lake = warehouse | {
        "schema": postgres.LAKE, "login": postgres.LAKE_OWNER, "password": credentials.warehouse_lake_owner_password,
    }  # fmt: skip
    feast = warehouse | {
        "schema": postgres.FEAST, "login": postgres.FEAST_OWNER, "password": credentials.warehouse_feast_password,
    }  # fmt: skip
    events = {"conn_type": "kafka", "extra": {"bootstrap.servers": broker.bootstrap(settings)}}
    return {
        "AIRFLOW_CONN_LANDING_S3": json.dumps(landing),
        "AIRFLOW_CONN_WAREHOUSE_PG": json.dumps(warehouse),
        "AIRFLOW_CONN_WAREHOUSE_TRANSFORM": json.dumps(transform),
        "AIRFLOW_CONN_LAKE_PG": json.dumps(lake),
        "AIRFLOW_CONN_FEAST_PG": json.dumps(feast),
        "AIRFLOW_CONN_EVENTS_KAFKA": json.dumps(events),
        **stand_ins.connections(settings),
        "AIRFLOW_CONN_ALERTS_SMTP": json.dumps(mail.connection()),
    }


def library_variables(settings: PlatformSettings, credentials: Credentials) -> dict[str, str]:
    """Return the variables that `include.settings` reads, without the owner's password, which only migrations need.

    The addresses are always this platform's: the environment may still have those of another platform.
    """
    return {
        "S3_ENDPOINT_URL": bucket.endpoint(settings),
        "S3_ACCESS_KEY_ID": credentials.s3_access_key_id,
        "S3_SECRET_ACCESS_KEY": credentials.s3_secret_access_key,
        "S3_REGION": bucket.REGION,
        "WAREHOUSE_HOST": "127.0.0.1",
        "WAREHOUSE_PORT": str(settings.postgres_port),
        "WAREHOUSE_DATABASE": postgres.WAREHOUSE,
        "WAREHOUSE_INGEST_USER": "ingest",
        "WAREHOUSE_INGEST_PASSWORD": credentials.warehouse_ingest_password,
        "KAFKA_BOOTSTRAP": broker.bootstrap(settings),
        "INGEST_SPOOL_DIR": str(settings.layout.spool),
        "INGEST_CONTRACTS_CACHE_DIR": str(settings.layout.contracts_cache),
        **pipeline_variables(),
        "ML_SERVICE_URL": ml_api.url(settings),
        "ML_SERVICE_TOKEN": credentials.ml_api_token,
    }


def _service(name: str, settings: PlatformSettings, variables: dict[str, str]) -> Service:
    serves = name == API_SERVER

    def probe(since: float) -> str | None:
        return _component_health(settings, _HEALTH_NAMES[name], since)

    return Service(
        name=name,
        command=(sys.executable, "-m", "airflow", *_ARGUMENTS[name]),
        environment=variables,
        before=(sys.executable, "-m", "local.supervisor.leftovers") if name == SCHEDULER else (),
        directory=settings.layout.airflow,
        probe=probe,
        port=settings.airflow_port if serves else None,
        port_variable="AIRFLOW_PORT" if serves else "",
        address=url(settings) if serves else "",
        stop_seconds=15,  # the scheduler waits for its tasks; a killed task is retried
    )


def _cleanup(settings: PlatformSettings, credentials: Credentials) -> Service:
    """Declare the daily clean-up, which gets no other secret than the password of Airflow's database."""
    home, variables = settings.layout.airflow, pipeline_variables()
    return Service(
        name=CLEANUP,
        command=(sys.executable, "-m", airflow_cleanup.MODULE),
        environment={
            "AIRFLOW_HOME": str(home),
            "PYTHONPATH": str(REPOSITORY),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            airflow_cleanup.DATABASE: _database(settings, credentials),
            **{name: variables[name] for name in ("RETENTION_AIRFLOW_DAYS", "INGEST_WAIT_HOURS") if name in variables},
        },
        directory=home,
        probe=lambda since: airflow_cleanup.complaint(home, since),
    )


def _component_health(settings: PlatformSettings, component: str, since: float) -> str | None:
    """Return None if the component is healthy and its heartbeat is newer than `since`, else the reason."""
    try:
        health = get_json(f"{url(settings)}/api/v2/monitor/health")
    except (OSError, ValueError) as error:
        return f"the API server does not answer ({error})"
    state: dict[str, Any] = health.get(component) or {}
    if state.get("status") != "healthy":
        return f"{component} is {state.get('status') or 'unknown'}"
    heartbeat = state.get(f"latest_{component}_heartbeat")
    if heartbeat and datetime.fromisoformat(heartbeat).timestamp() < since:
        return f"{component} has no heartbeat yet"
    return None


def _password_file(layout: Layout) -> Path:
    return layout.airflow / "simple_auth_manager_passwords.json.generated"


def _write_password_file(layout: Layout, credentials: Credentials) -> None:
    """Write the password file. Otherwise Airflow makes a password and prints it to its log."""
    path = _password_file(layout)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(json.dumps({credentials.airflow_admin_user: credentials.airflow_admin_password}) + "\n")
