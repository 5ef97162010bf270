"""The schema registry: the calls of Confluent's protocol that FileGate needs, over the base of all HTTP clients.

What belongs here: these calls, and what their answers mean. What does not: attempts, deadlines and redaction (`http`),
and the content of schemas. Confluent's own client is not used: messages are decoded by fastavro, so of its calls only
these few would be left, with other time-outs and pauses than those of the other clients.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from include.errors import Code, PermanentError, RetryableError
from include.stores.http import Address, HttpClient, Policy, Service
from include.stores.http_response import excerpt, shown

if TYPE_CHECKING:
    from include.stores.http_response import Response

POLICY = Policy(read_seconds=5.0, attempts=4, backoff_seconds=0.2, backoff_max_seconds=2.0, response_bytes=16 * 1024**2)

T = TypeVar("T")

_NOT_FOUND = 404
_HEADERS = dict.fromkeys(("Content-Type", "Accept"), "application/vnd.schemaregistry.v1+json")
# The registry's codes for a missing subject, version or schema. A 404 without one of them is a wrong address.
_MISSING = {40401, 40402, 40403}
# An id has 32 bits, signed. A registry answers larger ones as if its address were wrong.
_LARGEST_ID = 2**31 - 1
_NO_REGISTRY = "The server at SCHEMA_REGISTRY_URL is no schema registry."
# Statuses that are about the schema.
_OF_SCHEMA = {
    409: "The schema is not compatible with the latest version",
    422: "The registry says that the schema is broken",
}
_LOGIN = re.compile(r"\w+://([^/]+)@")


@dataclass(frozen=True)
class WriterSchema:
    """A schema as the registry has it. `kind` is AVRO, JSON or PROTOBUF."""

    kind: str
    text: str
    has_references: bool


class Registry:
    """Calls on one schema registry. Schemas are cached by id and GUID. Thread-safe.

    Args:
        url: its address, with user and password if it needs them. Several addresses of one registry are separated by
            commas: the next one is asked when one does not answer. The first login counts for all.
        policy: deadlines and attempts of one request.

    Raises:
        PermanentError: the address is not valid.
    """

    def __init__(self, url: str, policy: Policy = POLICY) -> None:
        self._servers = [HttpClient(_SERVICE, Address(address), policy) for address in _addresses(url)]
        self._schemas: dict[str, WriterSchema] = {}

    def schema_of(self, schema_id: int) -> WriterSchema | None:
        """The schema with an id, None where the registry has none.

        Raises:
            RetryableError: the registry is away.
            PermanentError: it refuses, or is no registry.
        """
        return None if schema_id > _LARGEST_ID else self._schema(f"/schemas/ids/{schema_id}")

    def schema_by_guid(self, guid: str) -> WriterSchema | None:
        """The schema with a GUID, which messages name in a header; None where the registry has none.

        Raises:
            RetryableError: the registry is away.
            PermanentError: it refuses, or is no registry.
        """
        try:
            return self._schema(f"/schemas/guids/{quote(guid, safe='')}")
        except PermanentError as error:
            if error.details.get("status") != _NOT_FOUND:
                raise
            # A registry without GUIDs answers 404, as a wrong address does. This request distinguishes the two.
            self._ask("GET", "/schemas/types")
            return None

    def compatible(self, subject: str, schema: str) -> tuple[bool, list[str]]:
        """Whether a schema is compatible with the subject's latest one by the registry's rule, and why not.

        Raises:
            RetryableError: the registry is away.
            PermanentError: it refuses the request, or the schema is broken.
        """
        path = f"/compatibility/subjects/{quote(subject, safe='')}/versions/latest?verbose=true"
        answer = self._ask("POST", path, schema)
        if answer is None:
            return True, []
        reasons = answer.get("messages") if isinstance(answer, dict) else None
        given = [str(one) for one in reasons] if isinstance(reasons, list) else []
        return _field(answer, "is_compatible", bool), given

    def register(self, subject: str, schema: str) -> int:
        """Register a schema and return its id. Registering the same schema again returns the same id.

        Raises:
            RetryableError: the registry is away.
            PermanentError: it refuses: the schema is broken or not compatible with the latest one.
        """
        return _field(self._ask("POST", f"/subjects/{quote(subject, safe='')}/versions", schema), "id", int)

    def version(self, subject: str, schema: str) -> int | None:
        """The subject's version number of a schema, None where the subject does not have it.

        Raises:
            RetryableError: the registry is away.
            PermanentError: it refuses.
        """
        answer = self._ask("POST", f"/subjects/{quote(subject, safe='')}", schema)
        return None if answer is None else _field(answer, "version", int)

    def _schema(self, path: str) -> WriterSchema | None:
        if path not in self._schemas:
            answer = self._ask("GET", path)
            if answer is None:
                return None
            text = _field(answer, "schema", str)
            self._schemas[path] = WriterSchema(answer.get("schemaType") or "AVRO", text, bool(answer.get("references")))
        return self._schemas[path]

    def _ask(self, method: str, path: str, schema: str | None = None) -> Any:
        """The content of the answer; None where the registry lacks the subject, version or schema."""
        for server in self._servers[:-1]:
            with suppress(RetryableError):
                return _answer(server, method, path, schema)
        return _answer(self._servers[-1], method, path, schema)


def subject_of(topic: str) -> str:
    """The registry's subject for the schemas of a topic's values."""
    return f"{topic}-value"


def _answer(server: HttpClient, method: str, path: str, schema: str | None) -> Any:
    body = None if schema is None else json.dumps({"schema": schema}).encode()
    response = server.retry(lambda: server.send(method, path, body, _HEADERS))
    if response.status == _NOT_FOUND and _error(response.body).get("error_code") in _MISSING:
        return None
    if message := _OF_SCHEMA.get(response.status):
        reason = _reason(server.redacted(response.body))
        raise PermanentError(Code.CONTRACT_INVALID, f"{message}: {reason}", url=server.url, status=response.status)
    if not 200 <= response.status < 300:
        raise server.refusal(response)
    return _content(response)


def _content(response: Response) -> Any:
    try:
        return json.loads(response.body)
    except (ValueError, RecursionError) as error:
        raise PermanentError(Code.REGISTRY_UNAVAILABLE, _NO_REGISTRY, url=shown(response.url)) from error


def _field(answer: Any, name: str, kind: type[T]) -> T:
    found = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool):
        raise PermanentError(Code.REGISTRY_UNAVAILABLE, _NO_REGISTRY)
    return found


def _error(body: bytes) -> dict[str, Any]:
    with suppress(ValueError, RecursionError):
        found = json.loads(body)
        return found if isinstance(found, dict) else {}
    return {}


def _reason(body: bytes) -> str:
    """The registry's reason, without the rest of the body."""
    message = _error(body).get("message")
    return excerpt(str(message).encode()) if message else excerpt(body)


def _addresses(text: str) -> list[str]:
    addresses = [address.strip() for address in text.split(",")]
    login = next((match[1] for address in addresses if (match := _LOGIN.match(address))), "")
    if not login:
        return addresses
    return [one if _LOGIN.match(one) else one.replace("://", f"://{login}@", 1) for one in addresses]


_SERVICE = Service(
    "The schema registry",
    Code.REGISTRY_UNAVAILABLE,
    Code.REGISTRY_UNAVAILABLE,
    "SCHEMA_REGISTRY_URL",
    "SCHEMA_REGISTRY_URL",
    remedies={
        401: "Check user, password and rights in SCHEMA_REGISTRY_URL.",
        403: "Check user, password and rights in SCHEMA_REGISTRY_URL.",
        404: _NO_REGISTRY,
    },
    explain=_reason,
    login_in_address=True,
)
