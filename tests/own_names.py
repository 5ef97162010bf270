"""Names for what a test makes for itself: datasets, topics, buckets."""

from __future__ import annotations

import re
import zlib


def own_name(node: str) -> str:
    """The name of the test with this id, shortened, with a checksum of the id: 33 of a dataset's 50 characters at most.

    Tests add words and file ids to it; ids have six digits where another test has made 100,000 entries before.
    """
    words = re.sub(r"[^a-z0-9]+", "_", node.rpartition("test_")[2].lower()).strip("_")
    return f"{words[:24].strip('_')}_{zlib.crc32(node.encode()):08x}"
