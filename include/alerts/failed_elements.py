"""What an alert says of the elements of a source that a run did not collect: code, message and remedy of each.

What belongs here: which words of an error may be sent. What does not: reading them from `ops.source_run`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from include.alerts.message import Alert, Item, counted
from include.errors import Code
from include.errors.registry import meanings, message, remedies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.settings import AlertSettings

# Their messages are about requests and the API's answers to them. Others may quote values of rows.
_OF_THE_API = {Code.SOURCE_UNAVAILABLE, Code.SOURCE_REFUSED, Code.RATE_LIMITED}


class FailedElement(NamedTuple):
    """An element whose last attempt failed, as `ops.source_run` has it."""

    name: str
    code: str
    message: str


def with_failed_elements(
    alert: Alert, failed: Sequence[FailedElement], failed_tasks: int, settings: AlertSettings
) -> Alert:
    """Return the alert of a failed run with its elements instead of its tasks.

    Args:
        alert: of the run.
        failed: the elements, at least one.
        failed_tasks: number of failed tasks. Those that failed before they read have no element here.
        settings: how many elements are listed.
    """
    listed, causes = failed[: settings.max_files], Counter(element.code for element in failed)
    known = remedies(sorted(causes))
    advice = [f"{code}: {remedy}" for code, remedy in known.items()]
    if (others := failed_tasks - len(failed)) > 0:
        advice.append(f"{counted(others, 'more task')} failed: the log gives the reason.")
    advice.append("What came before an error is delivered, and the next run continues from there.")
    return replace(
        alert,
        happened=f"{counted(len(failed), 'element')} not collected",
        causes=dict(causes),
        items=tuple(Item(element.name, element.code, message=_message(element)) for element in listed),
        more=len(failed) - len(listed),
        advice=" ".join(advice),
    )


def _message(element: FailedElement) -> str:
    """Return what happened, or only what the code means if the message may quote values."""
    if element.code in _OF_THE_API:
        return element.message
    if element.code == Code.WORKER_DIED:
        return message(Code.WORKER_DIED, "source")
    return meanings([element.code]).get(element.code, "")
