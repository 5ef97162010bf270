"""One PostgreSQL and one S3 server for all integration tests, in a temporary folder and on free ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from own_platform import shared_platform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.supervisor.platform import Platform


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """The stores, started and migrated; their addresses are `warehouse_config(role)` and `s3_config`."""
    with shared_platform() as running:
        yield running
