"""Turns a message into one line of JSON: JSON stays as it is, Avro is read by its writer's schema.

What belongs here: detecting the format, and which messages cannot be read at all. What does not: whether the JSON is
valid and its values are correct, which validation checks as it does for files.
"""

from __future__ import annotations

from itertools import chain, repeat
from typing import TYPE_CHECKING, Self
from uuid import UUID

from include.errors import Code
from include.errors.registry import message
from include.ingestion.readers.avro_records import ONE_LINE, RecordError, RecordReader, SchemaRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from include.streams.registry import Registry, WriterSchema

# The schema registry's wire format: this byte, the schema's id in four bytes, the record. No JSON begins with it.
MAGIC_BYTE = 0
HEADER_BYTES = 5
# Newer serializers put the id into this header: the byte 0 and four bytes of id, or the byte 1 and a GUID. The value is
# then the record alone. A JSON schema is not needed for decoding: its value is JSON already.
SCHEMA_ID_HEADER = "__value_schema_id"
_GUID_BYTE, _GUID_HEADER_BYTES = 1, 17
# The NDJSON reader skips lines that Python calls blank, and each message must stay one line.
_BLANK = b" \t\n\r\v\f\x1c\x1d\x1e\x1f"
_BYTE_ORDER_MARK = "\ufeff"


class UndecodableError(Exception):
    """A message that cannot be decoded. It is bad data, so it becomes a dead letter."""

    def __init__(self, code: Code, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(code, message)

    @classmethod
    def for_code(cls, code: Code, variant: str = "", /, **values: object) -> Self:
        """The error with the registry's message of a code."""
        return cls(code, message(code, variant, **values))

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Decoder:
    """Decodes messages to lines. Each schema is requested once; a refused one again in the next batch.

    Args:
        registry: where the schemas of Avro messages are; None where only JSON is expected.
    """

    def __init__(self, registry: Registry | None) -> None:
        self._registry = registry
        self._readers: dict[bytes, RecordReader] = {}
        self._refused: dict[bytes, tuple[Code, str]] = {}
        self._json: dict[bytes, bool] = {}

    def decode(self, value: bytes | None, schema_id: bytes | None = None) -> bytes:
        """Return one line of JSON text in UTF-8, without line breaks. Whether the JSON is valid is not checked.

        Args:
            value: of the message.
            schema_id: its header `__value_schema_id`, None where it has none.

        Raises:
            UndecodableError: empty, not UTF-8, or Avro that cannot be read.
            RetryableError: the registry is away.
            PermanentError: the registry refuses to answer.
        """
        if not value or not value.strip(_BLANK):
            raise UndecodableError.for_code(Code.EMPTY_MESSAGE)
        if schema_id is not None and not self._is_json(value, schema_id):
            return self._avro(schema_id, value, 0)
        if schema_id is None and value[0] == MAGIC_BYTE:
            return self._avro(value[:HEADER_BYTES], value, HEADER_BYTES)
        if not value.isascii():
            value = _utf8(value)
        if b"\n" in value or b"\r" in value:
            return value.translate(ONE_LINE)
        return value

    def decode_batch(
        self, values: Iterable[bytes | None], schema_ids: Iterable[bytes | None] = ()
    ) -> tuple[list[bytes], dict[int, UndecodableError]]:
        """Return a line for each message, in their order; `null` for undecodable ones, and their errors by index.

        Args:
            values: of the messages.
            schema_ids: the header `__value_schema_id` of each message; empty if no message has one.

        Raises:
            RetryableError: the registry is away.
            PermanentError: the registry refuses to answer.
        """
        self._refused.clear()
        self._json.clear()  # a schema may have been registered since the last batch
        lines: list[bytes] = []
        errors: dict[int, UndecodableError] = {}
        decode = self.decode
        for index, (value, schema_id) in enumerate(zip(values, chain(schema_ids, repeat(None)), strict=False)):
            try:
                lines.append(decode(value, schema_id))
            except UndecodableError as error:
                lines.append(b"null")
                errors[index] = error.with_traceback(None)
        return lines, errors

    def _is_json(self, value: bytes, header: bytes) -> bool:
        """Whether a message with a schema id in a header is JSON. Without a registry its first character decides."""
        if self._registry is None:
            return value.lstrip(_BLANK)[:1] == b"{"
        if header not in self._json:
            schema = self._schema(header)
            self._json[header] = schema is not None and schema.kind == "JSON"
        return self._json[header]

    def _avro(self, header: bytes, value: bytes, start: int) -> bytes:
        reader = self._readers.get(header) or self._reader(header)
        try:
            return reader.line(value, start)
        except RecordError as error:
            raise UndecodableError.for_code(Code.BAD_AVRO, schema=_shown_id(header), reason=error) from error

    def _reader(self, header: bytes) -> RecordReader:
        if header not in self._refused:
            try:
                reader = self._readers[header] = self._new_reader(header)
            except UndecodableError as error:
                self._refused[header] = (error.code, error.message)
            else:
                return reader
        raise UndecodableError(*self._refused[header])

    def _new_reader(self, header: bytes) -> RecordReader:
        if self._registry is None:
            raise UndecodableError.for_code(Code.BAD_AVRO, "no registry")
        schema, shown = self._schema(header), _shown_id(header)
        if schema is None:
            raise UndecodableError.for_code(Code.UNKNOWN_SCHEMA, id=shown.removeprefix("Schema "))
        if schema.kind != "AVRO":
            raise UndecodableError.for_code(Code.BAD_AVRO, "other type", schema=shown, kind=schema.kind)
        if schema.has_references:
            raise UndecodableError.for_code(Code.BAD_AVRO, "references", schema=shown)
        try:
            return RecordReader(schema.text)
        except SchemaRefusedError as error:
            raise UndecodableError.for_code(Code.BAD_AVRO, schema=shown, reason=error) from error

    def _schema(self, header: bytes) -> WriterSchema | None:
        """The schema of an id or GUID, None where the registry has none.

        Raises:
            UndecodableError: the header is neither an id nor a GUID.
        """
        assert self._registry is not None  # noqa: S101 - checked by the callers
        if len(header) == HEADER_BYTES and header[0] == MAGIC_BYTE:
            return self._registry.schema_of(int.from_bytes(header[1:], "big"))
        if len(header) == _GUID_HEADER_BYTES and header[0] == _GUID_BYTE:
            return self._registry.schema_by_guid(str(UUID(bytes=header[1:])))
        if header[:1] == bytes([MAGIC_BYTE]) and len(header) < HEADER_BYTES:
            raise UndecodableError.for_code(Code.BAD_AVRO, "short", size=len(header))
        raise UndecodableError.for_code(Code.BAD_AVRO, "header", header=SCHEMA_ID_HEADER, size=len(header))


def _shown_id(header: bytes) -> str:
    if len(header) == _GUID_HEADER_BYTES:
        return f"Schema GUID {UUID(bytes=header[1:])}"
    return f"Schema id {int.from_bytes(header[1:], 'big')}"


def _utf8(value: bytes) -> bytes:
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise UndecodableError.for_code(
            Code.BAD_ENCODING, "message", byte=value[error.start], position=error.start + 1, size=len(value)
        ) from error
    marked = text.startswith(_BYTE_ORDER_MARK)
    if marked:
        text = text.lstrip(_BYTE_ORDER_MARK)
    if not text.replace(_BYTE_ORDER_MARK, "").strip():
        raise UndecodableError.for_code(Code.EMPTY_MESSAGE)
    return text.encode() if marked else value
