"""Rate limits: what the headers and words of an answer say about them.

What belongs here: pure functions of an answer. What does not: waiting (`client`).

Times of the API's limits are compared with the API's own clock, the Date header: the clock of this machine may be
wrong. There is no standard for these headers. `X-RateLimit-Reset` is a time in seconds or milliseconds since 1970, or
the seconds until then: their sizes differ.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from include.stores.http_response import LONGEST_WAIT_SECONDS, http_date, retry_after

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.stores.http_response import Response

# A minute is what GitHub asks for if its answer names no wait.
LEAST_PAUSE_SECONDS = 60.0
# An API may silence a source for so long: no longer X-Poll-Interval is obeyed, and a rate limit that lasts longer fails
# the run, so that users are notified. A shorter one skips it; the next scheduled run sends a request again.
LONGEST_SILENCE_SECONDS = 86_400.0
# The reset time is in whole seconds.
_AFTER_RESET_SECONDS = 1.0
_PREFIXES = ("x-ratelimit-", "x-rate-limit-", "ratelimit-")
_LIMITED, _FORBIDDEN, _BANNED = 429, 403, 418
_LIMIT_WORDS = (
    "secondary rate limit",
    "abuse detection",
    "rate limit exceeded",
    "ratelimitexceeded",
    "request limit exceeded",
    "quota exceeded",
    "quotaexceeded",
    "too many requests",
)
_NUMBER = re.compile(r"\d{1,15}(\.\d{1,9})?")
_FIRST_TIME, _FIRST_MILLISECONDS = 1e9, 1e11  # seconds since 1970: the years 2001 and 5138


def pause(response: Response, now: float, turn: int = 0, *, was_limited: bool = False) -> float | None:
    """Return the seconds to wait before this request may be repeated; None if the answer is not about a limit.

    The wait that the API requests is used unchanged. Without one, the pause doubles with each refusal.

    Args:
        response: the answer. 418 is a limit if it names a wait or comes after a 429: a ban of those who went on.
        now: the API's time, in seconds since the epoch.
        turn: how often this request was refused for a limit before.
        was_limited: whether the API has refused an earlier request for its limit.
    """
    status, headers = response.status, response.headers
    if status not in {_LIMITED, _FORBIDDEN, _BANNED}:
        return None
    requested = [seconds for seconds in (retry_after(headers, now), used_up(headers, now)) if seconds is not None]
    if requested:
        return max(requested)
    words = response.body[:2000].decode(errors="replace").lower()
    by_words = status == _FORBIDDEN and any(word in words for word in _LIMIT_WORDS)
    if status == _LIMITED or (status == _BANNED and was_limited) or by_words:
        return LEAST_PAUSE_SECONDS * 2.0**turn
    return None


def used_up(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds until the next request is allowed, if no requests remain; else None."""
    if remaining(headers) != 0:
        return None
    at = reset_at(headers, now)
    if at is None:
        return LEAST_PAUSE_SECONDS
    return min(max(at - now + _AFTER_RESET_SECONDS, 0.0), LONGEST_WAIT_SECONDS)


def remaining(headers: Mapping[str, str]) -> int | None:
    """Return how many requests remain; None if the API does not say it."""
    text = _header(headers, "remaining")
    return int(float(text)) if _NUMBER.fullmatch(text) else None


def reset_at(headers: Mapping[str, str], now: float) -> float | None:
    """Return when the limit is reset, in seconds since the epoch; None if the API does not say it.

    Args:
        headers: of the answer.
        now: the API's time, in seconds since the epoch.
    """
    text = _header(headers, "reset")
    if not _NUMBER.fullmatch(text):
        moment = http_date(text) or _iso(text)
        if moment is None:
            return None
        at = moment.timestamp()
    else:
        number = float(text)
        if number < _FIRST_TIME:
            return now + number
        at = number / 1000 if number >= _FIRST_MILLISECONDS else number
    return min(max(at, 0.0), now + LONGEST_WAIT_SECONDS)


def used_weight(headers: Mapping[str, str]) -> int | None:
    """Return the largest X-MBX-USED-WEIGHT of an answer; None without one. It is recorded only: a 429 is the limit."""
    found = [text.strip() for name, text in headers.items() if name.lower().startswith("x-mbx-used-weight")]
    return max((int(text) for text in found if text.isdecimal() and len(text) < 16), default=None)


def poll_interval(headers: Mapping[str, str]) -> float | None:
    """Return the seconds after which the API wants to be asked again, at most a day; None if it does not say it."""
    text = headers.get("x-poll-interval", "").strip()
    return min(float(text), LONGEST_SILENCE_SECONDS) if _NUMBER.fullmatch(text) else None


def _header(headers: Mapping[str, str], name: str) -> str:
    found = (headers.get(prefix + name) for prefix in _PREFIXES)
    return next((text.strip() for text in found if text is not None), "")


def _iso(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
