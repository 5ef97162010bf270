"""One message: what happened, with numbers, names and places, as a subject, as text and as HTML.

What belongs here: words, and taking the harm out of names that somebody else has chosen. What does not: whether the
message is sent. Values of rows are never in it, and no text of an error, which may quote them: codes, numbers and
names alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2

_TEMPLATE = Path(__file__).with_suffix(".html")
# A key holds 1,024 bytes, and with the place and the ending of a report around it no more than this.
_LONGEST_NAME = 1_200
_LONGEST_SUBJECT = 150
_STAND_IN = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class Item:
    """One thing that a message lists: its name, the reason, and where more is to be read."""

    name: str
    code: str
    place: str = ""


@dataclass(frozen=True)
class Alert:
    """What there is to tell of one run.

    Args:
        about: a dataset, a topic, a DAG.
        happened: in a few words, as in `2 files quarantined`.
        causes: how often each reason occurs. A cause that people were told of a while ago is not repeated.
        items: the first things to list.
        more: how many are not listed.
        facts: further numbers and places, by their names.
        advice: what the reader can do.
        run_url: the run's page in Airflow.
        held_back: how often there was cause for this message since the last one.
    """

    about: str
    happened: str
    causes: dict[str, int]
    items: tuple[Item, ...] = ()
    more: int = 0
    facts: tuple[tuple[str, str], ...] = ()
    advice: str = ""
    run_url: str = ""
    held_back: int = 0

    @property
    def subject(self) -> str:
        """One short line."""
        return _shortened(cleaned(f"[FileGate] {self.about}: {self.happened}"), _LONGEST_SUBJECT)

    @property
    def repeats(self) -> str:
        """That this is not the first time; empty if it is."""
        times = "once" if self.held_back == 1 else f"{self.held_back:,} times"
        return f"This happened {times} more since the last message." if self.held_back else ""

    @property
    def text(self) -> str:
        """The whole message as plain text."""
        listed = [line for item in self._cleaned_items for line in _lines(item)]
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
        """The same as a page, in which every value is escaped."""
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
        """What the templates of a notifier may name, as `alert.<field>`."""
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
        return [*self.facts, *((cause, f"{count:,}") for cause, count in sorted(self.causes.items()))]

    @property
    def _cleaned_items(self) -> list[Item]:
        return [Item(_shown(item.name), _shown(item.code), _shown(item.place)) for item in self.items]


def cleaned(text: str) -> str:
    """Without line breaks, control characters and marks that turn the direction of writing.

    A name that a partner has chosen must not become a header of a mail, or look like another name.
    """
    return "".join(sign if sign.isprintable() else _STAND_IN for sign in text)


def counted(count: int, one: str, several: str = "") -> str:
    """`1 file`, `2 files`."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def _lines(item: Item) -> list[str]:
    return [f"- {item.name}: {item.code}", *([f"  {item.place}"] if item.place else [])]


def _shown(name: str) -> str:
    return _shortened(cleaned(name), _LONGEST_NAME)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
