"""The environment that a service inherits from the user's shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.errors import PlatformError
from local.services.service import package_folder, shared_environment

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", ["AIRFLOW_HOME", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "WEED_S3_SSE_KEY", "PGHOST"])
def test_a_service_does_not_depend_on_the_shell(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "stray")
    assert name not in shared_environment(Path("/srv/home"))


def test_service_has_the_marker_of_its_platform() -> None:
    assert shared_environment(Path("/srv/home"))["PLATFORM_INSTANCE"] == "/srv/home"


def test_services_talk_to_each_other_past_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    found = shared_environment(Path("/srv/home"))
    assert found["HTTPS_PROXY"] == "http://proxy:3128"
    assert "127.0.0.1" in found["NO_PROXY"].split(",")


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(PlatformError, match="no_such_package is not installed: run `make setup`"):
        package_folder("no_such_package")
