"""The table of endpoints: where records are asked for, and which column of the file is where in a record.

What belongs here: one entry an endpoint, as data. What does not: code for one endpoint alone; what an entry cannot
say is a field that all entries get. The columns are those of the dataset's contract, without the derived ones.

The API calls every pull request an issue as well. They are kept, with the address of the pull request in a column:
what is no issue to one question is work to another, and leaving records out would make counts differ from the API's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from include.errors import Code, PermanentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

SOURCE = "github"

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*/[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Endpoint:
    """Where records of one kind come from, newest first.

    Args:
        name: in the settings, in ops.source_state and in the folder of the raw answers.
        dataset: whose folder under incoming/ gets the file.
        path: below the API's address; `{repository}` is owner/name.
        time: where a record has the time that the API sorts by; the watermark is the newest of them.
        identity: where a record has what no other record has.
        columns: of the file, each with its place in the record: see `flatten`.
        query: what every request says.
        since: the parameter that asks for records from a time on; None where the API has none, and pages are read
            until all of one are older.
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
        """Path and query of the first page, of what happened from `since` on; all if that is None."""
        query = {**self.query, "per_page": str(page_size)}
        if self.since and since:
            query[self.since] = since.strftime("%Y-%m-%dT%H:%M:%SZ")
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
    """The endpoints of these names, in order.

    Raises:
        PermanentError: there is none of such a name.
    """
    wanted = list(names)
    unknown = [name for name in wanted if name not in ENDPOINTS]
    if unknown:
        known = ", ".join(ENDPOINTS)
        raise PermanentError(
            SOURCE, Code.SOURCE_REFUSED, f"No endpoint is called {', '.join(unknown)}: GITHUB_ENDPOINTS takes {known}."
        )
    return [ENDPOINTS[name] for name in wanted]


def checked_repository(name: str) -> str:
    """The name, which becomes part of addresses and object keys.

    Raises:
        PermanentError: it is not owner/name.
    """
    if not _REPOSITORY.fullmatch(name) or name.endswith(("/.", "/..")):
        raise PermanentError(SOURCE, Code.SOURCE_REFUSED, f"'{name}' is no repository: write owner/name.")
    return name
