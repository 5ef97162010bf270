"""A dataset's Avro schema, derived from its contract, and rows as the values of that schema.

What belongs here: what follows from the contract alone. What does not: the wire format (`encode`, `decode`),
schemas that others have written (`avro_reader`), the registry.
"""

from __future__ import annotations

import json
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from include.contracts.column_names import avro_name
from include.contracts.model import Column, ColumnType
from include.ingestion.rules import FALSE_WORDS, TRUE_WORDS

if TYPE_CHECKING:
    from collections.abc import Mapping

from include.contracts.model import Contract

NAMESPACE = "filegate"
# Not part of Avro's specification, which lets readers ignore unknown logical types: it marks text that is JSON.
JSON_LOGICAL_TYPE = "json"


class RowValueError(ValueError):
    """A row that the contract's Avro schema cannot hold."""


def avro_schema(contract: Contract) -> dict[str, Any]:
    """The schema of one message of a dataset: a record of the columns that the source sends.

    Columns that are not required may be null, which is their default, so a contract that adds one still reads older
    messages. The same contract always gives the same schema, in the contract's order.
    """
    schema: dict[str, Any] = {
        "type": "record",
        "name": contract.dataset,
        "namespace": f"{NAMESPACE}.{contract.dataset}",
    }
    if contract.description:
        schema["doc"] = contract.description
    schema["fields"] = [_field(column) for column in contract.source_columns]
    return schema


def schema_text(schema: Mapping[str, Any]) -> str:
    """The schema as the registry stores it."""
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))


def to_avro(row: Mapping[str, Any], contract: Contract) -> dict[str, Any]:
    """Convert a row of texts or Python values to the values of the dataset's schema.

    Empty text counts as no value, as in files.

    Raises:
        RowValueError: a value is of another type, a required one is missing, or a column is not the contract's.
    """
    columns = contract.source_columns
    if unknown := row.keys() - {column.name for column in columns}:
        raise RowValueError(f"the contract of {contract.dataset} has no column {', '.join(sorted(unknown))}")
    return {avro_name(column.name): _cell(column, row.get(column.name)) for column in columns}


def _field(column: Column) -> dict[str, Any]:
    field: dict[str, Any] = {"name": avro_name(column.name)}
    # Readers find the column by the hash in the field's name; `doc` shows the original name.
    own_name = column.name if field["name"] != column.name else ""
    if doc := ": ".join(filter(None, (own_name, column.description))):
        field["doc"] = doc
    kind = _type(column)
    if column.required:
        field["type"] = kind
    else:
        field["type"] = ["null", kind]
        field["default"] = None
    return field


def _type(column: Column) -> str | dict[str, Any]:
    match column.type:
        case ColumnType.TEXT:
            return "string"
        case ColumnType.INTEGER:
            return "long"
        case ColumnType.NUMBER:
            return {"type": "bytes", "logicalType": "decimal", "precision": column.precision, "scale": column.scale}
        case ColumnType.FLOAT:
            return "double"
        case ColumnType.BOOLEAN:
            return "boolean"
        case ColumnType.DATE:
            return {"type": "int", "logicalType": "date"}
        case ColumnType.TIMESTAMP:
            return {"type": "long", "logicalType": "local-timestamp-micros"}
        case ColumnType.TIMESTAMPTZ:
            return {"type": "long", "logicalType": "timestamp-micros"}
        case ColumnType.UUID:
            return {"type": "string", "logicalType": "uuid"}
        case ColumnType.JSON:
            return {"type": "string", "logicalType": JSON_LOGICAL_TYPE}


def _cell(column: Column, value: Any) -> Any:
    if value is None or value == "":
        if column.required:
            raise RowValueError(f"{column.name} is required and empty")
        return None
    try:
        return _value(column, value)
    except (ValueError, TypeError, InvalidOperation) as error:
        raise RowValueError(f"{column.name}: {str(value)[:80]!r} is no {column.type}") from error


def _value(column: Column, value: Any) -> Any:
    match column.type:
        case ColumnType.TEXT:
            return str(value)
        case ColumnType.INTEGER:
            return _whole(value)
        case ColumnType.NUMBER:
            return _decimal(column, value)
        case ColumnType.FLOAT:
            return float(value)
        case ColumnType.BOOLEAN:
            return _truth(value)
        case ColumnType.DATE:
            return _date(column, value)
        case ColumnType.TIMESTAMP | ColumnType.TIMESTAMPTZ:
            return _moment(column, value)
        case ColumnType.UUID:
            return str(UUID(str(value)))
        case ColumnType.JSON:
            return _document(value)


def _whole(value: Any) -> int:
    number = int(value)
    if number != value and not isinstance(value, str):
        raise ValueError(value)
    if not -(2**63) <= number < 2**63:
        raise ValueError(value)
    return number


def _decimal(column: Column, value: Any) -> Decimal:
    number = Decimal(str(value))
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        raise TypeError(value)  # NaN or infinite
    # Trailing zeros after the point do not count: 1.500 fits a scale of 2.
    while exponent < -column.scale and digits[-1:] == (0,):
        digits, exponent = digits[:-1], exponent + 1
    if exponent < -column.scale or len(digits) + exponent > column.precision - column.scale:
        raise ValueError(value)
    return Decimal((sign, digits or (0,), exponent))


def _truth(value: Any) -> bool:
    word = str(value).strip().lower()
    if word in TRUE_WORDS or word in FALSE_WORDS:
        return word in TRUE_WORDS
    raise ValueError(value)


def _date(column: Column, value: Any) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    moment = _parsed(column, value)
    if moment.time() != time.min:
        raise ValueError(value)  # the schema would drop its time of day
    return moment.date()


def _moment(column: Column, value: Any) -> datetime:
    moment = _parsed(column, value)
    if (moment.tzinfo is None) != (column.type is ColumnType.TIMESTAMP):
        raise ValueError(value)  # the writer would assume the machine's time zone
    return moment


def _parsed(column: Column, value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    text = str(value).strip()
    for form in column.formats:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007 (the format decides whether there is a zone)
        except ValueError:
            continue
    return datetime.fromisoformat(text)


def _document(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    orjson.loads(value)
    return value
