"""The rules over several keys of a bucket source.

What belongs here: what the model cannot say. What does not: types and bounds of one key (`include.sources.definition`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from include.contracts.problems import Findings
    from include.sources.bucket.definition import BucketSource


def check_bucket(source: BucketSource, findings: Findings) -> None:
    """Add a problem for each key that a bucket source cannot have."""
    if source.deliver == "topic":
        remedy = "write deliver: file, or remove it: the objects are files already, which ingest_<dataset> loads"
        findings.add("deliver", "objects of a bucket cannot become messages", remedy)
    if source.keep_raw is not None:
        remedy = "remove it: the copy itself is the object as it came, and stays in processed/ or failed/"
        findings.add("keepRaw", "a bucket source has no answers to keep", remedy)
    if source.incremental is not None:
        remedy = "remove it: each version of an object is copied once, whenever it was written"
        findings.add("incremental", "a bucket source has no cursor", remedy)
