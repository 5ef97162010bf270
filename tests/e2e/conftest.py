"""One running platform for all tests of this folder: all services, copied contracts and definitions, short waits."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from include.settings import CONTRACTS_DIR, SOURCES_DIR
from local.settings import temporary_settings
from local.supervisor.platform import Platform
from local.temporary import patched_env
from tests.running_platform import SETTINGS, Running

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def running() -> Iterator[Running]:
    """A platform with all services, in a temporary folder and on free ports."""
    home = Path(tempfile.mkdtemp(prefix="platform-"))
    contracts, definitions, samples = home / "contracts", home / "sources", home / "samples"
    samples.mkdir()
    for shipped, copies in ((CONTRACTS_DIR, contracts), (SOURCES_DIR, definitions)):
        copies.mkdir()
        for file in shipped.glob("*.yaml"):
            shutil.copy(file, copies)
    with patched_env(SETTINGS | {"INGEST_CONTRACTS_DIR": str(contracts), "SOURCES_DIR": str(definitions)}):
        platform = Platform(temporary_settings(home / "home", airflow_new_files_seconds=30))
        try:
            platform.up()
            yield Running(platform, contracts, samples, definitions)
        finally:
            platform.down()
            shutil.rmtree(home, ignore_errors=True)
