"""One alert message with counts, names and locations, as subject, text and HTML.

What belongs here: wording, and cleaning names that come from outside. What does not: whether the message is sent. A
message contains only codes, counts and names: no values of rows, and no error texts, which may quote values.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2

_TEMPLATE = Path(__file__).with_suffix(".html")
# An object key has at most 1,024 bytes; with bucket and report suffix it is shorter than this.
_LONGEST_NAME = 1_200
_LONGEST_SUBJECT = 150
_STAND_IN = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class Item:
    """An entry in the list of a message: its name, the reason code, and the location of details."""

    name: str
    code: str
    location: str = ""


@dataclass(frozen=True)
class Alert:
    """The content of an alert about one run.

    Args:
        about: a dataset, a topic or a DAG.
        happened: summary in a few words, for example `2 files quarantined`.
        causes: count by reason code. A cause that was reported recently is not repeated.
        items: the first entries of the list.
        more: number of entries that are not listed.
        details: further values and locations, by name.
        advice: what the reader can do.
        run_url: page of the run in Airflow.
        held_back: how often this message was due since the last one and was not sent.
    """

    about: str
    happened: str
    causes: dict[str, int]
    items: tuple[Item, ...] = ()
    more: int = 0
    details: tuple[tuple[str, str], ...] = ()
    advice: str = ""
    run_url: str = ""
    held_back: int = 0

    @property
    def subject(self) -> str:
        """Return the subject as one short line."""
        return _shortened(cleaned(f"[FileGate] {self.about}: {self.happened}"), _LONGEST_SUBJECT)

    @property
    def repeats(self) -> str:
        """Return a sentence with the number of held-back messages; empty if there are none."""
        times = "once" if self.held_back == 1 else f"{self.held_back:,} times"
        return f"This happened {times} more since the last message." if self.held_back else ""

    @property
    def text(self) -> str:
        """Return the message as plain text."""
        listed = [line for item in self._cleaned_items for line in _item_lines(item)]
        blocks = [
            [f"{cleaned(self.about)}: {cleaned(self.happened)}"],
            [f"{cleaned(name)}: {cleaned(value)}" for name, value in self._numbers],
            listed + ([f"and {self.more:,} more"] if self.more else []),
            [self.repeats] if self.repeats else [],
            [self.advice] if self.advice else [],
            [f"Run: {self.run_url}"] if self.run_url else [],
        ]
        return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"

    @property
    def html(self) -> str:
        """Return the message as HTML with every value escaped."""
        return _template().render(
            about=cleaned(self.about),
            happened=cleaned(self.happened),
            numbers=[(cleaned(name), cleaned(value)) for name, value in self._numbers],
            items=self._cleaned_items,
            more=self.more,
            repeats=self.repeats,
            advice=self.advice,
            run_url=self.run_url,
        )

    def fields(self) -> dict[str, Any]:
        """Return the fields that the templates of a notifier can use, as `alert.<field>`."""
        return {
            "about": cleaned(self.about),
            "happened": cleaned(self.happened),
            "subject": self.subject,
            "text": self.text,
            "html": self.html,
            "causes": {cleaned(cause): count for cause, count in self.causes.items()},
            "run_url": self.run_url,
            "held_back": self.held_back,
        }

    @property
    def _numbers(self) -> list[tuple[str, str]]:
        return [*self.details, *((cause, f"{count:,}") for cause, count in sorted(self.causes.items()))]

    @property
    def _cleaned_items(self) -> list[Item]:
        return [Item(_limited(item.name), _limited(item.code), _limited(item.location)) for item in self.items]


def cleaned(text: str) -> str:
    """Replace line breaks, control characters and bidirectional marks.

    A name chosen by a partner must not inject a mail header, or look like another name.
    """
    return "".join(character if character.isprintable() else _STAND_IN for character in text)


def counted(count: int, one: str, several: str = "") -> str:
    """Return the count with its noun: `1 file`, `2 files`."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def _item_lines(item: Item) -> list[str]:
    return [f"- {item.name}: {item.code}", *([f"  {item.location}"] if item.location else [])]


def _limited(name: str) -> str:
    return _shortened(cleaned(name), _LONGEST_NAME)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
