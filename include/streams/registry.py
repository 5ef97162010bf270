"""The schema registry: a thin layer over its client, with timeouts, retries and pipeline errors.

What belongs here: calls and the translation of their errors. What does not: the content of schemas.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from include.errors import Code, PermanentError, PipelineError, RetryableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NOT_FOUND = 404
_CONFLICT = 409
_UNPROCESSABLE = 422
_REFUSED = {401, 403}
_BUSY = {408, 429}
# The registry's codes for a missing subject, version or schema. A 404 without one of them is a wrong address.
_NO_SUBJECT, _NO_VERSION, _NO_SCHEMA = 40401, 40402, 40403
# An id has 32 bits, signed. A registry answers larger ones as if its address were wrong.
_LARGEST_ID = 2**31 - 1


@dataclass(frozen=True)
class WriterSchema:
    """A schema as the registry has it. `kind` is AVRO, JSON or PROTOBUF."""

    kind: str
    text: str
    has_references: bool


class Registry:
    """Calls on one schema registry, by Confluent's protocol. Schemas are cached by id. Thread-safe.

    Args:
        url: its address, with user and password if it needs them; several addresses are separated by commas.
        timeout_seconds: of one request.
        retries: further tries of one request after network trouble or an overloaded answer.
        retry_wait_ms: longest pause before the second try; it doubles, with jitter.

    Raises:
        PermanentError: the address is not valid.
    """

    def __init__(self, url: str, *, timeout_seconds: float = 5.0, retries: int = 3, retry_wait_ms: int = 200) -> None:
        try:
            self.url, user, password = _without_credentials(url)
            options: dict[str, Any] = {
                "url": self.url,
                "timeout": timeout_seconds,
                "max.retries": retries,
                "retries.wait.ms": retry_wait_ms,
                "retries.max.wait.ms": 2000,
            }
            # The credentials are not in the address, which the HTTP library logs.
            if user or password:
                options["basic.auth.user.info"] = f"{user}:{password}"
            self._client: Any = SchemaRegistryClient(options)
        except ValueError:
            raise PermanentError(
                Code.REGISTRY_UNAVAILABLE,
                "SCHEMA_REGISTRY_URL is not an address such as http://127.0.0.1:8081.",
            ) from None  # fmt: skip

    def schema_of(self, schema_id: int) -> WriterSchema | None:
        """The schema with an id, None where the registry has none.

        Raises:
            RetryableError: the registry is away.
            PermanentError: it refuses, or is no registry.
        """
        if schema_id > _LARGEST_ID:
            return None
        return self._writer_schema(lambda: self._client.get_schema(schema_id))

    def schema_by_guid(self, guid: str) -> WriterSchema | None:
        """The schema with a GUID, which messages name in a header; None where the registry has none.

        Raises:
            RetryableError: the registry is away.
            PermanentError: it refuses, or is no registry.
        """
        return self._writer_schema(lambda: self._schema_by_guid(guid))

    def _schema_by_guid(self, guid: str) -> Any:
        try:
            return self._client.get_schema_by_guid(guid)
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND and not _is_missing(error):
                # A registry without GUIDs answers 404, as a wrong address does. This request distinguishes the two.
                self._client._rest_client.get("schemas/types")  # noqa: SLF001 - the client has no method for it
                error.error_code = _NO_SCHEMA
            raise

    def _writer_schema(self, ask: Callable[[], Any]) -> WriterSchema | None:
        with self._translated():
            try:
                schema = ask()
            except SchemaRegistryError as error:
                if _is_missing(error):
                    return None
                raise
            return WriterSchema(schema.schema_type, schema.schema_str, bool(schema.references))

    def compatible(self, subject: str, schema: str) -> tuple[bool, list[str]]:
        """Whether a schema is compatible with the subject's latest one by the registry's rule, and why not.

        Raises:
            RetryableError: the registry is away.
            PermanentError: it refuses the request, or the schema is broken.
        """
        path = f"compatibility/subjects/{quote(subject, safe='')}/versions/latest?verbose=true"
        with self._translated():
            try:
                # The client's own method gives only the verdict, without the reasons.
                answer = self._client._rest_client.post(path, body=Schema(schema, "AVRO").to_dict())  # noqa: SLF001
            except SchemaRegistryError as error:
                if _is_missing(error):
                    return True, []
                raise
            return bool(answer["is_compatible"]), [str(reason) for reason in answer.get("messages") or ()]

    def register(self, subject: str, schema: str) -> int:
        """Register a schema and return its id. Registering the same schema again returns the same id.

        Raises:
            RetryableError: the registry is away.
            PermanentError: it refuses: the schema is broken or not compatible with the latest one.
        """
        with self._translated():
            return int(self._client.register_schema(subject, Schema(schema, "AVRO")))

    def version(self, subject: str, schema: str) -> int | None:
        """The subject's version number of a schema, None where the subject does not have it.

        Raises:
            RetryableError: the registry is away.
            PermanentError: it refuses.
        """
        with self._translated():
            try:
                return int(self._client.lookup_schema(subject, Schema(schema, "AVRO")).version)
            except SchemaRegistryError as error:
                if _is_missing(error):
                    return None
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SchemaRegistryError as error:
            raise self._refusal(error) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PermanentError(
                Code.REGISTRY_UNAVAILABLE,
                "The server at SCHEMA_REGISTRY_URL is no schema registry.", url=self.url,
            ) from error  # fmt: skip
        except Exception as error:  # the client uses one of two HTTP libraries, each with its own errors
            reason = str(error) or type(error).__name__
            raise RetryableError(
                Code.REGISTRY_UNAVAILABLE, f"The registry does not answer: {reason}", url=self.url
            ) from error

    def _refusal(self, error: SchemaRegistryError) -> PipelineError:
        status = error.http_status_code
        details: dict[str, Any] = {"url": self.url, "status": status}
        kind: type[PipelineError] = PermanentError
        code = Code.REGISTRY_UNAVAILABLE
        if status >= 500 or status in _BUSY:
            kind, message = RetryableError, "The registry failed"
        elif status in _REFUSED:
            message = "The registry refuses; check user, password and rights in SCHEMA_REGISTRY_URL"
        elif status == _CONFLICT:
            code, message = Code.CONTRACT_INVALID, "The schema is not compatible with the latest version"
        elif status == _UNPROCESSABLE:
            code, message = Code.CONTRACT_INVALID, "The registry says that the schema is broken"
        else:
            message = "The server at SCHEMA_REGISTRY_URL is no schema registry, or refuses"
        return kind(code, f"{message}: {str(error.error_message)[:500]}", **details)


def subject_of(topic: str) -> str:
    """The registry's subject for the schemas of a topic's values."""
    return f"{topic}-value"


def _is_missing(error: SchemaRegistryError) -> bool:
    return error.http_status_code == _NOT_FOUND and error.error_code in {_NO_SUBJECT, _NO_VERSION, _NO_SCHEMA}


def _without_credentials(addresses: str) -> tuple[str, str, str]:
    """The addresses without credentials, and the user and password of the first address that has them."""
    user = password = ""
    bare = []
    for address in addresses.split(","):
        parts = urlsplit(address.strip())
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("no address")
        if not user and not password:
            user, password = unquote(parts.username or ""), unquote(parts.password or "")
        bare.append(urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])))
    return ",".join(bare), user, password
