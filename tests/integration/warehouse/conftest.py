"""A platform of its own: the models see all of raw and the ledger, and other tests write there."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dbt_project import Warehouse

from local.platform import STORES, Platform
from local.settings import temporary_settings

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """A migrated warehouse in which no load has made a table yet."""
    home = Path(tempfile.mkdtemp(prefix="platform-"))
    platform = Platform(temporary_settings(home))
    try:
        platform.up(STORES)
        yield Warehouse(platform, tmp_path_factory.mktemp("dbt"))
    finally:
        platform.down()
        shutil.rmtree(home)
