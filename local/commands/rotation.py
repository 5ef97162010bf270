"""`filegate rotate-secrets`: replace every password and key. `make up` recovers from an interruption at any step.

The secrets file is authoritative and is replaced atomically. Every start applies it to the roles' passwords, Airflow's
password file and the services' environments. The superuser's password, which is needed to set those of the roles, is
set while the server is stopped. The file `passwords.stale` marks that passwords may differ; a start that finds it stops
all services first. So a killed rotation leaves either the old secrets or the new ones, and `make up` works with both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.fernet import Fernet

from local.commands.backup import alone
from local.console import Progress, Silence, step
from local.credentials import rotated, save, without_old_keys
from local.services import airflow, postgres
from local.supervisor.platform import KAFKA, POSTGRES, Platform

if TYPE_CHECKING:
    from local.credentials import Credentials
    from local.settings import PlatformSettings


def rotate(platform: Platform, progress: Progress | None = None) -> list[str]:
    """Replace every secret, stop the running services, and start them again with the new secrets.

    Returns:
        The services that were restarted.

    Raises:
        PlatformError: the platform was never started, or a service does not stop or start. Once the secrets are
            replaced, `make up` or another rotation completes the work.
    """
    progress, settings = progress or Silence(), platform.settings
    layout = settings.layout
    with alone(layout):
        ran = [service.name for service in platform.status() if service.pid]
        if KAFKA in ran and settings.kafka_storage == "memory":
            progress.note("the broker keeps its topics in memory: they are empty afterwards")
        again = Platform(settings, progress)
        # Another start meanwhile would set the old passwords and delete the marker `passwords.stale`.
        with again.stopped():
            with step(progress, "secrets", "replaced"):
                current = platform.credentials
                postgres.stale_passwords(layout).touch()
                save(layout.secrets, rotated(current))
            again.up([POSTGRES])
            with step(progress, "airflow's encrypted rows", "rewritten"):
                credentials = again.credentials
                if _has_airflow(settings, credentials):
                    _encrypt_triggers(settings, credentials)
                    _rewrite_encrypted(settings, credentials)
                save(layout.secrets, without_old_keys(credentials))
            if ran:
                again.up(ran)
            else:
                again.down()
    return ran


def _has_airflow(settings: PlatformSettings, credentials: Credentials) -> bool:
    """Whether Airflow's tables exist: the platform may have been started with its stores only."""
    with postgres.superuser_connection(settings, credentials, "airflow") as connection:
        row = connection.execute("SELECT to_regclass('public.connection') IS NOT NULL").fetchone()
    return bool(row and row[0])


def _encrypt_triggers(settings: PlatformSettings, credentials: Credentials) -> None:
    """Encrypt trigger arguments that are stored in plain text.

    Airflow 3.3.2 stores the arguments of a deferred task's trigger unencrypted, and its own key rotation fails at such
    a row. It reads both forms: `airflow.models.trigger.Trigger._decrypt_kwargs`.
    """
    newest = Fernet(credentials.airflow_fernet_key.split(",")[0])
    with postgres.superuser_connection(settings, credentials, "airflow") as connection:
        for trigger, kwargs in connection.execute(
            "SELECT id, kwargs FROM trigger WHERE starts_with(kwargs, '{')"
        ).fetchall():
            encrypted = newest.encrypt(str(kwargs).encode()).decode()
            connection.execute("UPDATE trigger SET kwargs = %s WHERE id = %s", [encrypted, trigger])


def _rewrite_encrypted(settings: PlatformSettings, credentials: Credentials) -> None:
    """Encrypt Airflow's secrets with the newest key. Airflow decrypts with every key of its list."""
    airflow.prepare(settings, credentials)
    command = airflow.Command(
        ("rotate-fernet-key",),
        settings.layout.logs / "airflow-fernet.log",
        what="`airflow rotate-fernet-key`",
        hint="; rows of the old key can still be read: run `make up`",
    )
    airflow.run_command(settings, credentials, command)
