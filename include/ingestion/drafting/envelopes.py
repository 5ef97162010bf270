"""Whether an object is the envelope of an export's records, or is itself one record with a list inside.

What belongs here: the members beside a list of objects. What does not: finding such lists (`documents`).

An order with its items is one record: read as its items, it would lose its own members, and an item of the next order
would replace one of this. So a list holds the records only if what is beside it describes the export, or if the list
has a usual name and no id is beside it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from include.contracts.column_names import matching
from include.ingestion.drafting.name_words import words_apart

if TYPE_CHECKING:
    from collections.abc import Iterator

WRAPPERS = ("data", "items", "results", "records", "rows", "entries", "values", "list", "content", "features", "hits")
# Names of members that describe an export, without `_`.
_PAGING = re.compile(
    r"(total|result|item|record|page|row)?s?(count|total|number|size|limit|offset|index)s?|totals?(pages|items|records|"
    r"results|rows|elements|count|size)?|pages?|perpage|currentpage|lastpage|maxresults|next(page|link|url|cursor|token|"
    r"pagetoken)?|prev(ious)?(page|link|url|cursor)?|first|last|cursor|hasmore|hasnext|more|truncated|status(code)?|ok|"
    r"success|code|message|errors?|warnings?|(api|schema)?version|(generated|exported|created|updated)(at|on|by)?|"
    r"timestamp|time|took|timedout|kind|type|object|meta|metadata|paging|pagination|links?|self|href|url|query|params|"
    r"filters?|sort|summary|info|header|jsonrpc|crs|bbox|(request|trace|correlation|export|job)(id|uuid)|response"
)
_ID = re.compile(r"(^|_)(id|ids|uuid|guid|key|no|nr|number|nummer|reference|ref)$|[a-z](nummer|nr|uuid)$")
_MOST_SHOWN = 8


def is_envelope(document: dict[str, Any], path: str) -> bool:
    """Whether the list at a path plainly holds the records of a document."""
    beside = list(_beside(document, path))
    if has_id_beside(document, path):
        return False
    if any(step.lower() in WRAPPERS for step in path.split(".")):
        return True
    return all(_is_paging(name) or _is_list(value) for name, value in beside)


def has_id_beside(document: dict[str, Any], path: str) -> bool:
    """Whether an object that holds what is at a path has an id of its own."""
    return any(
        not isinstance(value, dict | list) and not _is_paging(name) and _ID.search(matching(words_apart(name)))
        for name, value in _beside(document, path)
    )


def not_read(document: dict[str, Any], path: str) -> str:
    """The members beside the records, for the evidence; empty without any."""
    names = [repr(name) for name, _ in _beside(document, path)]
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return f"; not read: {', '.join(names[:_MOST_SHOWN])}{more}" if names else ""


def _beside(document: dict[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    """The other members of each object on the way to a path."""
    members: Any = document
    for step in path.split("."):
        yield from ((name, value) for name, value in members.items() if name != step)
        members = members.get(step)


def _is_paging(name: str) -> bool:
    return _PAGING.fullmatch(matching(name).replace("_", "")) is not None


def _is_list(value: Any) -> bool:
    """Whether a member is empty, or records of another kind."""
    return value in (None, [], {}) or (isinstance(value, list) and all(isinstance(one, dict) for one in value))
