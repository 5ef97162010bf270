"""The platform's secrets: generated once, stored in a private file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local.credentials import load, load_or_make, rotated, save, without_old_keys
from local.errors import PlatformError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

NAMES = {"s3_access_key_id", "mlflow_s3_access_key_id", "airflow_admin_user"}


def test_secrets_are_made_once(tmp_path: Path) -> None:
    path = tmp_path / "secrets.env"
    made = load_or_make(path)
    assert load_or_make(path) == made
    assert load(path) == made


def test_two_platforms_share_no_secret(tmp_path: Path) -> None:
    one, other = (vars(load_or_make(tmp_path / name)) for name in ("one", "other"))
    alike = {name for name in one if one[name] == other[name]}
    assert alike == NAMES


def test_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secrets.env"
    load_or_make(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_secret_added_by_a_newer_version_leaves_the_others_alone(tmp_path: Path) -> None:
    path = tmp_path / "secrets.env"
    made = load_or_make(path)
    path.write_text("".join(line for line in path.open() if not line.startswith("AIRFLOW_JWT_SECRET")))
    completed = load_or_make(path)
    assert completed.airflow_jwt_secret != made.airflow_jwt_secret
    assert completed.postgres_password == made.postgres_password


def test_loading_refuses_what_was_never_made(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="never started"):
        load(tmp_path / "secrets.env")


def test_loading_names_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "secrets.env"
    load_or_make(path)
    path.write_text("".join(line for line in path.open() if not line.startswith("POSTGRES_PASSWORD")))
    with pytest.raises(PlatformError, match="lacks POSTGRES_PASSWORD:"):
        load(path)


def test_secrets_do_not_show_in_a_repr(tmp_path: Path) -> None:
    made = load_or_make(tmp_path / "secrets.env")
    assert made.postgres_password not in repr(made)


def test_a_rotation_replaces_every_secret_and_no_name(tmp_path: Path) -> None:
    made = load_or_make(tmp_path / "secrets.env")
    before, after = vars(made), vars(rotated(made))
    assert {name for name in before if before[name] == after[name]} == NAMES


def test_airflow_reads_with_every_key_until_all_is_rewritten(tmp_path: Path) -> None:
    made = load_or_make(tmp_path / "secrets.env")
    twice = rotated(rotated(made))  # the first rotation was killed before it rewrote any row
    keys = twice.airflow_fernet_key.split(",")
    assert (len(keys), len(set(keys)), keys[-1]) == (3, 3, made.airflow_fernet_key)
    assert without_old_keys(twice).airflow_fernet_key.split(",") == keys[:2]


def test_models_of_the_last_key_are_still_accepted_after_a_rotation(tmp_path: Path) -> None:
    made = load_or_make(tmp_path / "secrets.env")
    once = rotated(made)
    assert once.model_signing_key.split(",")[1:] == [made.model_signing_key]
    newest, before = rotated(once).model_signing_key.split(",")
    assert before == once.model_signing_key.split(",")[0]
    assert newest != before


def test_saved_secrets_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "secrets.env"
    after = rotated(load_or_make(path))
    save(path, after)
    assert load(path) == after
    assert path.stat().st_mode & 0o777 == 0o600
