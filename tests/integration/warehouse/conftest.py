"""A platform of its own: the models see all of raw and the ledger, and other tests write there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from dbt_project import Warehouse
from own_platform import own_platform

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """A migrated warehouse in which no load has made a table yet."""
    with own_platform() as platform:
        yield Warehouse(platform, tmp_path_factory.mktemp("dbt"))
