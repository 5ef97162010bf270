"""The known names that a mistyped one may mean."""

from __future__ import annotations

from difflib import SequenceMatcher, get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MARGIN = 0.15  # of likeness, from 0 to 1


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean a or b? `, with the nearest known names; empty if none is near."""
    near = get_close_matches(word, list(known), n=3)
    # Names with a common prefix are all near one another: only those almost as near as the nearest are meant.
    least = max((_likeness(word, name) for name in near), default=0.0) - _MARGIN
    near = [name for name in near if _likeness(word, name) > least]
    return f"did you mean {' or '.join(near)}? " if near else ""


def _likeness(word: str, name: str) -> float:
    """From 0 to 1, as `get_close_matches` compares."""
    return SequenceMatcher(None, name, word).ratio()
