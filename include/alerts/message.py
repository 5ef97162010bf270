"""One alert message with counts, names and locations, as subject, text and HTML.

What belongs here: the form of a message, and cleaning names that come from outside. What does not: whether it is sent.
A message contains only codes, counts and names: no values of rows, and no error texts, which may quote values. Only
what the API of a source answered is quoted: see `failed_elements`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import jinja2

# An object key has at most 1,024 bytes; with bucket and report suffix it is shorter than this.
_LONGEST_TEXT = 1_200
_LONGEST_SUBJECT = 150


class Item(NamedTuple):
    """An entry in the list of a message: its name, the reason code, the location of details, and what happened."""

    name: str
    code: str
    location: str = ""
    message: str = ""


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

    def fields(self) -> dict[str, Any]:
        """Return the fields that the templates of a notifier can use, as `alert.<field>`."""
        times = "once" if self.held_back == 1 else f"{self.held_back:,} times"
        shown = {
            "about": cleaned(self.about),
            "happened": cleaned(self.happened),
            "causes": {cleaned(cause): count for cause, count in sorted(self.causes.items())},
            "run_url": self.run_url,
            "held_back": self.held_back,
        }
        repeats = f"This happened {times} more since the last message." if self.held_back else ""
        values = vars(self) | shown | {"repeats": repeats}
        return shown | {
            "subject": cleaned(f"[FileGate] {self.about}: {self.happened}", _LONGEST_SUBJECT),
            "text": _templates().get_template("message.txt").render(values),
            "html": _templates().get_template("message.html").render(values),
        }


def cleaned(text: str, most: int = _LONGEST_TEXT) -> str:
    """Shorten a text, and replace line breaks, control characters and bidirectional marks.

    A name chosen by a partner must not inject a mail header, or look like another name.
    """
    text = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return text if len(text) <= most else text[: most - 1] + "…"


def counted(count: int, one: str, several: str = "") -> str:
    """Return the count with its noun: `1 file`, `2 files`."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    """Return the templates next to this module, which clean each value and escape it in HTML."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=jinja2.select_autoescape(["html"]),
        finalize=lambda value: cleaned(value) if isinstance(value, str) else value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
