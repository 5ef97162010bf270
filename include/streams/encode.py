"""Rows as Avro messages in the schema registry's wire format, for the producer."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from fastavro import parse_schema, schemaless_writer

from include.streams.avro_schema import avro_schema, schema_text, to_avro
from include.streams.decode import MAGIC_BYTE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.contracts.model import Contract
    from include.streams.registry import Registry


class Encoder:
    """Encodes rows of one dataset. Registers the dataset's schema under the subject first, if it is new.

    Raises:
        RetryableError: the registry is away.
        PermanentError: it refuses the schema, for example because it is not compatible with the latest one.
    """

    def __init__(self, registry: Registry, subject: str, contract: Contract) -> None:
        self._contract = contract
        schema = avro_schema(contract)
        self._schema = parse_schema(schema)
        self.schema_id = registry.register(subject, schema_text(schema))
        self._header = bytes([MAGIC_BYTE]) + self.schema_id.to_bytes(4, "big")

    def encode(self, row: Mapping[str, Any]) -> bytes:
        """One message: magic byte, schema id, record.

        Raises:
            RowValueError: the schema cannot hold the row. Such a row can be sent as JSON.
        """
        stream = BytesIO()
        stream.write(self._header)
        schemaless_writer(stream, self._schema, to_avro(row, self._contract))
        return stream.getvalue()
