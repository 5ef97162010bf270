"""How the ML service reads Feast's bytes, and what it answers without an online store."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from include.feature_store import config
from ml_api import online_store
from ml_api.app import create_app
from ml_api.online_store import decoded, entity_key
from ml_api.settings import MlApiSettings

pytestmark = pytest.mark.unit

TOKEN = "secret-token"
SETTINGS = MlApiSettings(token=SecretStr(TOKEN))
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("message", "value"),
    [
        pytest.param(b"", None, id="null"),
        pytest.param(b"\x12\x06senior", "senior", id="text"),
        pytest.param(b"\x12\x00", "", id="empty-text"),
        pytest.param(b"\x18\x03", 3, id="int32"),
        pytest.param(b"\x20\xac\x02", 300, id="int64"),
        pytest.param(b"\x20" + b"\xff" * 9 + b"\x01", -1, id="negative"),
        pytest.param(b"\x29" + struct.pack("<d", 0.1), 0.1, id="double"),
        pytest.param(b"\x35" + struct.pack("<f", 0.5), 0.5, id="float"),
        pytest.param(b"\x38\x01", True, id="boolean"),
    ],
)
def test_value_is_decoded(message: bytes, value: object) -> None:
    assert decoded(message) == value
    assert type(decoded(message)) is type(value)


def test_unknown_type_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown field 11"):
        decoded(b"\x5a\x00")


def test_key_has_the_lengths_of_name_and_value() -> None:
    expected = struct.pack("<III", 1, 2, 2) + b"id" + struct.pack("<II", 2, 2) + "é".encode()
    assert entity_key("id", "é") == expected


def test_service_and_repository_agree() -> None:
    assert (online_store.PROJECT, online_store.SCHEMA) == (config.PROJECT, config.ONLINE_SCHEMA)
    assert online_store.TTL.days == config.TTL_DAYS
    assert re.search(rf"\b{config.ONLINE_SCHEMA}\.{config.STATE_TABLE}\b", Path(online_store.__file__).read_text())


def test_features_need_the_token_and_a_store() -> None:
    with TestClient(create_app(SETTINGS)) as client:
        assert client.get("/features/users/u1").status_code == 401
        answer = client.get("/features/users/u1", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 503
    assert "ML_API_ONLINE_STORE" in answer.json()["detail"]


def test_a_store_that_does_not_answer_is_explained() -> None:
    settings = SETTINGS.model_copy(update={"online_store": SecretStr("postgresql://feast_reader:x@127.0.0.1:1/feast")})
    with TestClient(create_app(settings), headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        answer = client.get("/features/users/u1")
        counted = client.get("/metrics").text
        assert client.get("/features/Users/u1").status_code == 422
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "feast_reader:x" not in answer.text
    assert 'ml_api_requests_total{path="/features/{view}/{entity:path}",status="503"} 1.0' in counted
