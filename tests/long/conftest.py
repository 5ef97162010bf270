"""A platform with its stores, for the tests that do not need one of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.own_platform import shared_platform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.supervisor.platform import Platform


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """The stores, started and migrated."""
    with shared_platform() as running:
        yield running
