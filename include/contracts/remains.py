"""Reads the file patterns and the dataset of a broken contract: its files wait until it is corrected.

What belongs here: reading as much of the YAML as possible. What does not: checking it (`reader`). It runs in the child
process with limits, and builds only lists, mappings and texts from the parser's events: aliases are not followed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from include.contracts.file_patterns import MAX_PATTERNS, pattern_fault
from include.contracts.model import ContractStatus
from include.contracts.problems import Remains

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_DEPTH = 32
_END = object()


def read_remains(content: bytes) -> Remains:
    """Read the usable parts of a contract's content. Raises nothing but MemoryError."""
    document, is_whole = _tree(content.decode("utf-8-sig", "replace"))
    if not isinstance(document, dict):
        return Remains()
    schemas = document.get("schema")
    schema = schemas[0] if isinstance(schemas, list) and schemas else None
    name = schema.get("name") if isinstance(schema, dict) else None
    return Remains(
        _patterns(document, is_whole=is_whole),
        name if isinstance(name, str) else None,
        document.get("status") in {ContractStatus.DRAFT.value, ContractStatus.PROPOSED.value},
    )


def _patterns(document: dict[str, Any], *, is_whole: bool) -> tuple[str, ...] | None:
    customs = document.get("customProperties")
    for custom in customs if isinstance(customs, list) else []:
        value = custom.get("value") if isinstance(custom, dict) and custom.get("property") == "ingestion" else None
        if isinstance(value, dict) and "filePatterns" in value:
            given = value["filePatterns"]
            if given == [] and is_whole:
                return ()
            listed = given if isinstance(given, list) else []
            found = [one for one in listed if isinstance(one, str) and not pattern_fault(one)]
            return tuple(found[:MAX_PATTERNS]) or None
    return () if is_whole else None


def _tree(text: str) -> tuple[object, bool]:
    """The document up to its first error, and whether it was read to its end."""
    events = _events(text)
    tree = _node(next(events, _END), events)
    return tree, next(events, _END) is None


def _events(text: str) -> Iterator[Any]:
    """The events of the document's nodes; None after its end if all of it was read; it stops at an error."""
    depth, is_whole = 0, True
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_DEPTH:
                return
            if isinstance(event, yaml.DocumentEndEvent):
                if is_whole:
                    yield None
                return
            is_whole = is_whole and not isinstance(event, yaml.AliasEvent)
            if isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
                yield event
    except (yaml.YAMLError, ValueError):
        return


def _node(event: object, events: Iterator[Any]) -> object:
    """A text, a list, a mapping of texts, or None for other nodes. An incomplete collection is kept."""
    if isinstance(event, yaml.ScalarEvent):
        return event.value
    if isinstance(event, yaml.SequenceStartEvent):
        items: list[object] = []
        for item in events:
            if item is None or isinstance(item, yaml.CollectionEndEvent):
                break
            items.append(_node(item, events))
        return items
    if isinstance(event, yaml.MappingStartEvent):
        pairs: dict[str, object] = {}
        for key in events:
            if key is None or isinstance(key, yaml.CollectionEndEvent):
                break
            name, value = _node(key, events), _node(next(events, _END), events)
            if isinstance(name, str):
                pairs.setdefault(name, value)
        return pairs
    return None
