"""A separate platform for these tests: the models read all of raw and the ledger, to which other tests write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from dbt_project import Warehouse
from own_platform import own_platform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.supervisor.platform import Platform


@pytest.fixture(scope="package")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """A migrated warehouse without raw tables."""
    with own_platform() as platform:
        yield Warehouse(platform, tmp_path_factory.mktemp("dbt"))


@pytest.fixture
def rolled_back(platform: Platform) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection of the warehouse's owner in a transaction that is rolled back."""
    config = platform.warehouse_config("owner")
    with (
        psycopg.connect(
            host=config.host, port=config.port, dbname=config.database, user=config.user,
            password=config.password.get_secret_value(),
        ) as connection,
        connection.transaction(force_rollback=True),
    ):  # fmt: skip
        yield connection
