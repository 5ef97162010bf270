"""Access control: callers send the service's token. It is middleware, so that every new route requires the token."""

from __future__ import annotations

import hmac
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

# Health checks and Prometheus send no token; these pages show nothing of requests or of a model's content. The
# documentation is the same for every installation.
OPEN_PATHS = frozenset({"/health", "/metrics", "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"})

_NOT_SET = "the service has no token, so it refuses every request: set ML_API_TOKEN and start it again"
_REFUSED = "send the service's token: Authorization: Bearer <ML_API_TOKEN>"


class RequireToken:
    """Answers 401 to every request without the token, except on `OPEN_PATHS`, before the body is read.

    Args:
        app: the wrapped application.
        token: the secret; if it is empty, every request is refused.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or self._is_sent(scope):
            await self._app(scope, receive, send)
            return
        detail = _REFUSED if self._token else _NOT_SET
        refusal = JSONResponse({"detail": detail}, HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": "Bearer"})
        await refusal(scope, receive, send)

    def _is_sent(self, scope: Scope) -> bool:
        scheme, _, sent = Headers(scope=scope).get("authorization", "").partition(" ")
        # Compared in constant time, against timing attacks.
        same = hmac.compare_digest(sent.strip().encode(), self._token)
        return bool(self._token) and scheme.lower() == "bearer" and same
