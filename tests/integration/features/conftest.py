"""A platform of their own for these tests: other tests load datasets of the same names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from feature_warehouse import Warehouse
from own_platform import own_platform

from include.features.reader import read_features
from include.settings import FEATURES_DIR
from include.stores.warehouse import connect
from local.supervisor.platform import POSTGRES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.features.compiler import FeatureView


@pytest.fixture(scope="session")
def views() -> dict[str, FeatureView]:
    catalog = read_features(FEATURES_DIR)
    assert catalog.broken == ()
    return catalog.views


@pytest.fixture(scope="package")
def _started() -> Iterator[Warehouse]:
    with own_platform((POSTGRES,)) as platform:
        ingest, transform = platform.warehouse_config("ingest"), platform.warehouse_config("transform")
        with connect(ingest) as one, connect(transform) as other:
            yield Warehouse(platform, one, other)


@pytest.fixture
def warehouse(_started: Warehouse) -> Warehouse:
    """Empty raw tables, and nothing built."""
    _started.empty()
    return _started
