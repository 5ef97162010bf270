"""A secret appears in no text of settings, of credentials, or of an error about them."""

from __future__ import annotations

import logging
import os
import traceback
from dataclasses import fields
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr, ValidationError

from include import settings as library
from include.errors import PipelineError
from include.ml.tracking import Tracking
from include.settings import KafkaConfig, S3Config, WarehouseConfig
from include.stores.object_store import ObjectStore
from include.stores.warehouse import connect
from local.credentials import Credentials
from local.settings import PlatformSettings, free_ports
from ml_api.settings import MlApiSettings

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

CANARY = "canary-8f3a/+&=%C3"

HELD = {
    "s3": lambda: S3Config(endpoint_url=None, access_key_id="k", secret_access_key=SecretStr(CANARY)),
    "warehouse": lambda: WarehouseConfig(host="h", port=1, database="d", user="u", password=SecretStr(CANARY)),
    "kafka": lambda: KafkaConfig(bootstrap_servers="h:1", options={"sasl.password": CANARY}),
    "credentials": lambda: Credentials(**{field.name: CANARY for field in fields(Credentials)}),
}

# A setting, its class, and another setting that makes the class fail.
SET = [
    pytest.param("S3_SECRET_ACCESS_KEY", CANARY, library.StoreSettings, "WAREHOUSE_PORT", id="key of the bucket"),
    pytest.param(
        "WAREHOUSE_INGEST_PASSWORD", CANARY, library.StoreSettings, "WAREHOUSE_PORT", id="password of the warehouse"
    ),
    pytest.param(
        "ALERTS_SMTP_PASSWORD", CANARY, library.AlertMailSettings, "ALERTS_SMTP_PORT", id="password of the mail server"
    ),
    pytest.param(
        "ALERTS_NOTIFIER_KWARGS", f'{{"url": "https://hooks/{CANARY}"}}', library.AlertSettings, "ALERTS_QUIET_MINUTES",
        id="address of a chat",
    ),
    pytest.param(
        "SCHEMA_REGISTRY_URL", f"http://u:{CANARY}@h", library.StreamSettings, "STREAM_PARTITIONS", id="registry"
    ),
    pytest.param(
        "MLFLOW_TRACKING_URI", f"http://u:{CANARY}@h", library.TrainingSettings, "TRAINING_TREES", id="MLflow"
    ),
    pytest.param(
        "ML_SERVICE_URL", f"http://u:{CANARY}@h", library.MlServiceSettings, "ML_SERVICE_ATTEMPTS", id="ML service"
    ),
    pytest.param(
        "ML_SERVICE_TOKEN", CANARY, library.MlServiceSettings, "ML_SERVICE_ATTEMPTS", id="token of the ML service"
    ),
    pytest.param("MODEL_SIGNING_KEY", CANARY, library.TrainingSettings, "TRAINING_MIN_ROWS", id="key of models"),
    pytest.param("ML_API_TOKEN", CANARY, MlApiSettings, "ML_API_PORT", id="token that the ML service asks for"),
    pytest.param("SOURCE_GITHUB_TOKEN", CANARY, PlatformSettings, "S3_PORT", id="GitHub's token"),
]  # fmt: skip


@pytest.mark.parametrize("make", HELD.values(), ids=HELD)
def test_an_object_with_a_secret_does_not_print_it(make: Callable[[], object]) -> None:
    held = make()
    assert CANARY not in f"{held!r} {held!s} {[held]}"


@pytest.mark.parametrize(("name", "value", "kind", "other"), SET)
def test_a_setting_that_holds_a_secret_does_not_print_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, kind: type, other: str
) -> None:
    monkeypatch.setenv(name, value)
    assert CANARY in repr(_plain(kind())), "the setting was read at all"
    assert CANARY not in f"{kind()!r} {kind()!s}"
    monkeypatch.setenv(other, "wrong")
    with pytest.raises(ValidationError) as refused:
        kind()
    assert CANARY not in _shown(refused.value)


def _plain(settings: library.Settings) -> list[object]:
    values = settings.model_dump().values()
    return [value.get_secret_value() if isinstance(value, SecretStr) else value for value in values]


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        pytest.param({"SOURCE_GITHUB_TOKEN": CANARY, "S3_PORT": "5433"}, PlatformSettings, id="settings that disagree"),
        pytest.param({"ALERTS_NOTIFIER_KWARGS": f'["{CANARY}"]'}, library.AlertSettings, id="JSON of another kind"),
        pytest.param({"ALERTS_NOTIFIER_KWARGS": f'{{"url": "{CANARY}"'}, library.AlertSettings, id="JSON cut short"),
    ],
)
def test_a_refusal_of_the_secret_itself_does_not_print_it(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], kind: type
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="error") as refused:
        kind()
    assert CANARY not in _shown(refused.value)


def test_a_store_that_is_away_does_not_print_its_password(caplog: pytest.LogCaptureFixture) -> None:
    [port] = free_ports(1)
    warehouse = WarehouseConfig(host="127.0.0.1", port=port, database="d", user="u", password=SecretStr(CANARY))
    with caplog.at_level(logging.INFO), pytest.raises(PipelineError) as away, connect(warehouse):
        pass
    assert CANARY not in _shown(away.value) + caplog.text


def test_a_bucket_that_is_away_does_not_print_its_key(caplog: pytest.LogCaptureFixture) -> None:
    [port] = free_ports(1)
    bucket = S3Config(
        endpoint_url=f"http://127.0.0.1:{port}", access_key_id="k", secret_access_key=SecretStr(CANARY)
    )  # fmt: skip
    with caplog.at_level(logging.INFO), pytest.raises(PipelineError) as away:
        ObjectStore(bucket).head("landing", "a")
    assert CANARY not in _shown(away.value) + caplog.text


def test_mlflow_that_is_away_does_not_print_the_login_of_its_address(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """MLflow writes the whole address into its errors, so the login is passed separately."""
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    [port] = free_ports(1)
    settings = library.TrainingSettings(tracking_uri=f"http://trainer:can%2Fary-8f3a@127.0.0.1:{port}")
    with caplog.at_level(logging.INFO), pytest.raises(PipelineError) as away:
        Tracking(settings).champion()
    shown = _shown(away.value) + caplog.text
    assert f"127.0.0.1:{port}" in shown
    assert "ary-8f3a" not in shown
    assert (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]) == (
        "trainer",
        "can/ary-8f3a",
    )


def _shown(error: BaseException) -> str:
    """Everything that a log could show of an error and its causes."""
    return "".join(traceback.format_exception(error)) + repr(error)
