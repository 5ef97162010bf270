"""The generated Feast repository, its login, and what is said when Feast is not installed."""

from __future__ import annotations

import ast
import os
from typing import TYPE_CHECKING

import pytest
import yaml
from pydantic import SecretStr

from include.feature_store import environment
from include.feature_store.config import FeatureStoreConfig
from include.feature_store.repository import definitions, write_repository
from include.features.reader import read_features
from include.settings import FEATURES_DIR, WarehouseConfig, feast_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.unit

PASSWORD = 'a: "b" $HOME \\ #c@/é'
STORE = WarehouseConfig(host="::1", port=5433, database="feast", user="feast", password=SecretStr(PASSWORD))
CONFIG = FeatureStoreConfig(STORE.model_copy(update={"database": "warehouse"}), STORE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("FEAST_DIR", str(tmp_path))
    feast_settings.cache_clear()
    yield tmp_path
    feast_settings.cache_clear()


def test_definitions_have_every_view_and_feature() -> None:
    views = read_features(FEATURES_DIR).views
    text = definitions(views.values())
    ast.parse(text)
    for name, view in views.items():
        assert f"name={name!r}" in text
        for feature in view.features:
            assert f"Field(name={feature.name!r}, " in text


def test_files_hold_no_login_and_the_environment_fills_it_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_repository(tmp_path / "made", read_features(FEATURES_DIR).views.values())
    text = (tmp_path / "made" / "feature_store.yaml").read_text()
    assert PASSWORD not in text
    for name, value in CONFIG.variables().items():
        monkeypatch.setenv(name, value)
    found = yaml.safe_load(os.path.expandvars(text))  # as Feast reads it
    assert found["online_store"]["password"] == found["offline_store"]["password"] == PASSWORD
    assert (found["online_store"]["database"], found["offline_store"]["database"]) == ("feast", "warehouse")
    assert found["online_store"]["port"] == 5433
    assert found["registry"]["path"].startswith("postgresql+psycopg://feast:a%3A%20%22b%22%20%24HOME")
    assert found["registry"]["path"].endswith("@[::1]:5433/feast")


def test_complaint_names_the_command_until_the_environment_fits(folder: Path) -> None:
    assert "run `filegate feast setup`" in str(environment.complaint())
    assert str(folder) in str(environment.complaint())
    python = environment.python()
    python.parent.mkdir(parents=True)
    python.touch()
    assert "does not fit requirements-feast.txt" in str(environment.complaint())
    (environment.folder() / ".requirements").write_text("of an older lock file")
    assert "does not fit requirements-feast.txt" in str(environment.complaint())
    (environment.folder() / ".requirements").write_text(environment._digest())
    assert environment.complaint() is None
