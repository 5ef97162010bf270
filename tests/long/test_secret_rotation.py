"""Rotation of a platform's secrets: old ones are refused, and a killed rotation can be completed."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from local import credentials as credentials_module
from local.commands import rotation
from local.credentials import load
from local.errors import PlatformError
from local.services import airflow, bucket, postgres
from local.settings import temporary_settings
from local.supervisor.platform import STORES, Platform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.settings import S3Config
    from local.credentials import Credentials
    from local.settings import PlatformSettings

pytestmark = pytest.mark.long

# One process that has imported everything is forked for each killed rotation.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["local.commands.rotation"])


@pytest.fixture(scope="module")
def settings() -> Iterator[PlatformSettings]:
    home = Path(tempfile.mkdtemp(prefix="platform-"))
    platform = Platform(temporary_settings(home))
    try:
        platform.up(STORES)
        bucket.client(platform.s3_config).put_object(Bucket="lake", Key="kept", Body=b"42")
        yield platform.settings
    finally:
        Platform(platform.settings).down()
        shutil.rmtree(home)


def roles(credentials: Credentials) -> dict[str, str]:
    return {postgres.SUPERUSER: credentials.postgres_password, **postgres.role_passwords(credentials)}


KEYS = (
    "key of the pipelines", "key of MLflow", "key of the broker", "key of the administrator",
    "key of the lake's reader",
)  # fmt: skip


def keys(settings: PlatformSettings, credentials: Credentials) -> dict[str, S3Config]:
    of_pipelines = bucket.s3_config(settings, credentials)
    of_mlflow = {
        "access_key_id": credentials.mlflow_s3_access_key_id,
        "secret_access_key": SecretStr(credentials.mlflow_s3_secret_access_key),
    }
    configs = (
        of_pipelines,
        of_pipelines.model_copy(update=of_mlflow),
        bucket.broker_config(settings, credentials),
        bucket.admin_config(settings, credentials),
        bucket.lake_reader_config(settings, credentials),
    )
    return dict(zip(KEYS, configs, strict=True))


def home_of(role: str) -> str:
    if role in {"postgres", "airflow", "mlflow", "metabase"}:
        return role
    if role in {postgres.LAKE_OWNER, postgres.LAKE_READER}:
        return postgres.LAKE
    return postgres.FEAST if role in {postgres.FEAST_OWNER, postgres.FEAST_READER} else postgres.WAREHOUSE


def accepted(settings: PlatformSettings, credentials: Credentials) -> set[str]:
    """The roles and the S3 keys for which the server accepts these secrets."""
    found = set()
    for role, password in roles(credentials).items():
        try:
            psycopg.connect(
                host="127.0.0.1", port=settings.postgres_port, dbname=home_of(role), user=role, password=password
            ).close()
            found.add(role)
        except psycopg.OperationalError as error:
            if "password authentication failed" not in str(error):
                raise
    for name, config in keys(settings, credentials).items():
        with suppress(bucket.ClientError):
            bucket.client(config).list_buckets()
            found.add(name)
    return found


def everything(credentials: Credentials) -> set[str]:
    return {*roles(credentials), *KEYS}


def test_the_new_secrets_work_and_the_old_ones_are_refused(settings: PlatformSettings) -> None:
    platform = Platform(settings)
    platform.up(STORES)
    old = platform.credentials
    assert accepted(settings, old) == everything(old)

    assert rotation.rotate(platform) == list(STORES)

    new = load(settings.layout.secrets)
    assert accepted(settings, new) == everything(new)
    assert accepted(settings, old) == set()
    assert new.airflow_fernet_key.split(",")[1:] == [old.airflow_fernet_key]
    assert settings.layout.secrets.stat().st_mode & 0o777 == 0o600
    assert not postgres.stale_passwords(settings.layout).exists()


def test_airflows_encrypted_rows_are_read_with_the_new_key(settings: PlatformSettings) -> None:
    platform = Platform(settings)
    platform.up(STORES)
    airflow.prepare(settings, platform.credentials)
    old = Fernet(platform.credentials.airflow_fernet_key.split(",")[0])
    encrypted, plain = old.encrypt(b"a secret value").decode(), '{"bucket_name": "landing"}'
    with postgres.superuser_connection(settings, platform.credentials, "airflow") as connection:
        connection.execute(
            "INSERT INTO connection (conn_id, conn_type, password, is_encrypted, is_extra_encrypted) "
            "VALUES ('partner', 'http', %s, TRUE, FALSE)",
            [encrypted],
        )
        connection.execute("INSERT INTO variable (key, val, is_encrypted) VALUES ('token', %s, TRUE)", [encrypted])
        for kwargs in (plain, old.encrypt(plain.encode()).decode()):  # of a deferred task, of an asset watcher
            connection.execute(
                "INSERT INTO trigger (classpath, kwargs, created_date) VALUES ('a.Trigger', %s, now())", [kwargs]
            )

    rotation.rotate(platform)

    credentials = load(settings.layout.secrets)
    newest = Fernet(credentials.airflow_fernet_key.split(",")[0])
    with postgres.superuser_connection(settings, credentials, "airflow") as connection:
        rows = connection.execute(
            "SELECT password FROM connection WHERE conn_id = 'partner' UNION ALL "
            "SELECT val FROM variable WHERE key = 'token' UNION ALL SELECT kwargs FROM trigger"
        ).fetchall()
    values = [newest.decrypt(str(row[0]).encode()).decode() for row in rows]
    assert values == ["a secret value", "a secret value", plain, plain]


def test_platform_cannot_be_started_during_a_rotation(
    settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform, refused = Platform(settings), list[str]()

    def save(path: Path, credentials: Credentials) -> None:
        with pytest.raises(PlatformError, match="another command is starting or stopping") as found:
            Platform(settings).up(STORES)
        refused.append(str(found.value))
        credentials_module.save(path, credentials)

    monkeypatch.setattr(rotation, "save", save)
    rotation.rotate(platform)
    assert len(refused) == 2, "new secrets, and again without the old keys"


def _die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


DEATHS = {
    "before the secrets are replaced": ("local.commands.rotation.save", False),
    "secrets replaced, no password of the database is set": (
        "local.supervisor.platform.postgres.prepare_cluster",
        True,
    ),
    "the superuser's password is set, those of the roles are not": (
        "local.supervisor.platform.postgres.prepare_databases",
        True,
    ),
}


def _rotate_and_die(settings: PlatformSettings, target: str) -> None:
    pytest.MonkeyPatch().setattr(target, _die)
    rotation.rotate(Platform(settings))


@pytest.mark.parametrize(("target", "new_ones"), DEATHS.values(), ids=DEATHS)
def test_a_rotation_that_was_killed_leaves_the_old_secrets_or_the_new_ones(
    settings: PlatformSettings, target: str, *, new_ones: bool
) -> None:
    Platform(settings).up(STORES)
    old = load(settings.layout.secrets)
    process = _PROCESSES.Process(target=_rotate_and_die, args=(settings, target))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL, "the rotation was not killed"

    now = load(settings.layout.secrets)
    assert (now != old) is new_ones
    Platform(settings).up(STORES)
    assert accepted(settings, now) == everything(now)
    assert accepted(settings, old) == (set() if new_ones else everything(old))
