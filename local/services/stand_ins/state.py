"""The state of the server: its clock, its limits, and what a test changes.

What belongs here: what the APIs share. What does not: answers (the modules of the APIs), HTTP (`server`).
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from local.services.stand_ins.rate_limit import RateLimit
from local.services.stand_ins.service import KEY
from local.services.stand_ins.values import Values

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from local.services.served_api import Asked, Fault
    from local.services.stand_ins.github import Repositories

    Answer = Callable[["State", Request], Response]


class RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, answer: Response) -> None:
        super().__init__(answer.status_code)
        self.answer = answer


@dataclass
class State:
    """The state of one server.

    Attributes:
        seed: of all values.
        now: the server's clock, in seconds since 1970.
        keys: the accepted keys of APIs that have keys.
        faults: failures that replace answers.
        requests: the received requests, if `keep_requests`.
        before: is called with each request before it is answered.
        lowered: other numbers of requests for the limits, by their name.
        limits: the counts of the current windows, by name and client.
        refused: how many requests were refused in a row, by API.
        banned_until: when clients may ask again, by API, in seconds since 1970.
    """

    seed: int = 0
    now: Callable[[], float] = time.time
    keys: tuple[str, ...] = (KEY,)
    faults: list[Fault] = field(default_factory=list)
    requests: list[Asked] = field(default_factory=list)
    keep_requests: bool = False
    before: Callable[[Asked], None] | None = None
    lowered: dict[str, int] = field(default_factory=dict)
    limits: dict[tuple[str, str], RateLimit] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    banned_until: dict[str, float] = field(default_factory=dict)

    @cached_property
    def values(self) -> Values:
        """The numbers of this seed."""
        return Values(self.seed)

    @cached_property
    def repositories(self) -> Repositories:
        """Those of GitHub's API."""
        from local.services.stand_ins.github import Repositories

        return Repositories()

    def limit(self, name: str, requests: int, seconds: int = 60, client: str = "") -> RateLimit:
        """The limit of a name for one client.

        Args:
            name: of the limit, such as that of an API.
            requests: in a window; `lowered` has precedence.
            seconds: of a window.
            client: its key, if the limit is by key.
        """
        found = self.limits.setdefault((name, client), RateLimit(requests, self.now, seconds=seconds))
        found.limit = self.lowered.get(name, requests)
        return found

    def reset(self) -> None:
        """Forget what a test has changed and what clients have done; the clock stays."""
        for kept in (self.faults, self.requests, self.lowered, self.limits, self.refused, self.banned_until):
            kept.clear()
        self.before = None
        self.__dict__.pop("repositories", None)


def json_answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer with the content as JSON."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(text, status, headers, "application/json; charset=utf-8")


def listed(request: Request, name: str) -> list[str]:
    """The values of a parameter: separated by commas, or given several times."""
    return [one for text in request.query_params.getlist(name) for one in text.split(",") if one]
