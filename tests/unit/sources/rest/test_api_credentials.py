"""Each type of auth: how credentials are sent, tokens of OAuth2, and secrets, which are shown nowhere."""

from __future__ import annotations

import base64
import json
import logging
import pickle
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from shop_reader import Shop, make_source

from include.errors import Code, PermanentError, RetryableError
from include.sources.listing import Position
from tests.scripted_api import Asked, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.scripted_api import ScriptedApi

pytestmark = pytest.mark.unit

SECRET = "s3cret/+=&key"
RECORDS = [{"id": 1}]


def basic(login: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{login}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("auth", "name", "value"),
    [
        pytest.param({"type": "bearer"}, "authorization", f"Bearer {SECRET}", id="bearer"),
        pytest.param(
            {"type": "api_key", "in": "header", "name": "X-Api-Key"}, "x-api-key", SECRET, id="key in a header"
        ),
        pytest.param({"type": "basic"}, "authorization", basic("me", SECRET), id="basic"),
        pytest.param(None, "authorization", None, id="none"),
    ],
)
def test_credentials_are_sent_in_a_header(
    shop: Shop, api: ScriptedApi, auth: Any, name: str, value: str | None
) -> None:
    shop.login, shop.password = "me", SECRET
    api.answers = [Reply(RECORDS)]
    assert shop.read(make_source(auth=auth)).error is None
    [asked] = api.requests
    assert (asked.target, asked.headers.get(name)) == ("/orders", value)


def test_password_of_basic_may_have_any_character(shop: Shop, api: ScriptedApi) -> None:
    shop.login, shop.password = "mé", "pass: wörd"
    api.answers = [Reply(RECORDS)]
    shop.read(make_source(auth={"type": "basic"}))
    assert api.requests[0].headers["authorization"] == basic("mé", "pass: wörd")


def test_key_is_a_parameter_of_every_page(shop: Shop, api: ScriptedApi) -> None:
    shop.password = SECRET
    auth = {"type": "api_key", "in": "query", "name": "api-key"}
    api.answers = lambda asked: Reply({"data": [{"id": asked.params["page"]}] if asked.params["page"] < "3" else []})
    keys: dict[str, Any] = {"pagination": {"type": "page_number"}, "records": "data"}
    shop.read(make_source(auth=auth, request={"params": {"a": "b"}}, **keys))
    assert [asked.params for asked in api.requests] == [
        {"a": "b", "page": page, "api-key": SECRET} for page in ("1", "2", "3")
    ]


def test_optional_key_that_is_missing_is_not_sent(shop: Shop, api: ScriptedApi) -> None:
    api.answers = [Reply(RECORDS)]
    auth = {"type": "api_key", "in": "query", "name": "key", "optional": True}
    assert shop.read(make_source(auth=auth)).error is None
    assert api.targets == ["/orders"]


@pytest.mark.parametrize(
    ("auth", "password", "why"),
    [
        ({"type": "api_key", "in": "query", "name": "key"}, "", "password of the connection source_shop is empty"),
        ({"type": "basic"}, "", "and its login are empty"),
        ({"type": "oauth2", "tokenPath": "/token"}, "x", "the client's secret and id"),
        ({"type": "bearer"}, "s3cret key", "password of the connection source_shop is not a token"),
        ({"type": "api_key", "in": "header", "name": "key"}, "s3cret\nkey", "is not a token"),
    ],
)
def test_credentials_that_cannot_be_sent_are_refused_at_once(
    shop: Shop, api: ScriptedApi, auth: Any, password: str, why: str
) -> None:
    shop.password = password
    with pytest.raises(PermanentError, match=why) as refusal:
        shop.read(make_source(auth=auth))
    assert refusal.value.code is Code.SOURCE_REFUSED
    assert "s3cret" not in str(refusal.value)
    assert api.requests == []


def test_address_may_have_a_path(shop: Shop, api: ScriptedApi) -> None:
    shop.path = "/v2/"
    api.answers = [Reply(RECORDS)]
    shop.read(make_source())
    assert api.targets == ["/v2/orders"]


# OAuth2


def token_server(*statuses: int, expires_in: Any = 3600) -> Callable[[Asked], Reply]:
    """Gives token-1, token-2 ...; the requests with a token are answered with these statuses, then with 200."""
    given: list[str] = []
    left = list(statuses)

    def answer(asked: Asked) -> Reply:
        if asked.path == "/oauth/token":
            given.append(f"token-{len(given) + 1}")
            return Reply({"access_token": given[-1], "token_type": "bearer", "expires_in": expires_in})
        status = left.pop(0) if left else 200
        return Reply([{"id": int(asked.params.get("page", 1))}], status)

    return answer


def oauth(**keys: Any) -> dict[str, Any]:
    return {"auth": {"type": "oauth2", "tokenPath": "/oauth/token", **keys}}


@pytest.mark.parametrize("placed", ["header", "body"])
def test_client_credentials_are_exchanged_for_a_token(shop: Shop, api: ScriptedApi, placed: str) -> None:
    shop.login, shop.password = "the id", SECRET
    api.answers = token_server()
    assert shop.read(make_source(**oauth(**{"in": placed, "scope": "read all"}))).error is None
    token, records = api.requests
    form = Asked("", "?" + token.body.decode(), {}, b"").params
    expected = {"grant_type": "client_credentials", "scope": "read all"}
    if placed == "body":
        expected |= {"client_id": "the id", "client_secret": SECRET}
    assert (token.method, token.path, form) == ("POST", "/oauth/token", expected)
    assert token.headers.get("authorization") == (basic("the id", SECRET) if placed == "header" else None)
    assert token.headers["content-type"] == "application/x-www-form-urlencoded"
    assert records.headers["authorization"] == "Bearer token-1"
    assert shop.traffic.requests == 2


def tokens(api: ScriptedApi) -> list[str]:
    return [asked.headers["authorization"] for asked in api.requests if asked.path != "/oauth/token"]


@pytest.mark.parametrize("expires_in", [3600, None, "3600", "soon", -1])
def test_token_is_used_for_all_pages_and_renewed_once_after_a_401(
    shop: Shop, api: ScriptedApi, expires_in: Any
) -> None:
    shop.login, shop.password = "id", SECRET
    api.answers = token_server(200, 401, expires_in=expires_in)
    keys: dict[str, Any] = {"pagination": {"type": "page_number"}, "limits": {"pages": 3}}
    listing = shop.read(make_source(**oauth(), **keys))
    assert listing.error is None
    assert tokens(api) == ["Bearer token-1", "Bearer token-1", "Bearer token-2", "Bearer token-2"]
    assert shop.sunk.ids == [1, 2, 3]
    assert shop.traffic.retries == 1


def test_token_that_is_refused_again_ends_the_run(shop: Shop, api: ScriptedApi) -> None:
    shop.login, shop.password = "id", SECRET
    api.answers = token_server(401, 401)
    error = shop.read(make_source(**oauth())).error
    assert isinstance(error, PermanentError)
    assert "Check login and password of the connection source_shop" in error.message
    assert tokens(api) == ["Bearer token-1", "Bearer token-2"]


def test_token_is_renewed_before_it_expires(shop: Shop, api: ScriptedApi) -> None:
    shop.login, shop.password = "id", SECRET
    # Each wait for the limit takes the token's time.
    answer = token_server(expires_in=100)

    def limited(asked: Asked) -> Reply:
        reply = answer(asked)
        left = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "45"}
        return reply if asked.path == "/oauth/token" else Reply(reply.body, 200, dict(left))

    api.answers = limited
    keys: dict[str, Any] = {"pagination": {"type": "page_number"}, "limits": {"pages": 4}}
    shop.read(make_source(**oauth(), **keys))
    assert tokens(api) == ["Bearer token-1", "Bearer token-1", "Bearer token-2", "Bearer token-2"]


def test_401_without_oauth2_is_a_refusal(shop: Shop, api: ScriptedApi) -> None:
    shop.password = SECRET
    api.answers = [Reply({"message": "who?"}, 401)]
    error = shop.read(make_source(auth={"type": "bearer"})).error
    assert isinstance(error, PermanentError)
    assert "status 401: who?. Check login and password" in error.message
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    ("reply", "kind", "why"),
    [
        (Reply({"error": "invalid_client"}, 401), PermanentError, "refuses POST /oauth/token with status 401: invalid"),
        (Reply({"error": "x"}, 400), PermanentError, "refuses POST /oauth/token with status 400"),
        (Reply("", 503), RetryableError, "POST /oauth/token: it answered with status 503"),
        (Reply("", 429), RetryableError, "POST /oauth/token: it answered with status 429"),
        (Reply("<html>", 200), RetryableError, "POST /oauth/token: its answer is not JSON"),
        (Reply({"token": "x"}), RetryableError, "its answer has no access_token"),
        (Reply({"access_token": "a b"}), RetryableError, "its answer has no access_token"),
        (Reply(["access_token"]), RetryableError, "its answer has no access_token"),
    ],
)
def test_server_that_gives_no_token(
    shop: Shop, api: ScriptedApi, reply: Reply, kind: type[Exception], why: str
) -> None:
    shop.login, shop.password = "id", SECRET
    api.answers = lambda _: reply
    error = shop.read(make_source(**oauth())).error
    assert isinstance(error, kind)
    assert why in error.message
    assert len(api.requests) == (1 if kind is PermanentError else 5)


# Secrets


def shown(shop: Shop, error: BaseException, caplog: pytest.LogCaptureFixture) -> str:
    texts = [str(error), repr(error), repr(pickle.loads(pickle.dumps(error))), caplog.text, repr(shop.sunk)]
    # Without the lines of code, which have the test's own constant.
    lines = "".join(traceback.format_exception(error)).splitlines()
    return "\n".join([*texts, *(line for line in lines if not line.startswith("    "))])


SPELLINGS = [SECRET, "s3cret%2F%2B%3D%26key", "s3cret/%2B%3D%26key", r"s3cret\/+=&key", "s3cret/+=&amp;key"]
AUTHS = {
    "bearer": {"type": "bearer"},
    "header": {"type": "api_key", "in": "header", "name": "key"},
    "query": {"type": "api_key", "in": "query", "name": "key"},
    "basic": {"type": "basic"},
    "none": None,
}


@pytest.mark.parametrize("auth", AUTHS.values(), ids=AUTHS)
@pytest.mark.parametrize("status", [200, 400, 429, 503])
def test_secrets_are_in_no_error_and_no_log(
    shop: Shop, api: ScriptedApi, caplog: pytest.LogCaptureFixture, auth: Any, status: int
) -> None:
    caplog.set_level(logging.DEBUG)
    shop.login, shop.password = "me", SECRET
    body = " ".join([*SPELLINGS, basic("me", SECRET), "visible"])
    api.answers = lambda _: Reply(body, status, {"Retry-After": "9999"} if status == 429 else {})
    error = shop.read(make_source(auth=auth)).error
    assert error is not None
    text = shown(shop, error, caplog)
    assert "visible" in text
    hidden = [*SPELLINGS, *([basic("me", SECRET)[6:]] if auth == {"type": "basic"} else [])]
    assert [secret for secret in hidden if secret in text] == []


@pytest.mark.parametrize("where", ["link", "answer"])
def test_key_in_a_link_is_neither_kept_nor_stored(
    shop: Shop, api: ScriptedApi, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    caplog.set_level(logging.DEBUG)
    shop.password = "k3y"
    auth = {"type": "api_key", "in": "query", "name": "key"}

    def answer(asked: Asked) -> Reply:
        number = int(asked.params.get("page", 1))
        following = f"{api.url}/orders?key=k3y&page={number + 1}"
        body = {"data": [{"id": number, "self": f"/orders/{number}?key=k3y"}], "next": following}
        return Reply(body, 200, {"Link": f'<{following}>; rel="next"'})

    api.answers = answer
    pagination = {"type": "link_header"} if where == "link" else {"type": "json_link", "nextPath": "next"}
    source = make_source(auth=auth, pagination=pagination, records="data", limits={"pages": 2}, conditional=True)
    first = shop.read(source)
    assert first.position.next_page is not None
    assert "k3y" not in repr((first, shop.sunk)) + caplog.text
    assert json.loads(shop.sunk.lines[0]) == {"id": 1, "self": "/orders/1?key=***"}
    assert b"/orders/1?key=***" in shop.sunk.answers[0][1]
    second = shop.read(source, first.position)
    assert shop.sunk.ids == [3, 4]
    assert [asked.params for asked in api.requests[1:]] == [{"page": n, "key": "k3y"} for n in ("2", "3", "4")]
    assert "k3y" not in repr((second, shop.sunk)) + caplog.text


def test_token_of_a_link_is_not_stored(shop: Shop, api: ScriptedApi) -> None:
    shop.password = SECRET
    link = "/orders?after={}&access_token=s3cret%2F%2B%3D%26key"
    api.answers = lambda _: Reply({"data": [{"id": len(api.requests)}], "next": link.format(len(api.requests))})
    keys: dict[str, Any] = {"pagination": {"type": "json_link", "nextPath": "next"}, "records": "data"}
    listing = shop.read(make_source(auth={"type": "bearer"}, limits={"pages": 2}, **keys))
    assert api.targets == ["/orders", "/orders?after=1"]
    assert json.loads(listing.position.next_page or "")["target"] == "/orders?after=2"


def test_new_token_is_hidden_too(shop: Shop, api: ScriptedApi, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shop.login, shop.password = "id", SECRET
    answer = token_server()
    api.answers = lambda asked: answer(asked) if asked.path == "/oauth/token" else Reply("refused token-1", 400)
    error = shop.read(make_source(**oauth())).error
    assert error is not None
    text = shown(shop, error, caplog)
    assert "refused ***" in text
    assert "token-1" not in text


def test_secret_that_is_a_part_of_values_is_replaced_with_a_warning(
    shop: Shop, api: ScriptedApi, caplog: pytest.LogCaptureFixture
) -> None:
    shop.login, shop.password = "me", "ad"
    api.answers = [Reply([{"id": "admin"}]), Reply([{"id": "ad"}]), Reply([])]
    shop.read(make_source(auth={"type": "basic"}, pagination={"type": "page_number"}))
    assert shop.sunk.ids == ["***min", "***"]
    [warning] = [record.getMessage() for record in caplog.records if "secret" in record.getMessage()]
    assert "/orders: an answer has a secret of the connection source_shop in it" in warning
    assert "use a longer one" in warning


def test_answer_without_a_secret_is_kept_as_it_is(shop: Shop, api: ScriptedApi) -> None:
    shop.password = SECRET
    body = b'\xef\xbb\xbf[{"id": 1.50,\r\n"t": "\xff"}] '
    api.answers = [Reply(body)]
    listing = shop.read(make_source(auth={"type": "bearer"}))
    assert shop.sunk.answers == [(1, body)]
    assert shop.sunk.lines == [b'{"id": 1.50,\t\t"t": "\xff"}']
    assert (listing.records_read, listing.pages, listing.position) == (1, 1, Position())
