"""Records in the format of GitHub's REST API, version 2022-11-28: commits, issues and events of the recording.

What belongs here: fields and their values. What does not: requests, pages, limits (`github`).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local.services.stand_ins.github_history import Commit

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


def event_answers(commits: Iterable[Commit], api: str, web: str) -> list[Record]:
    """Make the entries of `GET /repos/{owner}/{repo}/events`, newest first.

    There is a push for each commit, and one event for each time that an issue or pull request was opened or closed.
    """
    happened = list(commits)
    found = [_push(commit, api) for commit in happened]
    for issue in issue_answers(happened, api, web):
        found.append(_issue_event(issue, happened[0].repository, "opened", issue["created_at"]))
        if issue["closed_at"]:
            found.append(_issue_event(issue, happened[0].repository, "closed", issue["closed_at"]))
    return sorted(found, key=lambda event: (event["created_at"], event["id"]), reverse=True)


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


def _push(commit: Commit, api: str) -> Record:
    actor = {"id": number_of(commit.author), "login": commit.login or "ghost", "url": f"{api}/users/ghost"}
    payload = {"ref": "refs/heads/main", "head": commit.sha, "size": 1}
    return _event(commit.sha, "PushEvent", actor, commit.repository, payload) | {"created_at": commit.committed_at}


def _issue_event(issue: Record, repository: str, action: str, moment: str) -> Record:
    name, number = f"{repository}#{issue['number']} {action}", issue["number"]
    if "pull_request" in issue:
        kind, payload = "PullRequestEvent", {"action": action, "number": number, "pull_request": {"number": number}}
    else:
        kind, payload = "IssuesEvent", {"action": action, "issue": {"number": number, "title": issue["title"]}}
    return _event(name, kind, issue["user"], repository, payload) | {"created_at": moment}


def _event(name: str, kind: str, actor: Record, repository: str, payload: Record) -> Record:
    return {
        "id": str(number_of(name)),
        "type": kind,
        "actor": {part: actor[part] for part in ("id", "login", "url")},
        "repo": {"id": number_of(repository), "name": repository},
        "payload": payload,
        "public": True,
    }


def _account(login: str | None, api: str) -> Record | None:
    if login is None:
        return None
    kind = "Bot" if login.endswith("[bot]") else "User"
    return {"login": login, "id": number_of(login), "type": kind, "site_admin": False, "url": f"{api}/users/{login}"}


def number_of(name: str) -> int:
    """Return the API's numeric id of an object, derived from its name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")
