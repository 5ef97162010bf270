"""Fixtures: a scripted API, and runs of a source against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from shop_reader import Shop

from tests.scripted_api import ScriptedApi

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as server:
        yield server


@pytest.fixture
def shop(api: ScriptedApi) -> Shop:
    return Shop(api)
