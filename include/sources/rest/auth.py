"""Credentials of a connection: how they are sent with each request, and that they are never shown.

What belongs here: the headers and the parameter of each type of `auth`, the token of OAuth2, and all spellings of a
secret that must be hidden. What does not: sending requests (`client`).
"""

from __future__ import annotations

import base64
import html
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, urlencode

from pydantic import SecretStr

from include.errors import PermanentError
from include.sources.definition import ApiKey, Auth, Basic, Bearer, OAuth2
from include.sources.rest.targets import with_param, without
from include.stores.http import checked_token
from include.stores.http_response import FailedAttemptError, retry_after

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.stores.http import HttpClient, Service
    from include.stores.http_response import Response

# A token is renewed before it expires: a request may be on its way for so long.
_BEFORE_EXPIRY_SECONDS = 30.0
_TOKEN = re.compile(r"[!-~]{1,20000}")
_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?")


@dataclass(frozen=True)
class ApiConnection:
    """An Airflow connection of a REST source.

    Attributes:
        url: address of the API with scheme and, if it has one, path: https://api.example.org/v2.
        login: of basic auth; the client's id of OAuth2.
        password: token, key, password, or the client's secret.
    """

    url: str
    login: str = ""
    password: SecretStr = field(default_factory=lambda: SecretStr(""))


class Credentials:
    """Adds the credentials of a connection to requests, and has the client hide them.

    Args:
        auth: how they are sent; None: they are not.
        connection: where they are.
        service: the API, as errors name it.
        http: hides the secrets in errors, logs and raw copies.
        clock: returns seconds since the epoch.
    """

    def __init__(
        self,
        auth: Auth | None,
        connection: ApiConnection,
        service: Service,
        http: HttpClient,
        clock: Callable[[], float],
    ) -> None:
        """Check the credentials; no token is requested yet.

        Raises:
            PermanentError: they are missing, or cannot be sent.
        """
        self._auth, self._connection, self._service = auth, connection, service
        self._http, self._clock = http, clock
        self._token, self._renew_at = "", 0.0
        self._secrets: set[str] = set()
        self._password = connection.password.get_secret_value()
        self._hide(self._password)
        if isinstance(auth, Bearer | ApiKey):
            self._password = checked_token(connection.password, service)
            self._hide(self._password)
        if isinstance(auth, Basic | OAuth2):
            self._check_login(auth)
            pair = f"{connection.login}:{self._password}".encode()
            self._basic = f"Basic {base64.b64encode(pair).decode('ascii')}"
            self._hide(self._basic.removeprefix("Basic "))
        elif isinstance(auth, ApiKey) and not self._password and not auth.optional:
            raise self._missing("is empty: enter the API's key")

    @property
    def renews(self) -> bool:
        """Whether a token can be requested after a refusal."""
        return isinstance(self._auth, OAuth2)

    def forget_token(self) -> None:
        """Request a new token with the next request, because the API refuses this one."""
        self._token = ""

    def headers(self, send: Callable[..., Response]) -> dict[str, str]:
        """Return the headers of a request.

        Args:
            send: sends a request for a token, as `HttpClient.send` does.

        Raises:
            FailedAttemptError: there is no token now.
            PermanentError: the API refuses to give one.
        """
        match self._auth:
            case Bearer() if self._password:
                return {"Authorization": f"Bearer {self._password}"}
            case ApiKey(placed="header", name=name) if self._password:
                return {name: self._password}
            case Basic():
                return {"Authorization": self._basic}
            case OAuth2() as auth:
                if not self._token or self._clock() >= self._renew_at:
                    self._request_token(auth, send)
                return {"Authorization": f"Bearer {self._token}"}
        return {}

    def signed(self, target: str) -> str:
        """Return a target with the key, if the key is a parameter. Only requests may contain it."""
        if isinstance(self._auth, ApiKey) and self._auth.placed == "query" and self._password:
            return with_param(target, self._auth.name, self._password)
        return target

    def unsigned(self, target: str) -> str:
        """Return a target, for example of a link in an answer, without parameters that hold a secret."""
        key = self._auth.name if isinstance(self._auth, ApiKey) and self._auth.placed == "query" else None
        return without(target, lambda name, value: name == key or value in self._secrets)

    def _request_token(self, auth: OAuth2, send: Callable[..., Response]) -> None:
        form = {"grant_type": "client_credentials"} | ({"scope": auth.scope} if auth.scope else {})
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if auth.placed == "body":
            form |= {"client_id": self._connection.login, "client_secret": self._password}
        else:
            headers["Authorization"] = self._basic
        response = send("POST", auth.token_path, urlencode(form).encode("ascii"), headers)
        if response.status == 429:
            wait = retry_after(response.headers, self._clock()) or 0.0
            raise FailedAttemptError("it answered with status 429", response.request, response.status, wait)
        if not 200 <= response.status < 300:
            raise self._http.refusal(response)
        answer = response.json()
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise FailedAttemptError("its answer has no access_token", response.request)
        self._token = token
        self._hide(token)
        expires = str(answer.get("expires_in"))
        seconds = float(expires) if _SECONDS.fullmatch(expires) else 1e9
        self._renew_at = self._clock() + seconds - min(_BEFORE_EXPIRY_SECONDS, seconds / 10)

    def _check_login(self, auth: Basic | OAuth2) -> None:
        if isinstance(auth, OAuth2) and not (self._connection.login and self._password):
            raise self._missing("and its login are the client's secret and id: enter both")
        if not (self._connection.login or self._password):
            raise self._missing("and its login are empty: enter both")

    def _missing(self, what: str) -> PermanentError:
        message = f"{self._service.token} {what}."
        return PermanentError(self._service.refused, message)

    def _hide(self, secret: str) -> None:
        if not secret:
            return
        self._secrets.add(secret)
        encoded = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
        self._http.hide(secret, *encoded, secret.replace("/", r"\/"), html.escape(secret))
