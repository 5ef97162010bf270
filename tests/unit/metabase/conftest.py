"""The schema of Metabase's requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

SCHEMA = json.loads((Path(__file__).parents[2] / "resources" / "metabase_requests.schema.json").read_text())


@pytest.fixture(scope="session")
def requests_schema() -> dict[str, Any]:
    """The bodies that Metabase accepts, as closed objects."""
    return dict(SCHEMA)
