"""The client of Metabase's REST API: wait for its start, log in, find, create and change objects.

What belongs here: what a response means, and which requests may be repeated. What does not: attempts and their errors
(`include.stores.http`), and which requests are sent (`metabase.provisioner`).
"""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any, Self

import httpx

from include.errors import Code, PermanentError, RetryableError
from include.stores.http import Address, HttpClient, Policy, Service
from include.stores.http_response import FailedAttemptError, Response
from metabase import bodies

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from metabase.bodies import Body
    from metabase.settings import MetabaseSettings

log = logging.getLogger(__name__)

_SERVICE = Service(
    "Metabase",
    Code.SERVICE_UNAVAILABLE,
    Code.SERVICE_REFUSED,
    "METABASE_URL",
    "The session",
    remedies={
        401: "Check METABASE_ADMIN_EMAIL and METABASE_ADMIN_PASSWORD.",
        403: "METABASE_ADMIN_EMAIL must be an administrator.",
        404: "Check METABASE_URL and Metabase's version.",
    },
)


class MetabaseClient:
    """Sends requests to one Metabase as its admin. `writes` counts those that change something, without logins.

    Args:
        settings: address, admin, timeouts and attempts.
        sleep: waits, in seconds.
        clock: returns seconds; only differences are used.
    """

    def __init__(
        self,
        settings: MetabaseSettings,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Check the settings; no request is sent.

        Raises:
            PermanentError: the address is not valid, or a password is empty.
        """
        self._settings, self._sleep, self._clock = settings, sleep, clock
        self.writes = 0
        self._session = ""
        self._http = HttpClient(_SERVICE, Address(settings.url), Policy.of(settings), sleep)
        for name in ("admin_password", "warehouse_password"):
            if not (password := getattr(settings, name).get_secret_value()):
                raise PermanentError(Code.SERVICE_REFUSED, f"METABASE_{name.upper()} is empty.")
            self._http.hide(password)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def start_session(self) -> bool:
        """Wait until Metabase has started, and log in; in a new Metabase, create the first admin.

        Returns:
            Whether the admin was created.

        Raises:
            RetryableError: it does not start within `start_seconds`, or does not answer.
            PermanentError: it refuses the admin.
        """
        self._wait()
        made = False

        def try_once() -> None:
            nonlocal made
            properties = self._properties()
            if properties.get("has-user-setup"):
                self._log_in()
                return
            try:
                self._set_up(str(properties.get("setup-token") or ""))
                made = True
            except PermanentError as error:
                # The token expires with the first user, which another process may have created.
                if not self._properties().get("has-user-setup"):
                    raise
                raise FailedAttemptError("another process has created the first admin") from error

        self._http.retry(try_once)
        return made

    def get(self, path: str) -> Any:
        """Return the object at a path. A 404 is retried, because an object may appear a moment after it was created.

        Raises:
            RetryableError: all attempts failed.
            PermanentError: Metabase refuses the request.
        """

        def look() -> Any:
            found = self._send("GET", path)
            if found is None:
                raise FailedAttemptError(f"{path} does not exist")
            return found

        return self._http.retry(look)

    def find(self, path: str) -> Any | None:
        """Return the object at a path, or None if it does not exist. Raises what `get` does."""
        return self._http.retry(lambda: self._send("GET", path))

    def update(self, path: str, body: Body) -> None:
        """Change the object at a path. Raises what `get` does."""

        def put() -> None:
            if self._write("PUT", path, body) is None:
                raise FailedAttemptError(f"{path} does not exist")

        self._http.retry(put)

    def create(self, path: str, body: Body, find: Callable[[], Body | None]) -> Body:
        """Create an object, exactly once.

        Args:
            path: of the POST request.
            body: of the object.
            find: looks for the object. Called before each retry, because an attempt with an error may have created it.

        Raises:
            RetryableError: all attempts failed.
            PermanentError: Metabase refuses the request.
        """
        attempts = 0

        def make() -> Body:
            nonlocal attempts
            attempts += 1
            found = find() if attempts > 1 else None
            if found is None:
                found = self._write("POST", path, body)
            if not isinstance(found, dict) or "id" not in found:
                raise FailedAttemptError(f"the answer of POST {path} has no id")
            return found

        made: Body = self._http.retry(make)
        return made

    # The start, and the session

    def _wait(self) -> None:
        """Wait until Metabase has started: its health check succeeds a little before other requests do."""
        deadline = self._clock() + self._settings.start_seconds
        while True:
            try:
                self._raw("GET", "/api/health")
                self._properties()
                return
            except FailedAttemptError as error:
                last = str(error)
            if self._clock() >= deadline:
                message = f"Metabase has not started within {self._settings.start_seconds:g} seconds: {last}."
                raise RetryableError(Code.SERVICE_UNAVAILABLE, message, url=self._http.url)
            log.info("Metabase is not ready: %s", last)
            self._sleep(self._settings.poll_seconds)

    def _properties(self) -> Body:
        found = self._answer(self._raw("GET", "/api/session/properties"))
        if not isinstance(found, dict):
            raise FailedAttemptError("the answer of /api/session/properties is no JSON object")
        return found

    def _set_up(self, token: str) -> None:
        body = bodies.setup(self._settings, token)
        self.writes += 1
        self._keep_session(self._answer(self._raw("POST", "/api/setup", body)))

    def _log_in(self) -> None:
        body = bodies.login(self._settings)
        self._keep_session(self._answer(self._raw("POST", "/api/session", body)))

    def _keep_session(self, answer: Any) -> None:
        if not isinstance(answer, dict) or not isinstance(answer.get("id"), str):
            raise FailedAttemptError("the answer of the login has no session id")
        self._session = answer["id"]
        self._http.hide(self._session)

    # One request

    def _write(self, method: str, path: str, body: Body) -> Any | None:
        self.writes += 1
        return self._send(method, path, body)

    def _send(self, method: str, path: str, body: Body | None = None) -> Any | None:
        """Return the answer, or None for 404. If the session has expired, log in again, once."""
        response = self._raw(method, path, body)
        if response.status == httpx.codes.UNAUTHORIZED:
            self._log_in()
            response = self._raw(method, path, body)
        if response.status == httpx.codes.NOT_FOUND and method != "POST":
            return None
        return self._answer(response)

    def _raw(self, method: str, path: str, body: Body | None = None) -> Response:
        headers = {"Content-Type": "application/json"} | (
            {"X-Metabase-Session": self._session} if self._session else {}
        )
        return self._http.send(method, path, None if body is None else json.dumps(body).encode(), headers)

    def _answer(self, response: Response) -> Any:
        if not 200 <= response.status < 300:
            raise self._http.refusal(response, url=self._http.url)
        return response.json() if response.body else {}
