"""`make rotate-secrets`: new passwords and keys for everything, and no moment from which there is no way on.

The secrets file is the truth, and is replaced as a whole. What must agree with it is made to agree by every start:
the roles' passwords, Airflow's password file, the services' environments. The superuser's password, which gives the
roles theirs, is set with the server stopped. A note says for how long passwords may differ; a start that finds it
stops what runs and begins anew. So a rotation that is killed leaves the old secrets or the new ones, and `make up`
works with either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.fernet import Fernet

from local import airflow, postgres
from local.backup import alone
from local.console import Progress, Silence, step
from local.credentials import rotated, save, without_old_keys
from local.platform import KAFKA, POSTGRES, Platform

if TYPE_CHECKING:
    from local.credentials import Credentials
    from local.settings import PlatformSettings


def rotate(platform: Platform, progress: Progress | None = None) -> list[str]:
    """Make every secret anew, stop what runs, and start it again with the new ones.

    Returns:
        The services that ran, and run again.

    Raises:
        PlatformError: the platform was never started, or something does not stop or start. Once the secrets are
            replaced, `make up` and another rotation go on from there.
    """
    progress, settings = progress or Silence(), platform.settings
    layout = settings.layout
    with alone(layout):
        ran = [service.name for service in platform.status() if service.pid]
        if KAFKA in ran and settings.kafka_storage == "memory":
            progress.note("the broker keeps its topics in memory: they are empty afterwards")
        again = Platform(settings, progress)
        # A start in between would give the server the old passwords, and take the note of the new ones away.
        with again.at_rest():
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
    """Whether Airflow has made its tables: a platform may have been started with its stores alone."""
    with postgres.superuser_connection(settings, credentials, "airflow") as connection:
        row = connection.execute("SELECT to_regclass('public.connection') IS NOT NULL").fetchone()
    return bool(row and row[0])


def _encrypt_triggers(settings: PlatformSettings, credentials: Credentials) -> None:
    """Airflow 3.3.2 keeps what a deferred task told its trigger in the clear, and its own rotation fails at such a row.

    It reads both forms: `airflow.models.trigger.Trigger._decrypt_kwargs`.
    """
    newest = Fernet(credentials.airflow_fernet_key.split(",")[0])
    with postgres.superuser_connection(settings, credentials, "airflow") as connection:
        for trigger, told in connection.execute(
            "SELECT id, kwargs FROM trigger WHERE starts_with(kwargs, '{')"
        ).fetchall():
            closed = newest.encrypt(str(told).encode()).decode()
            connection.execute("UPDATE trigger SET kwargs = %s WHERE id = %s", [closed, trigger])


def _rewrite_encrypted(settings: PlatformSettings, credentials: Credentials) -> None:
    """Airflow reads with every key of its list, and writes with the first."""
    airflow.prepare(settings, credentials)
    airflow.run_command(
        settings,
        credentials,
        ("rotate-fernet-key",),
        settings.layout.logs / "airflow-fernet.log",
        what="`airflow rotate-fernet-key`",
        beside="; the old key still reads: `make up`",
    )
