"""The kinds of sources: the model of each, and what is common to them.

What belongs here: which kinds there are. What does not: their keys (`definition`, `bucket.definition`,
`database.definition`).
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, TypeAdapter

from include.sources.bucket.definition import BucketSource
from include.sources.database.definition import DatabaseSource
from include.sources.definition import RestSource

if TYPE_CHECKING:
    from collections.abc import Mapping

AnySource = RestSource | DatabaseSource | BucketSource
# The models by `kind`.
KINDS: dict[str, type[AnySource]] = {"rest": RestSource, "database": DatabaseSource, "bucket": BucketSource}


def model_of(document: Mapping[str, Any]) -> type[AnySource]:
    """The model of a definition by its `kind`, or by the one that is meant; that of an API if none is near."""
    kind = document.get("kind")
    near = get_close_matches(str(kind).lower(), KINDS, n=1)
    return KINDS[near[0]] if near else RestSource


def schema() -> dict[str, Any]:
    """The JSON Schema of a definition, for editors. Rules over several keys are not in it."""
    tagged = Annotated[AnySource, Field(discriminator="kind")]
    adapter: TypeAdapter[AnySource] = TypeAdapter(tagged)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **adapter.json_schema(by_alias=True)}
