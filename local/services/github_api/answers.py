"""Records in the format of GitHub's REST API, version 2022-11-28: commits, issues and events of the recording.

What belongs here: fields and their values. What does not: requests, pages, limits (`server`).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local.services.github_api.history import Commit

Record = dict[str, Any]


def commit_answer(commit: Commit, api: str, web: str) -> Record:
    """Make an entry of `GET /repos/{owner}/{repo}/commits`.

    Args:
        commit: of the recording.
        api: the address of the API, for links in the record.
        web: the address of the web pages, for links in the record.
    """
    address = f"{api}/repos/{commit.repository}"
    page = f"{web}/{commit.repository}"
    committer_mail = "noreply@example.com" if commit.committer == "GitHub" else commit.email
    tree = hashlib.sha1(commit.sha.encode(), usedforsecurity=False).hexdigest()
    return {
        "sha": commit.sha,
        "node_id": f"C_{commit.sha[:16]}",
        "commit": {
            "author": {"name": commit.author, "email": commit.email, "date": commit.authored_at},
            "committer": {"name": commit.committer, "email": committer_mail, "date": commit.committed_at},
            "message": commit.message,
            "tree": {"sha": tree, "url": f"{address}/git/trees/{tree}"},
            "url": f"{address}/git/commits/{commit.sha}",
            "comment_count": commit.comments,
            "verification": {
                "verified": commit.verified,
                "reason": "valid" if commit.verified else "unsigned",
                "signature": None,
                "payload": None,
                "verified_at": commit.committed_at if commit.verified else None,
            },
        },
        "url": f"{address}/commits/{commit.sha}",
        "html_url": f"{page}/commit/{commit.sha}",
        "comments_url": f"{address}/commits/{commit.sha}/comments",
        "author": _account(commit.login, api),
        "committer": _account("web-flow" if commit.committer == "GitHub" else commit.login, api),
        "parents": [
            {"sha": sha, "url": f"{address}/commits/{sha}", "html_url": f"{page}/commit/{sha}"}
            for sha in commit.parents
        ],
    }


def issue_answers(commits: Iterable[Commit], api: str, web: str) -> list[Record]:
    """Make the entries of `GET /repos/{owner}/{repo}/issues?state=all`, by their last change, newest first.

    Each branch was a pull request, which the API lists as an issue too; one number in three is an issue only.
    """
    of_number: dict[int, list[Commit]] = {}
    for commit in commits:
        if commit.number is not None:
            of_number.setdefault(commit.number, []).append(commit)
    found = [_issue(number, parts, api, web) for number, parts in of_number.items()]
    return sorted(found, key=lambda issue: (issue["updated_at"], issue["number"]), reverse=True)


def event_answers(commits: Iterable[Commit], api: str) -> list[Record]:
    """Make the entries of `GET /repos/{owner}/{repo}/events`, newest first: a push for each commit of main."""
    return [_event(commit, api) for commit in sorted(commits, key=lambda one: one.committed_at, reverse=True)]


def _issue(number: int, commits: list[Commit], api: str, web: str) -> Record:
    first, last = commits[0], commits[-1]
    address = f"{api}/repos/{first.repository}/issues/{number}"
    merged = len(last.parents) > 1 or last.message.endswith(f"(#{number})")
    issue: Record = {
        "id": number_of(f"{first.repository}#{number}"),
        "node_id": f"I_{number_of(address)}",
        "number": number,
        "title": first.message.split("\n", maxsplit=1)[0],
        "state": "closed" if merged else "open",
        "user": _account(first.login or "ghost", api),
        "labels": [{"name": "dependencies"}] if first.message.startswith("Bump") else [],
        "comments": sum(commit.comments for commit in commits),
        "created_at": first.authored_at,
        "updated_at": last.committed_at,
        "closed_at": last.committed_at if merged else None,
        "body": first.message.partition("\n\n")[2] or None,
        "author_association": "CONTRIBUTOR",
        "url": address,
        "html_url": f"{web}/{first.repository}/issues/{number}",
    }
    if number % 3:
        issue["pull_request"] = {"url": address.replace("/issues/", "/pulls/"), "merged_at": issue["closed_at"]}
    return issue


def _event(commit: Commit, api: str) -> Record:
    return {
        "id": str(number_of(commit.sha)),
        "type": "PushEvent",
        "actor": {"id": number_of(commit.author), "login": commit.login or "ghost", "url": f"{api}/users/ghost"},
        "repo": {"id": number_of(commit.repository), "name": commit.repository},
        "payload": {"ref": "refs/heads/main", "head": commit.sha, "size": 1},
        "public": True,
        "created_at": commit.committed_at,
    }


def _account(login: str | None, api: str) -> Record | None:
    if login is None:
        return None
    kind = "Bot" if login.endswith("[bot]") else "User"
    return {"login": login, "id": number_of(login), "type": kind, "site_admin": False, "url": f"{api}/users/{login}"}


def number_of(name: str) -> int:
    """Return the API's numeric id of an object, derived from its name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")
