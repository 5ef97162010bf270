"""Schema of Metabase's requests, and small questions and dashboards to write into folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

SCHEMA = json.loads((Path(__file__).parents[2] / "resources" / "metabase_requests.schema.json").read_text())


@pytest.fixture(scope="session")
def requests_schema() -> dict[str, Any]:
    """What Metabase takes, as closed objects."""
    return dict(SCHEMA)
