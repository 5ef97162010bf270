"""What the definition of a bucket source says, besides the keys of every source.

What belongs here: the keys, their bounds and their meaning. What does not: rules over several keys (`rules`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from include.sources.bucket.globs import glob_fault
from include.sources.definition import Source


def _glob(value: str) -> str:
    fault = glob_fault(value)
    if fault is not None:
        raise ValueError(fault)
    return value


def _folder(value: str) -> str:
    if value and (value[0] == "/" or value[-1] != "/" or not value.isprintable()):
        raise ValueError("is no prefix of folders: write exports/2026/, with a slash at its end only, or leave it out")
    return value


class BucketSource(Source):
    """The objects of a bucket in another S3 store. Each version of an object is copied once, as it is.

    Attributes:
        kind: `bucket`.
        bucket: with the objects.
        prefix: of folders, such as `exports/`; the path behind it stays in the key of the copy.
        pattern: a glob of names behind the prefix; `**` crosses folders, case matters, hidden names only if named.
    """

    kind: Literal["bucket"]
    bucket: str = Field(pattern=r"^[A-Za-z0-9._-]{3,255}$")
    prefix: Annotated[str, AfterValidator(_folder)] = Field("", max_length=800)
    pattern: Annotated[str, AfterValidator(_glob)] = "**"
