"""The kinds of sources: the model of each, and what is common to them.

What belongs here: which kinds there are. What does not: their keys (`definition`, `bucket.definition`,
`database.definition`).
"""

from __future__ import annotations

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
    """The model of a definition by its `kind`; that of an API if the kind is missing or not known."""
    kind = document.get("kind")
    return KINDS.get(kind, RestSource) if isinstance(kind, str) else RestSource


def schema() -> dict[str, Any]:
    """The JSON Schema of a definition, for editors. Rules over several keys are not in it."""
    tagged = Annotated[AnySource, Field(discriminator="kind")]
    adapter: TypeAdapter[AnySource] = TypeAdapter(tagged)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **adapter.json_schema(by_alias=True)}
