"""File patterns: which are allowed, how specific one is, and which keys it matches.

What belongs here: one pattern. What does not: which dataset a file belongs to (`catalog`).
`*` matches any characters but `/`, `?` one of them, every other character itself.
"""

from __future__ import annotations

import re
from functools import lru_cache

MAX_PATTERNS = 100  # of one contract: the sweep compares each name at the top of incoming/ with all of them
MAX_LENGTH = 1024  # characters; no S3 key is longer
_OTHER_WILDCARDS = frozenset("\\[]")


def pattern_fault(pattern: str) -> str | None:
    """What is wrong with a pattern, as the end of a sentence; None if it is valid."""
    if len(pattern) > MAX_LENGTH:
        return f"is longer than {MAX_LENGTH:,} characters"
    if not pattern.strip("*?/. "):
        return "would match every file"
    if pattern.startswith("/"):
        return "starts with /"
    if set(pattern) & _OTHER_WILDCARDS or not pattern.isprintable():
        return "holds a bracket, a backslash or a control character"
    parts = pattern.split("/")
    if any(part in {"", ".", ".."} for part in parts):
        return "holds an empty part, . or .."
    return None


def literal_characters(pattern: str) -> int:
    """The number of characters that are no wildcards: of two matching patterns the one with more is more specific."""
    return len(pattern) - pattern.count("*") - pattern.count("?")


@lru_cache(maxsize=16_384)
def pattern_regex(pattern: str) -> re.Pattern[str]:
    """A file pattern as a regular expression for `fullmatch`, which takes at most len(pattern) * len(name) steps.

    A `*` before another one ends at the first position where the text between them fits, without backtracking (an
    atomic group). This is exact: a match that continues from a later position also continues from the first one, since
    the next `*` covers the characters between, and neither crosses a `/`.
    """
    first, *others = re.split(r"\*+", pattern)
    if not others:
        return re.compile(_literal(first))
    *middle, last = map(_literal, others)
    searches = "".join(f"(?>[^/]*?{text})" for text in middle)
    return re.compile(f"{_literal(first)}{searches}[^/]*{last}")


def _literal(text: str) -> str:
    return "[^/]".join(map(re.escape, text.split("?")))
