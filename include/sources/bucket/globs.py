"""The `pattern` of a bucket source: which names below the prefix it matches.

What belongs here: one pattern. What does not: listing objects (`collect`).

A pattern and a name are compared folder by folder. Upper and lower case differ.

    *       any characters of one name, also none
    ?       one character of a name
    [ab-d]  one of these characters; [!ab-d] one of all others; [*], [?], [[] the character itself
    **      as a whole part: any number of folders, also none; at the end all objects below

A name that begins with a dot is hidden: only a part that begins with a dot matches it, and `**` does not cross it.
"""

from __future__ import annotations

import re
from functools import lru_cache

MAX_LENGTH = 1024  # characters; no S3 key is longer
_ANY_FOLDERS = "**"
_WILDCARDS = re.compile(r"[*?\[]")
_CLASS = re.compile(r"\[(?>(!?))(\][^\]]*|[^\]]+)\]")
_RANGE = re.compile(r"(.)-(.)", re.DOTALL)


def glob_fault(pattern: str) -> str | None:
    """What is wrong with a pattern, with the remedy behind a colon; None if it is valid."""
    if not pattern or len(pattern) > MAX_LENGTH:
        return f"is empty or longer than {MAX_LENGTH:,} characters: write ** for all objects below the prefix"
    if not pattern.isprintable():
        return "holds a control character: write ? for it"
    if "\\" in pattern or set("{}") & set(_CLASS.sub("", pattern)):
        return "holds a backslash or a brace: write a character itself as [{], and one source for each alternative"
    if pattern[0] == "/" or {"", ".", ".."} & set(pattern.split("/")):
        return "has an empty part, . or ..: it begins behind the prefix, and single slashes separate its parts"
    return next((fault for part in pattern.split("/") if (fault := _part_fault(part))), None)


def _part_fault(part: str) -> str | None:
    if "**" in part and part != _ANY_FOLDERS:
        return "has ** beside other characters: write ** alone between slashes, or *"
    if "[" in _CLASS.sub("", part):
        return "has a bracket that does not end in the same part: write [[] for the bracket itself"
    if any(first > last for found in _CLASS.finditer(part) for first, last in _RANGE.findall(found[2])):
        return "has a range whose end is before its beginning: write the lower character first"
    return None


def literal_start(pattern: str) -> str:
    """The characters that each matching name begins with: a listing needs to ask for no others."""
    found = _WILDCARDS.search(pattern)
    return pattern[: found.start()] if found else pattern


@lru_cache(maxsize=64)
def compiled(pattern: str) -> Glob:
    """A valid pattern, ready to be compared."""
    return Glob(pattern)


class Glob:
    """A pattern. A comparison takes at most as many steps as the pattern and the name have parts, multiplied."""

    def __init__(self, pattern: str) -> None:
        parts = pattern.split("/")
        if parts[-1] == _ANY_FOLDERS:
            parts.append("*")
        self._parts = tuple(None if part == _ANY_FOLDERS else _part_regex(part) for part in parts)

    def matches(self, name: str) -> bool:
        """Whether the pattern matches a name, whose folders are separated by slashes."""
        # The numbers of pattern parts that the next folder may be compared with.
        open_parts = self._with_skipped({0})
        for folder in name.split("/"):
            found = set()
            for number in open_parts:
                if number == len(self._parts):
                    continue
                part = self._parts[number]
                if part is None and not folder.startswith("."):
                    found.add(number)
                elif part is not None and part.fullmatch(folder):
                    found.add(number + 1)
            open_parts = self._with_skipped(found)
        return len(self._parts) in open_parts

    def _with_skipped(self, numbers: set[int]) -> set[int]:
        """These numbers, and those behind a `**`, which may match no folder."""
        found = set(numbers)
        for number in sorted(numbers):
            following = number
            while following < len(self._parts) and self._parts[following] is None:
                following += 1
                found.add(following)
        return found


def _part_regex(part: str) -> re.Pattern[str]:
    """A part as a regular expression for `fullmatch`, which takes at most len(part) * len(name) steps.

    A `*` before another one ends at the first position where the text between them fits, as in
    `include.contracts.file_patterns`.
    """
    texts = [_text_regex(text) for text in _split_at_stars(part)]
    visible = "" if part.startswith(".") else r"(?!\.)"
    if len(texts) == 1:
        return re.compile(visible + texts[0], re.DOTALL)
    first, *middle, last = texts
    searches = "".join(f"(?>.*?{text})" for text in middle)
    return re.compile(f"{visible}{first}{searches}.*{last}", re.DOTALL)


def _split_at_stars(part: str) -> list[str]:
    """The texts between the stars; a star in brackets is a character."""
    texts, at = [""], 0
    while at < len(part):
        found = _CLASS.match(part, at)
        if found:
            texts[-1] += found[0]
        elif part[at] == "*":
            texts.append("")
        else:
            texts[-1] += part[at]
        at += len(found[0]) if found else 1
    return texts


def _text_regex(text: str) -> str:
    regex, at = "", 0
    while at < len(text):
        found = _CLASS.match(text, at)
        if found:
            regex += f"[{'^' if found[1] else ''}{_members(found[2])}]"
        else:
            regex += "." if text[at] == "?" else re.escape(text[at])
        at += len(found[0]) if found else 1
    return regex


def _members(text: str) -> str:
    """The characters and ranges of a class, with every character escaped."""
    members, at = "", 0
    while at < len(text):
        found = _RANGE.match(text, at)
        members += f"{re.escape(found[1])}-{re.escape(found[2])}" if found else re.escape(text[at])
        at += len(found[0]) if found else 1
    return members
