"""The road of a dropped file and of messages, as the other integration tests walk it."""

import sys
from pathlib import Path

INTEGRATION = Path(__file__).parents[1]
sys.path[1:1] = [str(INTEGRATION / place) for place in ("ingestion", "transactions", "streams")]
