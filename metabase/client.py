"""The client of Metabase's REST API: wait for its start, log in, requests with timeouts and retries, errors.

What belongs here: one request until it is answered. What does not: which requests are sent (see
`metabase.provisioner`). Messages contain no secrets: they are removed from the server's answers.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Self

import httpx
from tenacity import (
    RetryCallState,
    RetryError,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from include.errors import Code, PermanentError, RetryableError
from metabase import bodies

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from metabase.bodies import Body
    from metabase.settings import MetabaseSettings

log = logging.getLogger(__name__)

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_RETRIED = {httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS}
_REMEDIES: dict[int, str] = {
    401: "Check METABASE_ADMIN_EMAIL and METABASE_ADMIN_PASSWORD.",
    403: "METABASE_ADMIN_EMAIL must be an administrator.",
    404: "Check METABASE_URL and Metabase's version.",
}


class _FailedTryError(Exception):
    """A try failed; the request may be tried again."""


class MetabaseClient:
    """Sends requests to one Metabase as its admin. `writes` counts those that change something, without logins.

    Args:
        settings: address, admin, timeouts and tries.
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
        url = _checked(settings)
        self._settings, self._sleep, self._clock = settings, sleep, clock
        self.writes = 0
        self._session = ""
        self._client = httpx.Client(
            base_url=url,
            headers={"User-Agent": "filegate"},
            timeout=httpx.Timeout(settings.read_timeout_seconds, connect=settings.connect_timeout_seconds),
            follow_redirects=False,
            # A proxy of the environment is not used for loopback.
            trust_env=url.host not in _LOOPBACK,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

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
                raise _FailedTryError("another process has created the first admin") from error

        self._tried(try_once)
        return made

    def get(self, path: str) -> Any:
        """Return the object at a path. A 404 is retried, because an object may appear a moment after it was created.

        Raises:
            RetryableError: all tries failed.
            PermanentError: Metabase refuses the request.
        """

        def look() -> Any:
            found = self._send("GET", path)
            if found is None:
                raise _FailedTryError(f"{path} does not exist")
            return found

        return self._tried(look)

    def find(self, path: str) -> Any | None:
        """Return the object at a path, or None if it does not exist. Raises what `get` does."""
        return self._tried(lambda: self._send("GET", path))

    def update(self, path: str, body: Body) -> None:
        """Change the object at a path. Raises what `get` does."""

        def put() -> None:
            if self._write("PUT", path, body) is None:
                raise _FailedTryError(f"{path} does not exist")

        self._tried(put)

    def create(self, path: str, body: Body, find: Callable[[], Body | None]) -> Body:
        """Create an object, exactly once.

        Args:
            path: of the POST request.
            body: of the object.
            find: looks for the object. Called before each retry, because a try with an error may have created it.

        Raises:
            RetryableError: all tries failed.
            PermanentError: Metabase refuses the request.
        """
        tries = 0

        def make() -> Body:
            nonlocal tries
            tries += 1
            found = find() if tries > 1 else None
            if found is None:
                found = self._write("POST", path, body)
            if not isinstance(found, dict) or "id" not in found:
                raise _FailedTryError(f"the answer of POST {path} has no id")
            return found

        made: Body = self._tried(make)
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
            except _FailedTryError as error:
                last = str(error)
            if self._clock() >= deadline:
                raise RetryableError(
                    Code.SERVICE_UNAVAILABLE,
                    f"Metabase has not started within {self._settings.start_seconds:g} seconds: {last}.",
                    url=self._shown,
                )
            log.info("Metabase is not ready: %s", last)
            self._sleep(self._settings.poll_seconds)

    def _properties(self) -> Body:
        found = self._answer("GET", "/api/session/properties", self._raw("GET", "/api/session/properties"))
        if not isinstance(found, dict):
            raise _FailedTryError("the answer of /api/session/properties is no JSON object")
        return found

    def _set_up(self, token: str) -> None:
        body = bodies.setup(self._settings, token)
        self.writes += 1
        self._keep_session(self._answer("POST", "/api/setup", self._raw("POST", "/api/setup", body)))

    def _log_in(self) -> None:
        body = bodies.login(self._settings)
        self._keep_session(self._answer("POST", "/api/session", self._raw("POST", "/api/session", body)))

    def _keep_session(self, answer: Any) -> None:
        if not isinstance(answer, dict) or not isinstance(answer.get("id"), str):
            raise _FailedTryError("the answer of the login has no session id")
        self._session = answer["id"]

    # One request

    def _write(self, method: str, path: str, body: Body) -> Any | None:
        self.writes += 1
        return self._send(method, path, body)

    def _send(self, method: str, path: str, body: Body | None = None) -> Any | None:
        """Return the answer, or None for 404. If the session has expired, log in again, once."""
        response = self._raw(method, path, body)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            self._log_in()
            response = self._raw(method, path, body)
        if response.status_code == httpx.codes.NOT_FOUND and method != "POST":
            return None
        return self._answer(method, path, response)

    def _raw(self, method: str, path: str, body: Body | None = None) -> httpx.Response:
        headers = {"X-Metabase-Session": self._session} if self._session else {}
        try:
            response = self._client.request(method, path, json=body, headers=headers)
        except httpx.TimeoutException as error:
            raise _FailedTryError(f"{method} {path}: {type(error).__name__}") from error
        except httpx.RequestError as error:
            raise _FailedTryError(f"{method} {path}: {type(error).__name__}: {error}") from error
        if response.status_code >= 500 or response.status_code in _RETRIED:
            raise _FailedTryError(f"{method} {path}: status {response.status_code}: {self._shown_text(response)}")
        return response

    def _answer(self, method: str, path: str, response: httpx.Response) -> Any:
        status = response.status_code
        if not response.is_success:
            remedy = _REMEDIES.get(status, "")
            message = f"Metabase refuses {method} {path} with status {status}: {self._shown_text(response)}. {remedy}"
            raise PermanentError(
                Code.SERVICE_REFUSED, message.rstrip(), url=self._shown, status=status
            )  # fmt: skip
        try:
            return response.json() if response.content else {}
        except ValueError as error:
            raise _FailedTryError(f"{method} {path}: the answer is no JSON") from error

    def _tried(self, call: Callable[[], Any]) -> Any:
        tries = Retrying(
            retry=retry_if_exception_type(_FailedTryError),
            stop=stop_after_attempt(self._settings.attempts),
            wait=wait_random_exponential(
                multiplier=self._settings.backoff_seconds, max=self._settings.backoff_max_seconds
            ),
            sleep=self._sleep,
            before_sleep=self._log_failure,
        )
        try:
            return tries(call)
        except RetryError as error:
            raise self._given_up(error.last_attempt.exception()) from error.last_attempt.exception()

    def _given_up(self, error: BaseException | None) -> RetryableError:
        return RetryableError(
            Code.SERVICE_UNAVAILABLE,
            f"Metabase: a request failed in all {self._settings.attempts} tries. The last error: {error}.",
            url=self._shown,
        )

    def _log_failure(self, state: RetryCallState) -> None:
        log.warning(
            "Metabase, try %d of %d failed: %s; the next try is in %.1f s",
            state.attempt_number,
            self._settings.attempts,
            state.outcome.exception() if state.outcome else None,
            state.upcoming_sleep,
        )

    @property
    def _shown(self) -> str:
        return str(self._client.base_url).rstrip("/")

    def _shown_text(self, response: httpx.Response) -> str:
        """Return the beginning of the server's answer, on one line and without secrets."""
        text = " ".join(response.text.split())
        secrets = (
            self._settings.admin_password.get_secret_value(),
            self._settings.warehouse_password.get_secret_value(),
            self._session,
        )
        for secret in filter(None, secrets):
            text = text.replace(secret, "***")
        return text[:300] or "(empty answer)"


def _checked(settings: MetabaseSettings) -> httpx.URL:
    try:
        url = httpx.URL(settings.url)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo or url.query:
        raise PermanentError(
            Code.SERVICE_REFUSED, "METABASE_URL must be http://host:port or https, without user and password."
        )
    for name in ("admin_password", "warehouse_password"):
        if not getattr(settings, name).get_secret_value():
            raise PermanentError(Code.SERVICE_REFUSED, f"METABASE_{name.upper()} is empty.")
    return url
