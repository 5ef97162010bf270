"""The pages of a listing: asked in smaller pieces where the API cannot make large ones, and never in a circle.

What belongs here: which request comes next. What does not: one request until it is answered (`client`), and what
becomes of the records (`collect`).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from include.errors import Code, PermanentError, RetryableError
from include.sources.github.endpoints import SOURCE

if TYPE_CHECKING:
    from collections.abc import Collection

    from include.sources.github.client import Answer, GithubClient

log = logging.getLogger(__name__)

# What the API answers when a page takes it too long: one large record is enough. 200 is the status of an answer that
# was too large or too slow for us.
_TOO_HEAVY = {200, 502, 504}
_DEFAULT_SIZE = 30


def get_page(client: GithubClient, target: str, etag: str | None = None) -> Answer:
    """The answer to a request; where the API fails at a page of that size, the first part of it.

    Args:
        client: asks.
        target: path and query.
        etag: of an earlier answer to the same request.

    Raises:
        RetryableError: the API does not answer through all tries, also for one record alone.
        PermanentError: it refuses.
    """
    while True:
        try:
            return client.get(target, etag)
        except RetryableError as error:
            smaller = smaller_page(target) if error.facts.get("status") in _TOO_HEAVY else None
            if smaller is None:
                raise
            log.warning("%s Asking for a smaller page: %s", error.message, smaller)
            target, etag = smaller, None


def smaller_page(target: str) -> str | None:
    """The request for the first part of a page; None where the page has one record.

    The new size divides the old one, so that pages begin where they began before: page 3 of 100 is page 5 of 50.
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
    """Whether the link to the next page leads on.

    Args:
        answer: a page, with the link.
        read: the requests whose pages were read in this run.

    Raises:
        PermanentError: it leads back to a page that was read.
    """
    if answer.next == answer.target or answer.next in read:
        message = (
            "The API's link to the next page leads back to a page that was read. What was read is kept. Look whether "
            "a proxy between here and the API rewrites its answers, and ask the API's operator."
        )
        raise PermanentError(SOURCE, Code.SOURCE_REFUSED, message, page=answer.target, link=answer.next)


def check_difference(answer: Answer, following: Answer) -> None:
    """Whether the next page is another one.

    Raises:
        PermanentError: it has the same content, as from a server that does not know pages.
    """
    if following.body == answer.body and following.body.strip() != b"[]":
        message = "The API answers the request for the next page with the same records. What was read is kept."
        raise PermanentError(SOURCE, Code.SOURCE_REFUSED, message, page=answer.target, following=following.target)
