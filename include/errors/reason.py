"""What the registry holds of a reason code, and of the messages that users see with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(StrEnum):
    """What a code refuses or stops. The values are the headings of docs/reason-codes.md."""

    CELL = "A cell"
    ROW = "A row"
    MESSAGE = "A message"
    FILE = "A file"
    WORK = "The work itself"


class Variant(NamedTuple):
    """Another message of a code: a template, and that of the remedy if it is not the code's."""

    template: str
    remedy: str = ""


@dataclass(frozen=True)
class Reason:
    """One code of the registry. Templates are filled with `str.format`; `text` of the registry does it.

    Args:
        kind: what the code refuses.
        title: a few words, as a heading.
        meaning: the documentation, as Markdown. It begins where the title ends.
        remedy: what the user can do, as Markdown; the messages of whole files end with it.
        template: the usual message; empty where the message is that of a server or library.
        variants: other messages, by a name.
        retried: for the work itself: whether it is tried again.
    """

    kind: Kind
    title: str
    meaning: str
    remedy: str
    template: str = ""
    variants: Mapping[str, Variant] = field(default_factory=dict)
    retried: str = ""
