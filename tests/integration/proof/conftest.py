"""Puts the helpers of the other integration tests on the import path."""

import sys
from pathlib import Path

INTEGRATION = Path(__file__).parents[1]
sys.path[1:1] = [str(INTEGRATION / folder) for folder in ("ingestion", "transactions", "streams")]
