"""The pages of a listing: request smaller pages if the API fails on large ones, and detect circular links.

What belongs here: which page is requested next. What does not: sending a request with retries (`client`), and
processing the records (`collect`).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from include.errors import Code, PermanentError, RetryableError

if TYPE_CHECKING:
    from collections.abc import Collection

    from include.sources.github.client import Answer, GithubClient

log = logging.getLogger(__name__)

# Statuses for a page that takes the API too long, for example because of one large record. 200 is the status of a
# response that exceeded the client's limit of size or time.
_TOO_HEAVY = {200, 502, 504}
_DEFAULT_SIZE = 30


def get_page(client: GithubClient, target: str, etag: str | None = None) -> Answer:
    """Request a page; if the API fails on a page of that size, request the first part of it.

    Args:
        client: the client.
        target: path and query.
        etag: ETag of an earlier response to the same request.

    Raises:
        RetryableError: the API does not respond in all attempts, even for a page of one record.
        PermanentError: it refuses.
    """
    while True:
        try:
            return client.get(target, etag)
        except RetryableError as error:
            smaller = smaller_page(target) if error.details.get("status") in _TOO_HEAVY else None
            if smaller is None:
                raise
            log.warning("%s Requesting a smaller page: %s", error.message, smaller)
            target, etag = smaller, None


def smaller_page(target: str) -> str | None:
    """Return the request for the first part of a page; None if the page size is one record.

    The new size divides the old one, so that pages start at the same records: page 3 of 100 records starts where page 5
    of 50 records starts.
    """
    parts = urlsplit(target)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    size = int(text) if (text := query.get("per_page", "")).isdecimal() else _DEFAULT_SIZE
    if size <= 1:
        return None
    smaller = next(part for part in range(size // 2, 0, -1) if size % part == 0)
    query["per_page"] = str(smaller)
    if (page := query.get("page", "")).isdecimal():
        query["page"] = str((int(page) - 1) * (size // smaller) + 1)
    return urlunsplit(parts._replace(query=urlencode(query)))


def check_progress(answer: Answer, read: Collection[str]) -> None:
    """Check that the link to the next page does not lead back.

    Args:
        answer: a page with its link.
        read: the requests of the pages read in this run.

    Raises:
        PermanentError: the link leads to a page that was already read.
    """
    if answer.next == answer.target or answer.next in read:
        message = (
            "The API's link to the next page leads back to a page that was already read. What was read is kept. Check "
            "whether a proxy rewrites the responses of the API, or ask the operator of the API."
        )
        raise PermanentError(Code.SOURCE_REFUSED, message, page=answer.target, link=answer.next)


def check_difference(answer: Answer, following: Answer) -> None:
    """Check that the next page differs from this one.

    Raises:
        PermanentError: it has the same content, as from a server without pagination.
    """
    if following.body == answer.body and following.body.strip() != b"[]":
        message = "The API returned the same records for the next page. What was read is kept."
        raise PermanentError(Code.SOURCE_REFUSED, message, page=answer.target, following=following.target)
