"""What the clients of HTTP APIs read in a response: headers, the beginning of a body, and whether an attempt failed.

What belongs here: pure functions and values. What does not: sending requests (`http`), and the meaning for one API.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from include.errors import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

# About three years: longer than any wait, and short enough for datetime arithmetic.
LONGEST_WAIT_SECONDS = 1e8

# One link of a Link header, and one parameter of it; a quoted value may contain commas and semicolons.
_LINK = re.compile(r'<(?P<target>[^<>]*)>(?P<parameters>(?:[^<,"]|"(?:[^"\\]|\\.)*")*)')
_PARAMETER = re.compile(r';\s*([^\s;=,"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]+))')


@dataclass(frozen=True)
class Response:
    """A complete response. `headers` ignore case; `body` is decompressed."""

    request: str
    url: httpx.URL
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body's value.

        Raises:
            FailedAttemptError: it is not JSON.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise FailedAttemptError("its answer is not JSON", self.request, self.status) from error


class FailedAttemptError(Exception):
    """An attempt that failed; a later one may succeed. `retry_after` is the pause that the server asked for."""

    def __init__(
        self, reason: str, request: str = "", status: int | None = None, retry_after: float = 0.0, answer: str = ""
    ) -> None:
        super().__init__(": ".join(filter(None, (request, reason, answer))))
        self.reason, self.status, self.retry_after = reason, status, retry_after


def excerpt(body: bytes) -> str:
    """Return the beginning of a body on one line."""
    return visible(" ".join(body[:100_000].decode(errors="replace").split())[:300]) or "(empty answer)"


def shown(url: httpx.URL) -> str:
    """Return the URL without user, query and fragment, for messages."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds of the Retry-After header, a number or a date; None if it is missing or cannot be read.

    Args:
        headers: of the response, as a mapping that ignores case. A date is relative to their Date.
        now: seconds since the epoch, for a response without a Date.
    """
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return min(float(text), LONGEST_WAIT_SECONDS)
    until = http_date(text)
    if until is None:
        return None
    sent = http_date(headers.get("date", ""))
    seconds = until.timestamp() - (sent.timestamp() if sent else now)
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)


def http_date(text: str) -> datetime | None:
    """Return the time of an HTTP date; None if it cannot be read."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def next_link(headers: Mapping[str, str]) -> str | None:
    """Return the target of the first link with the relation `next` in a Link header (RFC 8288); None without one.

    Names are case-insensitive; a relation may be unquoted, or one of several in quotes.
    """
    for link in _LINK.finditer(headers.get("link", "")):
        # If `rel` occurs twice, the first one counts (RFC 8288).
        parameters = _PARAMETER.findall(link["parameters"])
        relations = [value or bare for name, value, bare in parameters if name.lower() == "rel"]
        if relations and "next" in relations[0].lower().split():
            return link["target"].strip()
    return None
