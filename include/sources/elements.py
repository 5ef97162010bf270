"""The elements of a source: each request and combination of values of `forEach`; a database's table, a bucket's prefix.

What belongs here: the elements' names, and path, parameters and headers of a request with the values filled in. What
does not: sending requests (`rest`), and how far an element was read (`positions`).

The name of an element is the path of its request with the values filled in, as in `/shops/north/orders`. Values that
the path does not show follow as a query, as in `/weather?city=Berlin`: the name of an element, and so its position,
stays the same if another value is added to the list. If two elements still have the same name, `#2` is appended.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import product
from typing import TYPE_CHECKING
from urllib.parse import quote

from include.sources.bucket.definition import BucketSource
from include.sources.database.definition import DatabaseSource
from include.sources.listing import Element

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from include.sources.definition import Request, Scalar
    from include.sources.kinds import AnySource

_PLACEHOLDER = re.compile(r"\{(\+?)([a-z][a-z0-9_]*)\}")


def elements(source: AnySource) -> list[Element]:
    """Return the elements of a source, in the order of its definition."""
    if isinstance(source, BucketSource):
        return [Element(f"s3://{source.bucket}/{source.prefix}")]
    if isinstance(source, DatabaseSource):
        return [Element(source.relation)]
    found: list[Element] = []
    used: Counter[str] = Counter()
    for index, request in enumerate(source.requests):
        lists = [[text_of(value) for value in values] for values in request.for_each.values()]
        for chosen in product(*lists):
            values = dict(zip(request.for_each, chosen, strict=True))
            name = _name(request, values)
            used[name] += 1
            if used[name] > 1:
                name = f"{name}#{used[name]}"
            found.append(Element(name, values, index))
    return found


def path_of(request: Request, values: Mapping[str, str]) -> str:
    """Return the path of a request with the values, which are percent-encoded; `{+name}` keeps their slashes."""
    return filled(request.path, values, encoded)


def params_of(request: Request, values: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of a request with the values, not encoded."""
    return {name: filled(text_of(value), values) for name, value in request.params.items()}


def headers_of(request: Request, values: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a request with the values."""
    return {name: filled(value, values) for name, value in request.headers.items()}


def filled(text: str, values: Mapping[str, str], encode: Callable[[str, str], str] = lambda value, _: value) -> str:
    """Return a text with the values of its placeholders; a placeholder without a value stays as it is.

    Args:
        text: with placeholders.
        values: by their names.
        encode: gets a value and the characters that it keeps as they are.
    """

    def value_of(found: re.Match[str]) -> str:
        plus, name = found.groups()
        return encode(values[name], "/" if plus else "") if name in values else found[0]

    return _PLACEHOLDER.sub(value_of, text)


def encoded(text: str, safe: str = "") -> str:
    """Return a text as one part of a path or query; the characters of `safe` stay as they are."""
    return quote(text, safe=safe)


def text_of(value: Scalar) -> str:
    """Return a value of the definition as it is sent."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _name(request: Request, values: Mapping[str, str]) -> str:
    shown = {name for _, name in _PLACEHOLDER.findall(request.path)}
    others = "&".join(f"{name}={encoded(value)}" for name, value in values.items() if name not in shown)
    path = path_of(request, values)
    return f"{path}{'&' if '?' in path else '?'}{others}" if others else path
