"""Read the API's rate limits from a response. Pure functions: the client waits.

The rules: https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit
"""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_LIMITED = {403, 429}
# "Otherwise, wait for at least one minute before retrying."
_LEAST_PAUSE_SECONDS = 60.0
# The reset time is in whole seconds.
_AFTER_RESET_SECONDS = 1.0
# About three years: longer than any wait, and short enough for datetime arithmetic.
_LONGEST_PAUSE_SECONDS = 1e8
_WORDS = ("secondary rate limit", "abuse detection", "rate limit exceeded")


def pause(status: int, headers: Mapping[str, str], body: bytes, now: float, turn: int = 0) -> float | None:
    """Return the seconds to wait before this request may be repeated; None if the response is not about a limit.

    The wait that the API requests is used unchanged. Without one, the pause doubles with each refusal.

    Args:
        status: status of the response.
        headers: headers of the response, as a mapping that ignores case.
        body: body of the response, which names the limit.
        now: seconds since the epoch.
        turn: how often this request was refused for a limit before.
    """
    if status not in _LIMITED:
        return None
    requested = [seconds for seconds in (_retry_after(headers, now), used_up(headers, now)) if seconds is not None]
    if requested:
        return max(requested)
    words = body[:2000].decode(errors="replace").lower()
    if status == 429 or any(word in words for word in _WORDS):
        return _LEAST_PAUSE_SECONDS * 2.0**turn
    return None


def used_up(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds until the next request is allowed, if no requests remain; else None."""
    if headers.get("x-ratelimit-remaining", "").strip() != "0":
        return None
    reset = headers.get("x-ratelimit-reset", "").strip()
    if not reset.isdecimal():
        return _LEAST_PAUSE_SECONDS
    return min(max(float(reset) - now + _AFTER_RESET_SECONDS, 0.0), _LONGEST_PAUSE_SECONDS)


def _retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds of the Retry-After header, a number or a date; a date is relative to the Date header."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return min(float(text), _LONGEST_PAUSE_SECONDS)
    until = _epoch_seconds(text)
    if until is None:
        return None
    sent = _epoch_seconds(headers.get("date", ""))
    return min(max(until - (now if sent is None else sent), 0.0), _LONGEST_PAUSE_SECONDS)


def _epoch_seconds(date: str) -> float | None:
    """Return the seconds since the epoch of an HTTP date; None if it cannot be parsed."""
    try:
        time = parsedate_to_datetime(date)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
