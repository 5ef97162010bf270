"""Getting a message out: a few tries within a time that nothing can stretch.

What belongs here: tries, pauses, the deadline. What does not: what is sent, and over which channel.
"""

from __future__ import annotations

import logging
import smtplib
from concurrent.futures import Future
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from include.settings import AlertSettings

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_REASON = 300
# Shorter texts are words such as `warning`, and would make errors unreadable.
_SHORTEST_SECRET = 8

log = logging.getLogger(__name__)


def deliver(send: Callable[[], None], settings: AlertSettings) -> bool:
    """Call `send` until it succeeds, its refusal is final, or time or tries are used up. Never raises.

    It is called in a thread of its own: a server that answers a byte a minute holds up a socket with any timeout, and
    a notifier of other make may have none. A try that does not end is left behind, and ends with the process.

    Args:
        send: sends the message, or raises.
        settings: tries and deadline.

    Returns:
        Whether the message is out. A try that was left behind may yet succeed: such a message can come twice.
    """
    deadline, given_up, done = monotonic() + settings.deadline_seconds, Event(), Future[str]()
    thread = Thread(target=_tries, args=(send, settings, given_up, done), name="alert", daemon=True)
    thread.start()
    thread.join(max(0.0, deadline - monotonic()))
    given_up.set()
    if not done.done():
        log.error("The alert was given up after %g s: the channel does not answer.", settings.deadline_seconds)
        return False
    if reason := done.result():
        log.error("The alert could not be sent. %s", reason)
    return not reason


def is_final(error: BaseException) -> bool:
    """Whether the same message would be refused again: what SMTP answers with a code of 500 and above."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    return isinstance(error, smtplib.SMTPResponseException) and error.smtp_code >= 500


def _tries(send: Callable[[], None], settings: AlertSettings, given_up: Event, done: Future[str]) -> None:
    pause, attempts = _FIRST_PAUSE_SECONDS, settings.attempts
    for attempt in range(1, attempts + 1):
        try:
            send()
        except Exception as error:
            reason = _without_secrets(f"{type(error).__name__}: {error}", settings)[:_LONGEST_REASON]
            if is_final(error) or attempt == attempts:
                done.set_result(reason)
                return
            log.warning("The alert was not sent, try %s of %s. %s", attempt, attempts, reason)
        else:
            done.set_result("")
            return
        if given_up.wait(pause):
            return
        pause *= 2


def _without_secrets(text: str, settings: AlertSettings) -> str:
    """What a notifier was given is hidden: HTTP libraries name the address in their errors, and in it is the key."""
    for secret in sorted(_secrets(settings.notifier_kwargs), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _secrets(value: object) -> Iterator[str]:
    """Every text, and of an address the part after the host, which some libraries name alone."""
    if isinstance(value, dict):
        for one in value.values():
            yield from _secrets(one)
    elif isinstance(value, list):
        for one in value:
            yield from _secrets(one)
    elif isinstance(value, str):
        _, _, after_scheme = value.partition("://")
        _, slash, path = after_scheme.partition("/")
        yield from (text for text in (value, slash + path) if len(text) >= _SHORTEST_SECRET)
