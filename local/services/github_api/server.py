"""The replay's server: pages, conditional requests, rate limits and errors according to the API's documentation.

What belongs here: the HTTP behaviour. What does not: the records (`answers`, `history`). `GithubApi` runs the server
inside a test, which can inject failures (`faults`), inspect the received requests (`requests`), and lower the rate
limit (`limit`).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from local.services.github_api.answers import commit_answer, event_answers, issue_answers, number_of
from local.services.github_api.history import read
from local.services.github_api.limits import WITH_TOKEN, WITHOUT, RateLimit
from local.services.served_api import Asked as Asked  # noqa: PLC0414 (tests take both names from here)
from local.services.served_api import Fault as Fault  # noqa: PLC0414
from local.services.served_api import ServedApi, next_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.requests import Request

    from local.services.github_api.answers import Record
    from local.services.github_api.history import Commit

NOW = datetime(2026, 11, 21, tzinfo=UTC)  # in tests
EMPTY, MOVED = "harbour/empty", "harbour/old-ledger"
_MOVED_TO = "harbour/ledger"
_DOCS = "https://docs.github.com/rest"
_WEB = "https://github.example"
_MOST_EVENTS = 300
_PAGE, _MOST = 30, 100


@dataclass
class Replay:
    """The state of one server. Commits up to `now` are served; `tokens` are the accepted tokens.

    `renamed` maps old names to new ones: the answer is 301, to the repository's number, as the API does. A page of more
    records than `heaviest_page` is answered with 502. `edit` changes the records of an endpoint, by its name, before
    they are cut into pages; `before` is called with each request before it is answered, and may change the history.
    """

    tokens: tuple[str, ...] = ()
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    faults: list[Fault] = field(default_factory=list)
    requests: list[Asked] = field(default_factory=list)
    keep_requests: bool = False
    limit: int | None = None
    history: dict[str, list[Commit]] = field(default_factory=read)
    renamed: dict[str, str] = field(default_factory=dict)
    heaviest_page: int | None = None
    edit: Callable[[str, list[Record]], list[Record]] | None = None
    before: Callable[[Asked], None] | None = None
    limits: dict[str, RateLimit] = field(default_factory=dict)

    def limit_of(self, token: str) -> RateLimit:
        """Return the rate limit of one client; `limit` replaces the usual number of requests per hour."""
        requests = self.limit if self.limit is not None else WITH_TOKEN if token else WITHOUT
        rate_limit = self.limits.setdefault(token, RateLimit(requests))
        rate_limit.limit = requests
        return rate_limit


def create_app(replay: Replay) -> Starlette:
    """Make the application over a state, which may be changed while it serves."""

    async def repository(request: Request) -> Response:
        asked = Asked.of(request)
        if replay.keep_requests:
            replay.requests.append(asked)
        if replay.before:
            replay.before(asked)
        fault = next_fault(replay.faults, request.url.path)
        if fault:
            await asyncio.sleep(fault.delay)
        answer = fault.answer() if fault and fault.status is not None else _answer(replay, request)
        answer.headers["date"] = format_datetime(replay.now(), usegmt=True)
        if fault and fault.status is None:
            answer.headers.update(fault.headers)
        return answer

    async def rate_limit(request: Request) -> Response:
        core = replay.limit_of(_token(request)).headers()
        names = ("limit", "remaining", "used", "reset")
        return _json({"resources": {"core": {name: int(core[f"x-ratelimit-{name}"]) for name in names}}})

    return Starlette(
        routes=[
            Route("/rate_limit", rate_limit),
            Route("/repos/{owner}/{name}/{endpoint}", repository),
            Route("/repositories/{number:int}/{endpoint}", repository),
        ]
    )


class GithubApi(ServedApi):
    """The replay inside a test, on a free port. Use as a context manager."""

    def __init__(
        self, now: datetime = datetime(2026, 11, 21, tzinfo=UTC), tokens: tuple[str, ...] = ("secret",)
    ) -> None:
        self.replay = Replay(tokens, lambda: self.now, keep_requests=True)
        self.now, self.faults, self.requests = now, self.replay.faults, self.replay.requests
        super().__init__(create_app(self.replay))

    @property
    def limit(self) -> int | None:
        """The requests that each client may make per hour; None for the usual number."""
        return self.replay.limit

    @limit.setter
    def limit(self, requests: int | None) -> None:
        self.replay.limit = requests
        self.replay.limits.clear()


def _answer(replay: Replay, request: Request) -> Response:
    """Answer a request for records of a repository."""
    token = _token(request)
    if "user-agent" not in request.headers:
        return _refusal(HTTPStatus.FORBIDDEN, "Request forbidden by administrative rules. Please add a User-Agent.")
    if token and token not in replay.tokens:
        return _refusal(HTTPStatus.UNAUTHORIZED, "Bad credentials")
    limit = replay.limit_of(token)
    if not limit.take():
        message = "API rate limit exceeded. Check out the documentation for more details."
        return _refusal(HTTPStatus.FORBIDDEN, message, limit.headers())
    with _refusals() as refused:
        body, links = _page(replay, request)
    if refused:
        answer = refused[0]
        answer.headers.update(limit.headers())
        return answer
    etag = f'W/"{hashlib.sha256(body).hexdigest()}"'
    headers = {**limit.headers(), "etag": etag, "cache-control": "private, max-age=60, s-maxage=60"}
    if request.headers.get("if-none-match") == etag:
        if token:  # a conditional request costs nothing if it has a token
            limit.used -= 1
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={**limit.headers(), "etag": etag})
    if links:
        headers["link"] = links
    return Response(body, media_type="application/json; charset=utf-8", headers=headers)


class _RefusedError(Exception):
    def __init__(self, answer: Response) -> None:
        super().__init__()
        self.answer = answer


@contextmanager
def _refusals() -> Iterator[list[Response]]:
    refused: list[Response] = []
    try:
        yield refused
    except _RefusedError as error:
        refused.append(error.answer)


def _page(replay: Replay, request: Request) -> tuple[bytes, str]:
    """Return the body of one page, and its Link header."""
    name, endpoint = _repository(replay, request), request.path_params["endpoint"]
    if name in replay.renamed or name == MOVED:
        target = f"repositories/{number_of(replay.renamed[name])}" if name in replay.renamed else f"repos/{_MOVED_TO}"
        address = f"{_base(request)}/{target}/{endpoint}?{request.url.query}"
        raise _RefusedError(RedirectResponse(address, HTTPStatus.MOVED_PERMANENTLY))
    if name == EMPTY and endpoint == "commits":
        raise _RefusedError(_refusal(HTTPStatus.CONFLICT, "Git Repository is empty."))
    if name not in replay.history and name != EMPTY:
        raise _RefusedError(_refusal(HTTPStatus.NOT_FOUND, "Not Found"))
    records = _records(replay, request, name, endpoint)
    size, page = _whole(request, "per_page", _PAGE), _whole(request, "page", 1)
    size = max(1, min(size, _MOST))
    last = max(1, -(-len(records) // size))
    shown = records[(page - 1) * size : page * size]
    if replay.heaviest_page is not None and len(shown) > replay.heaviest_page:
        raise _RefusedError(_refusal(HTTPStatus.BAD_GATEWAY, "Server Error"))
    return json.dumps(shown, separators=(",", ":")).encode(), _links(request, page, last)


def _repository(replay: Replay, request: Request) -> str:
    """Return the name of the requested repository, which the path gives by name or number."""
    parameters = request.path_params
    if "number" not in parameters:
        return f"{parameters['owner']}/{parameters['name']}"
    return next((name for name in replay.history if number_of(name) == parameters["number"]), "")


def _records(replay: Replay, request: Request, name: str, endpoint: str) -> list[Record]:
    """Return all records of the listing, in their current state."""
    records = _recorded(replay, request, name, endpoint)
    return replay.edit(endpoint, records) if replay.edit else records


def _recorded(replay: Replay, request: Request, name: str, endpoint: str) -> list[Record]:
    now = replay.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    happened = [commit for commit in replay.history.get(name, []) if commit.committed_at <= now]
    since, until = _moment(request, "since"), _moment(request, "until")
    base = _base(request)
    match endpoint:
        case "commits":
            asked = [
                c for c in reversed(happened) if since <= c.committed_at and (not until or c.committed_at <= until)
            ]
            return [commit_answer(commit, base, _WEB) for commit in asked]
        case "issues":
            state = request.query_params.get("state", "open")
            issues = [issue for issue in issue_answers(happened, base, _WEB) if issue["updated_at"] >= since]
            return [issue for issue in issues if state in {"all", issue["state"]}]
        case "events":
            return event_answers(happened[-_MOST_EVENTS:], base)
        case _:
            raise _RefusedError(_refusal(HTTPStatus.NOT_FOUND, "Not Found"))


def _links(request: Request, page: int, last: int) -> str:
    pages = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
    if page <= 1:
        del pages["prev"], pages["first"]
    if page >= last:
        del pages["next"], pages["last"]
    address = f"{_base(request)}{request.url.path}"
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
        return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        refusal = _refusal(HTTPStatus.UNPROCESSABLE_ENTITY, f"Validation Failed: {name} is no ISO 8601 time")
        raise _RefusedError(refusal) from None


def _token(request: Request) -> str:
    return request.headers.get("authorization", "").removeprefix("Bearer ").removeprefix("token ")


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(content), status, headers, "application/json; charset=utf-8")


def _refusal(status: HTTPStatus, message: str, headers: dict[str, str] | None = None) -> Response:
    return _json({"message": message, "documentation_url": _DOCS, "status": str(status.value)}, status.value, headers)
