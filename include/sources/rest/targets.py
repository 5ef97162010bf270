"""Targets: path and query of a request, from the root of the server.

What belongs here: reading and replacing parameters. What does not: which parameters a page needs (`pages`).

Parameters that are not replaced stay as they are written: a link of an API may be signed or encoded in its own style.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from include.sources.elements import encoded

if TYPE_CHECKING:
    from collections.abc import Callable


def param(target: str, name: str) -> str | None:
    """Return the first value of a parameter; None without one."""
    pairs = map(_pair, _parts(target)[1])
    return next((value for own, value in pairs if own == name), None)


def with_param(target: str, name: str, value: str) -> str:
    """Return the target with this value of a parameter instead of its own ones."""
    path, parts = _parts(without(target, lambda own, _: own == name))
    return _joined(path, [*parts, f"{encoded(name)}={encoded(value)}"])


def without(target: str, unwanted: Callable[[str, str], bool]) -> str:
    """Return the target without the parameters of which `unwanted` is true: called with name and value."""
    path, parts = _parts(target)
    return _joined(path, [part for part in parts if not unwanted(*_pair(part))])


def _parts(target: str) -> tuple[str, list[str]]:
    path, _, query = target.partition("?")
    return path, query.split("&") if query else []


def _pair(part: str) -> tuple[str, str]:
    name, _, value = part.partition("=")
    return unquote_plus(name), unquote_plus(value)


def _joined(path: str, parts: list[str]) -> str:
    return f"{path}?{'&'.join(parts)}" if parts else path
