"""The table of endpoints: the requests, the path in a record for each column of the file, and how paths are read.

What belongs here: one entry per endpoint, as data. What does not: code for a single endpoint; add a field to all
entries instead. Values are not checked: a record without a sha, or a list entry that is not an object, becomes a line
with nulls, which the contract rejects. The columns are those of the dataset's contract without the derived ones.

The API lists pull requests as issues too. They are kept, with the URL of the pull request in a column, so that counts
match those of the API and each analysis can decide.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from include.errors import Code, PermanentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SOURCE = "github"

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*/[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Endpoint:
    """An endpoint that lists records, newest first.

    Args:
        name: name in the settings, in ops.source_state and in the keys of raw responses.
        dataset: dataset whose folder under incoming/ gets the file.
        path: path below the API's address; `{repository}` is owner/name.
        time: path in a record of the time that the API sorts by; the newest time is the watermark.
        identity: path in a record of its unique identity.
        columns: columns of the file, each with its path in the record: names separated by dots, for example
            `commit.author.name`; `parents.#` is the length of a list.
        query: parameters of every request.
        since: parameter for records from a time on; None if the API has none: then pages are read until all records of
            a page are older.
    """

    name: str
    dataset: str
    path: str
    time: str
    identity: str
    columns: Mapping[str, str]
    query: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    since: str | None = "since"

    def request(self, repository: str, page_size: int, since: datetime | None) -> tuple[str, dict[str, str]]:
        """Return path and query of the first page of records from `since` on; of all records if that is None."""
        query = {**self.query, "per_page": str(page_size)}
        if self.since and since:
            query[self.since] = _timestamp(since)
        return self.path.format(repository=repository), query


# https://docs.github.com/rest/commits/commits#list-commits, of version 2022-11-28; `since` is the committer's time.
_COMMITS = Endpoint(
    name="commits",
    dataset="commits",
    path="/repos/{repository}/commits",
    time="commit.committer.date",
    identity="sha",
    columns={
        "sha": "sha",
        "author_name": "commit.author.name",
        "author_email": "commit.author.email",
        "author_login": "author.login",
        "authored_at": "commit.author.date",
        "committer_name": "commit.committer.name",
        "committer_email": "commit.committer.email",
        "committed_at": "commit.committer.date",
        "message": "commit.message",
        "parent_count": "parents.#",
        "comment_count": "commit.comment_count",
        "is_verified": "commit.verification.verified",
        "url": "html_url",
    },
)

# https://docs.github.com/rest/issues/issues#list-repository-issues; `since` is the last change.
_ISSUES = Endpoint(
    name="issues",
    dataset="issues",
    path="/repos/{repository}/issues",
    time="updated_at",
    identity="id",
    query={"state": "all", "sort": "updated", "direction": "desc"},
    columns={
        "number": "number",
        "issue_id": "id",
        "title": "title",
        "state": "state",
        "author_login": "user.login",
        "author_association": "author_association",
        "label_count": "labels.#",
        "comment_count": "comments",
        "pull_request_url": "pull_request.url",
        "created_at": "created_at",
        "updated_at": "updated_at",
        "closed_at": "closed_at",
        "url": "html_url",
    },
)

# https://docs.github.com/rest/activity/events#list-repository-events; the API keeps the last 300 events at most.
_EVENTS = Endpoint(
    name="events",
    dataset="events",
    path="/repos/{repository}/events",
    time="created_at",
    identity="id",
    since=None,
    columns={
        "id": "id",
        "type": "type",
        "actor_login": "actor.login",
        "action": "payload.action",
        "ref": "payload.ref",
        "head_sha": "payload.head",
        "issue_number": "payload.issue.number",
        "pull_request_number": "payload.number",
        "is_public": "public",
        "created_at": "created_at",
    },
)

ENDPOINTS: Mapping[str, Endpoint] = MappingProxyType({one.name: one for one in (_COMMITS, _ISSUES, _EVENTS)})


def endpoints_named(names: Iterable[str]) -> list[Endpoint]:
    """Return the endpoints with these names, in order.

    Raises:
        PermanentError: a name is unknown.
    """
    wanted = list(names)
    unknown = [name for name in wanted if name not in ENDPOINTS]
    if unknown:
        known = ", ".join(ENDPOINTS)
        raise PermanentError(
            Code.SOURCE_REFUSED, f"Unknown endpoint {', '.join(unknown)}: GITHUB_ENDPOINTS can contain {known}."
        )
    return [ENDPOINTS[name] for name in wanted]


def checked_repository(name: str) -> str:
    """Return the name if it is valid; it becomes part of URLs and object keys.

    Raises:
        PermanentError: it is not owner/name.
    """
    if not _REPOSITORY.fullmatch(name) or name.endswith(("/.", "/..")):
        raise PermanentError(Code.SOURCE_REFUSED, f"'{name}' is not a repository name: write owner/name.")
    return name


# Records


def value_at(record: object, path: str) -> object:
    """Return the value at this path; None if a step of the path is missing or null."""
    value = record
    for step in path.split("."):
        if step == "#":
            value = len(value) if isinstance(value, list) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def line(record: object, columns: Mapping[str, str], repository: str, fetched_at: datetime) -> bytes:
    """Return a record as one line of NDJSON, with the requested repository and the time of the request."""
    row = {
        "repository": repository,
        **{column: value_at(record, path) for column, path in columns.items()},
        "fetched_at": _timestamp(fetched_at),
    }
    # Non-ASCII characters are escaped: a lone surrogate cannot be written in UTF-8.
    return json.dumps(row, separators=(",", ":")).encode("ascii")


def time_of(record: object, endpoint: Endpoint) -> datetime | None:
    """Return the time of a record by which the API sorts, in UTC; None if it is missing or cannot be parsed."""
    text = value_at(record, endpoint.time)
    if not isinstance(text, str):
        return None
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # OverflowError: in UTC it is before the year 1, or after 9999
        return None


def _timestamp(time: datetime) -> str:
    """Return a time in the format of the API: UTC, to the second."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
