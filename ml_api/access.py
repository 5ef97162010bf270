"""Access to the service: callers send its token. Middleware, so that a route that is added later needs it too."""

from __future__ import annotations

import hmac
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

# Health checks and Prometheus send no token, and neither page says anything of a request or a model's content. The
# documentation is the same for every installation.
OPEN_PATHS = frozenset({"/health", "/metrics", "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"})

_NOT_SET = "the service has no token, so it refuses every request: set ML_API_TOKEN and start it again"
_REFUSED = "send the service's token: Authorization: Bearer <ML_API_TOKEN>"


class RequireToken:
    """Answers 401 to every request without the token, except on `OPEN_PATHS`. The body is not read before.

    Args:
        app: the application behind it.
        token: the secret; empty: no request is let through.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or self._is_sent(scope):
            await self._app(scope, receive, send)
            return
        detail = _REFUSED if self._token else _NOT_SET
        refusal = JSONResponse({"detail": detail}, HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": "Bearer"})
        await refusal(scope, receive, send)

    def _is_sent(self, scope: Scope) -> bool:
        scheme, _, sent = Headers(scope=scope).get("authorization", "").partition(" ")
        # Compared in constant time: how long it takes says nothing of how much was right.
        same = hmac.compare_digest(sent.strip().encode(), self._token)
        return bool(self._token) and scheme.lower() == "bearer" and same
