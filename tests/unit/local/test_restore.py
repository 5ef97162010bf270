"""What a restore compares before it lets the new home take the old one's place."""

from __future__ import annotations

import pytest

from local import restore
from local.errors import PlatformError
from local.postgres import Database

pytestmark = pytest.mark.unit


def test_equal_counts_pass() -> None:
    restore._compare(Database("warehouse", owner="o"), {"raw.sales": 2}, {"raw.sales": 2})


@pytest.mark.parametrize(
    ("expected", "found", "message"),
    [
        pytest.param({"raw.sales": 2}, {"raw.sales": 1}, "raw.sales has 1 rows, the backup counted 2", id="fewer"),
        pytest.param({"raw.sales": 2}, {}, "raw.sales has None rows, the backup counted 2", id="no table"),
        pytest.param({}, {"raw.new": 0}, "raw.new has 0 rows, the backup counted None", id="a strange table"),
    ],
)
def test_a_difference_is_named(expected: dict[str, int], found: dict[str, int], message: str) -> None:
    with pytest.raises(PlatformError, match=message):
        restore._compare(Database("warehouse", owner="o"), expected, found)
