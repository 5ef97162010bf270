"""A dataset's Avro schema, derived from its contract, and rows as the values of that schema.

What belongs here: what follows from the contract alone. What does not: the wire format (`encode`, `decode`),
schemas that others have written (`avro_records`), the registry.
"""

from __future__ import annotations

import json
from decimal import InvalidOperation
from typing import TYPE_CHECKING, Any

from include.contracts.column_names import avro_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.contracts.model import Column, Contract

NAMESPACE = "filegate"


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
    kind = column.type.avro
    if isinstance(kind, str):
        return kind
    return kind | ({"precision": column.precision, "scale": column.scale} if column.type.has_scale else {})


def _cell(column: Column, value: Any) -> Any:
    if value is None or value == "":
        if column.required:
            raise RowValueError(f"{column.name} is required and empty")
        return None
    try:
        return column.type.to_python(column, value)
    except (ValueError, TypeError, InvalidOperation) as error:
        raise RowValueError(f"{column.name}: {str(value)[:80]!r} is no {column.type}") from error
