"""What an answer says about the API's rate limits. Pure: who waits is the client.

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
# The reset is told in whole seconds.
_AFTER_RESET_SECONDS = 1.0
# Years: nobody waits for that, and a moment that far away can still be told.
_LONGEST_PAUSE_SECONDS = 1e8
_WORDS = ("secondary rate limit", "abuse detection", "rate limit exceeded")


def pause(status: int, headers: Mapping[str, str], body: bytes, now: float, turn: int = 0) -> float | None:
    """Seconds to wait before this request may be repeated; None if the answer is not about a limit.

    What the API tells is taken as it is. Where it tells nothing, the pause doubles with each turn.

    Args:
        status: of the answer.
        headers: of the answer, names in any case that the mapping understands.
        body: says which limit it was.
        now: seconds since the epoch.
        turn: how often this request was refused before for a limit.
    """
    if status not in _LIMITED:
        return None
    asked = [seconds for seconds in (_retry_after(headers, now), used_up(headers, now)) if seconds is not None]
    if asked:
        return max(asked)
    words = body[:2000].decode(errors="replace").lower()
    if status == 429 or any(word in words for word in _WORDS):
        return _LEAST_PAUSE_SECONDS * 2.0**turn
    return None


def used_up(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds until requests are allowed again, if this answer was the last one allowed."""
    if headers.get("x-ratelimit-remaining", "").strip() != "0":
        return None
    reset = headers.get("x-ratelimit-reset", "").strip()
    if not reset.isdecimal():
        return _LEAST_PAUSE_SECONDS
    return min(max(float(reset) - now + _AFTER_RESET_SECONDS, 0.0), _LONGEST_PAUSE_SECONDS)


def _retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds, which the header has as a number or as a date: that one is compared with the API's own clock."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return min(float(text), _LONGEST_PAUSE_SECONDS)
    until = _moment(text)
    if until is None:
        return None
    sent = _moment(headers.get("date", ""))
    return min(max(until - (now if sent is None else sent), 0.0), _LONGEST_PAUSE_SECONDS)


def _moment(date: str) -> float | None:
    """Seconds since the epoch at an HTTP date; None where it is none."""
    try:
        moment = parsedate_to_datetime(date)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
