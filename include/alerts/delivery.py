"""Send a message with a few attempts within a hard deadline.

What belongs here: attempts, back-off, the deadline. What does not: the message and the channel.
"""

from __future__ import annotations

import logging
import smtplib
from concurrent.futures import Future
from threading import Thread
from time import monotonic, sleep
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from include.settings import AlertSettings

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_REASON = 300
# Shorter texts are words such as `warning`; masking them would make errors unreadable.
_SHORTEST_SECRET = 8

log = logging.getLogger(__name__)


def deliver(send: Callable[[], None], settings: AlertSettings) -> bool:
    """Call `send` until it succeeds, its error is final, or attempts or time are used up. Never raises.

    Each attempt has its own thread, because a socket timeout does not limit a server that sends one byte a minute, and
    third-party notifiers may have no timeout. An attempt that exceeds the deadline is abandoned and ends with the
    process.

    Args:
        send: sends the message, or raises.
        settings: number of attempts and deadline.

    Returns:
        Whether the message was sent. An abandoned attempt may still succeed, so a message can be sent twice.
    """
    deadline, pause, attempt = monotonic() + settings.deadline_seconds, _FIRST_PAUSE_SECONDS, 1
    while True:
        done = Future[None]()
        Thread(target=_attempt, args=(send, done), name="alert", daemon=True).start()
        try:
            error = done.exception(max(0.0, deadline - monotonic()))
        except TimeoutError:
            log.error("The alert was given up after %g s: the channel does not respond.", settings.deadline_seconds)
            return False
        if error is None:
            return True
        reason = _without_secrets(f"{type(error).__name__}: {error}", settings)[:_LONGEST_REASON]
        if is_final(error) or attempt == settings.attempts or monotonic() + pause >= deadline:
            log.error("The alert could not be sent. %s", reason)
            return False
        log.warning("The alert was not sent, attempt %s of %s. %s", attempt, settings.attempts, reason)
        sleep(pause)
        attempt, pause = attempt + 1, pause * 2


def is_final(error: BaseException) -> bool:
    """Return whether the same message would be refused again: SMTP reply codes of 500 and above."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    return isinstance(error, smtplib.SMTPResponseException) and error.smtp_code >= 500


def _attempt(send: Callable[[], None], done: Future[None]) -> None:
    try:
        send()
    except Exception as error:
        done.set_exception(error)
    else:
        done.set_result(None)


def _without_secrets(text: str, settings: AlertSettings) -> str:
    """Mask the arguments of the notifier: HTTP libraries put the URL into their errors, and it may contain a key."""
    for secret in sorted(_secrets(settings.notifier_kwargs), key=len, reverse=True):
        text = text.replace(secret, "***") if len(secret) >= _SHORTEST_SECRET else text
    return text


def _secrets(value: object) -> Iterator[str]:
    """Yield every text, and of a URL also the part after the host, which some libraries show alone."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _secrets(item)
    elif isinstance(value, str):
        yield value
        yield "/" + value.partition("://")[2].partition("/")[2]
