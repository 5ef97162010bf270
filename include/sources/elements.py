"""The elements of a source: each request, or each combination of the values of its `forEach`.

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

from include.sources.listing import Element

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from include.sources.definition import Request, RestSource, Scalar

_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")


def elements(source: RestSource) -> list[Element]:
    """Return the elements of a source, in the order of its definition."""
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
    """Return the path of a request with the values, which are percent-encoded."""
    return filled(request.path, values, encoded)


def params_of(request: Request, values: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of a request with the values, not encoded."""
    return {name: filled(text_of(value), values) for name, value in request.params.items()}


def headers_of(request: Request, values: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a request with the values."""
    return {name: filled(value, values) for name, value in request.headers.items()}


def filled(text: str, values: Mapping[str, str], encode: Callable[[str], str] = str) -> str:
    """Return a text with the values of its placeholders; a placeholder without a value stays as it is."""
    return _PLACEHOLDER.sub(lambda found: encode(values[found[1]]) if found[1] in values else found[0], text)


def encoded(text: str) -> str:
    """Return a text as one part of a path or query."""
    return quote(text, safe="")


def text_of(value: Scalar) -> str:
    """Return a value of the definition as it is sent."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _name(request: Request, values: Mapping[str, str]) -> str:
    shown = set(_PLACEHOLDER.findall(request.path))
    others = "&".join(f"{name}={encoded(value)}" for name, value in values.items() if name not in shown)
    path = path_of(request, values)
    return f"{path}{'&' if '?' in path else '?'}{others}" if others else path
