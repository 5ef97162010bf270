"""The stand-in for GitHub's REST API: pages, conditional requests, rate limits and errors, over an invented history.

What belongs here: which records a request gets, and the errors. What does not: the records (`github_records`), the
history (`github_history`). It needs no token; with the stand-ins' key a client has the higher limit of those with one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from local.services.stand_ins.github_history import read
from local.services.stand_ins.github_records import commit_answer, event_answers, issue_answers, number_of
from local.services.stand_ins.state import RefusedError, State, json_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from local.services.stand_ins.github_history import Commit
    from local.services.stand_ins.github_records import Record
    from local.services.stand_ins.rate_limit import RateLimit
    from local.services.stand_ins.state import Answer

NAME = "github"
WITH_TOKEN, WITHOUT = 5000, 60  # requests an hour
EMPTY, MOVED = "harbour/empty", "harbour/old-ledger"
_MOVED_TO = "harbour/ledger"
_DOCS = "https://docs.github.com/rest"
_WEB = "https://github.example"
_HOUR, _POLL_SECONDS = 3600, 60
_MOST_EVENTS = 300
_PAGE, _MOST = 30, 100


@dataclass
class Repositories:
    """The repositories, and what a test changes.

    Attributes:
        history: commits of each repository, oldest first; those up to the server's time are served.
        renamed: new names by old ones: the answer is 301, to the repository's number.
        heaviest_page: a page with more records is answered with 502.
        edit: changes the records of an endpoint, by its name, before they are cut into pages.
    """

    history: dict[str, list[Commit]] = field(default_factory=read)
    renamed: dict[str, str] = field(default_factory=dict)
    heaviest_page: int | None = None
    edit: Callable[[str, list[Record]], list[Record]] | None = None


def records(state: State, request: Request) -> Response:
    """Answer a request for records of a repository."""
    limit = _admit(state, request)
    try:
        body, links = _page(state, request)
    except RefusedError as refusal:
        refusal.answer.headers.update(limit.headers())
        raise
    etag = f'W/"{hashlib.sha256(body).hexdigest()}"'
    headers = {"etag": etag}
    if request.path_params["endpoint"] == "events":
        headers["x-poll-interval"] = str(_POLL_SECONDS)
    if request.headers.get("if-none-match") == etag:
        if _token(request):  # a conditional request costs nothing if it has a token
            limit.used -= 1
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers | limit.headers())
    headers |= limit.headers() | {"cache-control": "private, max-age=60, s-maxage=60"}
    if links:
        headers["link"] = links
    return Response(body, media_type="application/json; charset=utf-8", headers=headers)


def rate_limit(state: State, request: Request) -> Response:
    """Answer `GET /rate_limit`, which costs nothing."""
    core = _limit(state, request).headers()
    names = ("limit", "remaining", "used", "reset")
    return json_answer({"resources": {"core": {name: int(core[f"x-ratelimit-{name}"]) for name in names}}})


PATHS: dict[str, Answer] = {
    "/rate_limit": rate_limit,
    "/repos/{owner}/{name}/{endpoint}": records,
    "/repositories/{number:int}/{endpoint}": records,
}


def _admit(state: State, request: Request) -> RateLimit:
    """Count a request.

    Raises:
        RefusedError: no user agent, a wrong token, or too many requests.
    """
    token = _token(request)
    if "user-agent" not in request.headers:
        raise _error(HTTPStatus.FORBIDDEN, "Request forbidden by administrative rules. Please add a User-Agent.")
    if token and token not in state.keys:
        raise _error(HTTPStatus.UNAUTHORIZED, "Bad credentials")
    limit = _limit(state, request)
    if not limit.take():
        message = "API rate limit exceeded. Check out the documentation for more details."
        raise _error(HTTPStatus.FORBIDDEN, message, limit.headers())
    return limit


def _limit(state: State, request: Request) -> RateLimit:
    token = _token(request)
    return state.limit(NAME, WITH_TOKEN if token else WITHOUT, _HOUR, token)


def _page(state: State, request: Request) -> tuple[bytes, str]:
    """Return the body of one page, and its Link header."""
    found = state.repositories
    name, endpoint = _repository(found, request), request.path_params["endpoint"]
    if name in found.renamed or name == MOVED:
        target = f"repositories/{number_of(found.renamed[name])}" if name in found.renamed else f"repos/{_MOVED_TO}"
        address = f"{_base(request)}/{target}/{endpoint}?{request.url.query}"
        raise RefusedError(RedirectResponse(address, HTTPStatus.MOVED_PERMANENTLY))
    if name == EMPTY and endpoint == "commits":
        raise _error(HTTPStatus.CONFLICT, "Git Repository is empty.")
    if name not in found.history and name != EMPTY:
        raise _error(HTTPStatus.NOT_FOUND, "Not Found")
    listed, record_of = _listing(state, request, name, endpoint)
    if found.edit:
        listed, record_of = found.edit(endpoint, list(map(record_of, listed))), _itself
    size, page = min(_whole(request, "per_page", _PAGE), _MOST), _whole(request, "page", 1)
    last = max(1, -(-len(listed) // size))
    shown = list(map(record_of, listed[(page - 1) * size : page * size]))
    if found.heaviest_page is not None and len(shown) > found.heaviest_page:
        raise _error(HTTPStatus.BAD_GATEWAY, "Server Error")
    return json.dumps(shown, separators=(",", ":")).encode(), _links(request, page, last)


def _repository(found: Repositories, request: Request) -> str:
    """Return the name of the requested repository, which the path gives by name or number."""
    parameters = request.path_params
    if "number" not in parameters:
        return f"{parameters['owner']}/{parameters['name']}"
    return next((name for name in found.history if number_of(name) == parameters["number"]), "")


def _listing(state: State, request: Request, name: str, endpoint: str) -> tuple[list[Any], Callable[[Any], Record]]:
    """Return what a listing has in its current state, and a function that makes the record of each."""
    now = _stamp(datetime.fromtimestamp(state.now(), UTC))
    happened = [commit for commit in state.repositories.history.get(name, []) if commit.committed_at <= now]
    since, until = _moment(request, "since"), _moment(request, "until")
    base = _base(request)
    match endpoint:
        case "commits":
            wanted = [
                c for c in reversed(happened) if since <= c.committed_at and (not until or c.committed_at <= until)
            ]
            return wanted, lambda commit: commit_answer(commit, base, _WEB)
        case "issues":
            status = request.query_params.get("state", "open")
            issues = [issue for issue in issue_answers(happened, base, _WEB) if issue["updated_at"] >= since]
            return [issue for issue in issues if status in {"all", issue["state"]}], _itself
        case "events":
            return event_answers(happened, base, _WEB)[:_MOST_EVENTS], _itself
        case _:
            raise _error(HTTPStatus.NOT_FOUND, "Not Found")


def _itself(record: Record) -> Record:
    return record


def _links(request: Request, page: int, last: int) -> str:
    pages = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
    if page <= 1:
        del pages["prev"], pages["first"]
    if page >= last:
        del pages["next"], pages["last"]
    address = request.url.replace(query="")
    query = {key: value for key, value in request.query_params.items() if key != "page"}
    return ", ".join(f'<{address}?{urlencode({**query, "page": to})}>; rel="{name}"' for name, to in pages.items())


def _whole(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    return int(text) if text.isdecimal() and int(text) > 0 else default


def _moment(request: Request, name: str) -> str:
    text = request.query_params.get(name, "")
    if not text:
        return ""
    try:
        return _stamp(datetime.fromisoformat(text).astimezone(UTC))
    except ValueError:
        message = f"Validation Failed: {name} is no ISO 8601 time"
        raise _error(HTTPStatus.UNPROCESSABLE_ENTITY, message) from None


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _token(request: Request) -> str:
    return request.headers.get("authorization", "").removeprefix("Bearer ").removeprefix("token ")


def _base(request: Request) -> str:
    return f"{str(request.base_url).rstrip('/')}/{NAME}"


def _error(status: HTTPStatus, message: str, headers: dict[str, str] | None = None) -> RefusedError:
    content = {"message": message, "documentation_url": _DOCS, "status": str(status.value)}
    return RefusedError(json_answer(content, status, headers))
