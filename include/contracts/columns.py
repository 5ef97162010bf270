"""Compiles a property of the standard into a column.

What belongs here: everything about one column but its table-level checks (`quality`). What does not: rules that
need other columns (`reader`). Keys of the standard without an effect here are either documentation or refused.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from include.contracts.column_names import SYSTEM_COLUMNS, is_column_name
from include.contracts.date_formats import EPOCHS, format_problem, is_format
from include.contracts.enrichments import read_enrichment
from include.contracts.logical_types import ResolvedType, bound_text, parse_bound, resolve
from include.contracts.model import Cleaning, Column
from include.contracts.paths import is_path
from include.contracts.problems import nearest
from include.contracts.quality import allowed_values
from include.contracts.source_names import exact

if TYPE_CHECKING:
    from open_data_contract_standard.model import CustomProperty, SchemaProperty

    from include.contracts.problems import Findings

_CUSTOM = ("cleaning", "derived", "enriched", "formats", "partition", "path", "sample", "sourceName")
_MOST_ALIASES, _LONGEST_ALIAS = 100, 1000

# Keys for a behaviour that this pipeline does not have, with what to write instead.
_REFUSED = {
    "partitioned": "remove it; tables are not partitioned by column",
    "partitionKeyPosition": "remove it; tables are not partitioned by column",
    "encryptedName": "remove it; values are loaded as they come. Leave out what must not be stored",
    "transformLogic": "write it as the custom property 'derived', which is carried out",
    "transformSourceObjects": "remove it; a dataset is loaded from its own files alone",
    "map": "use logicalType: object",
}
_REFUSED_OPTIONS = {
    "multipleOf": "write a rowRule: expression 'value % 5 = 0'",
    "maxProperties": "write a rowRule over the JSON value",
    "minProperties": "write a rowRule over the JSON value",
    "required": "write a rowRule such as expression \"json_exists(column, '$.key')\"",
    "maxItems": "write a rowRule such as expression 'json_array_length(column) <= 10'",
    "minItems": "write a rowRule such as expression 'json_array_length(column) >= 1'",
    "uniqueItems": "write a rowRule over the JSON value",
}


def compile_column(prop: SchemaProperty, path: str, findings: Findings) -> Column | None:
    """The column a property describes, or None when its name or type is unusable; adds the reason to `findings`."""
    name = prop.name or ""
    if name in SYSTEM_COLUMNS:
        remedy = f"use another name, as {name}_value: PostgreSQL gives every table a system column {name}"
        findings.add(f"{path}.name", f"'{name}' is a name that PostgreSQL uses itself", remedy)
    elif not is_column_name(name):
        remedy = "use lower-case letters of any script (as NFC), digits and _, starting with a letter, at most 63 bytes"
        findings.add(f"{path}.name", f"'{name}' is no column name", remedy)
    _refuse_unused(prop, path, findings)
    resolved = resolve(prop, path, findings)
    if resolved is None or not is_column_name(name):
        return None
    column = Column(
        name=name,
        type=resolved.type,
        description=" ".join((prop.description or "").split()),
        required=bool(prop.required) or bool(prop.primaryKey),
        precision=resolved.precision,
        scale=resolved.scale,
        examples=tuple(map(_example, prop.examples or [])),
    )
    column = _with_options(column, resolved, prop.logicalTypeOptions or {}, f"{path}.logicalTypeOptions", findings)
    column = _with_custom(column, prop.customProperties or [], f"{path}.customProperties", findings)
    return replace(column, allowed=allowed_values(prop, column, path, findings))


def _refuse_unused(prop: SchemaProperty, path: str, findings: Findings) -> None:
    for key, remedy in _REFUSED.items():
        if getattr(prop, key, None) not in (None, False, -1):
            findings.add(f"{path}.{key}", "nothing here acts on it", remedy)
    if prop.physicalName not in (None, prop.name):
        remedy = "remove it, or rename the property; the column is called as in the file"
        findings.add(f"{path}.physicalName", f"differs from the name '{prop.name}'", remedy)
    if prop.semanticType not in (None, "column", "dimension"):
        findings.add(f"{path}.semanticType", "a measure is no column", "define measures in the transformations")
    for key, remedy in _REFUSED_OPTIONS.items():
        if key in (prop.logicalTypeOptions or {}):
            findings.add(f"{path}.logicalTypeOptions.{key}", "nothing here acts on it", remedy)


def _with_options(
    column: Column, resolved: ResolvedType, options: dict[str, Any], path: str, findings: Findings
) -> Column:
    _check_format(column, options, path, findings)
    if column.type.is_text:
        return _with_text_options(column, resolved, options, path, findings)
    if column.type.canonical:
        for key in ("minLength", "maxLength", "pattern"):
            if key in options:
                findings.add(f"{path}.{key}", f"a {column.type} has a fixed shape", "remove it")
        return column
    return _with_bounds(column, resolved, options, path, findings) if column.is_ordered else column


def _check_format(column: Column, options: dict[str, Any], path: str, findings: Findings) -> None:
    form = options.get("format")
    if form is not None and column.type.is_text:
        findings.add(f"{path}.format", f"'{form}' is not checked", "write it as logicalTypeOptions.pattern")
    if form is not None and column.type.is_temporal:
        remedy = 'remove it: ISO 8601 is always read. Others go into the custom property formats, as ["%d.%m.%Y"]'
        findings.add(f"{path}.format", "date patterns of the JDK are not read", remedy)
    if form in {"i128", "u64", "u128"}:
        findings.add(f"{path}.format", f"{form} does not fit into a bigint", "use number with numeric(38,0)")
    zone = options.get("defaultTimezone", "UTC")
    if zone not in {"UTC", "Etc/UTC"}:
        remedy = "remove it and have the zone written into the values, or load them as timestamp"
        findings.add(f"{path}.defaultTimezone", "times without a zone are read as UTC", remedy)


def _with_text_options(
    column: Column, resolved: ResolvedType, options: dict[str, Any], path: str, findings: Findings
) -> Column:
    low = options.get("minLength")
    lengths = [length for length in (options.get("maxLength"), resolved.max_length) if isinstance(length, int)]
    high = min(lengths, default=None)
    if isinstance(low, int) and high is not None and low > high:
        findings.add(f"{path}.minLength", f"{low} is above the greatest length {high}", "exchange the two")
    pattern = options.get("pattern")
    if isinstance(pattern, str):
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            remedy = "correct the regular expression; it must match the whole value"
            findings.add(f"{path}.pattern", f"not a regular expression: {error}", remedy)
            pattern = None
    else:
        pattern = None  # the standard's schema has refused it
    return replace(column, min_length=low, max_length=high, pattern=pattern)


def _with_bounds(
    column: Column, resolved: ResolvedType, options: dict[str, Any], path: str, findings: Findings
) -> Column:
    found: dict[str, Any] = {}
    for side in ("Minimum", "Maximum"):
        plain, exclusive = side.lower(), f"exclusive{side}"
        if plain in options and exclusive in options:
            findings.add(f"{path}.{exclusive}", f"{plain} is given too", "keep one of the two")
        for key in (plain, exclusive):
            if key in options:
                found[plain] = bound_text(options[key])
                found[f"exclusive_{plain}"] = key == exclusive
                _check_bound(column, found[plain], f"{path}.{key}", findings)
    if resolved.integer_range:
        low, high = resolved.integer_range
        found.setdefault("minimum", str(low))
        found.setdefault("maximum", str(high))
    bounded = replace(column, **found)
    _check_order(bounded, path, findings)
    return bounded


def _check_bound(column: Column, text: str, path: str, findings: Findings) -> None:
    try:
        parse_bound(text, column)
    except ValueError as error:
        findings.add(path, f"'{text}' is no {column.postgres_type}", str(error))


def _check_order(column: Column, path: str, findings: Findings) -> None:
    if column.minimum is None or column.maximum is None:
        return
    try:
        low, high = parse_bound(column.minimum, column), parse_bound(column.maximum, column)
    except ValueError:
        return
    open_end = column.exclusive_minimum or column.exclusive_maximum
    if low > high or (low == high and open_end):  # type: ignore[operator]
        findings.add(path, f"no value is between {column.minimum} and {column.maximum}", "exchange the two bounds")


def _with_custom(column: Column, customs: list[CustomProperty], path: str, findings: Findings) -> Column:
    for index, custom in enumerate(customs):
        where = f"{path}[{index}]"
        value = custom.value
        match custom.property:
            case "cleaning":
                column = replace(column, cleaning=_cleaning(column, value, f"{where}.value", findings))
            case "formats":
                column = replace(column, formats=_formats(column, value, f"{where}.value", findings))
            case "derived":
                column = replace(column, derived=_expression(value, f"{where}.value", findings))
            case "enriched":
                column = replace(column, enriched=read_enrichment(value, f"{where}.value", findings))
            case "partition":
                column = replace(column, partition=_partition(column, value, f"{where}.value", findings))
            case "path":
                column = replace(column, path=_path(value, f"{where}.value", findings))
            case "sample":
                column = replace(column, sample=_expression(value, f"{where}.value", findings))
            case "sourceName":
                column = replace(column, source_names=_source_names(value, f"{where}.value", findings))
            case _ if custom.vendor is None:
                findings.add(
                    f"{where}.property", f"'{custom.property}' is not known", nearest(custom.property, _CUSTOM)
                )
            case _:
                pass  # another vendor's property: documentation, as the standard asks
    if column.partition is not None and (column.derived is not None or column.enriched is not None):
        findings.add(path, f"'{column.name}' is taken from a folder and has another source", "keep one of the two")
    if column.path is not None and not column.is_sent:
        findings.add(path, f"'{column.name}' is not in the file and has a path", "remove the path")
    return column


def _cleaning(column: Column, value: object, path: str, findings: Findings) -> tuple[Cleaning, ...]:
    if not column.type.is_text:
        findings.add(path, f"a {column.type} column is not cleaned", "remove it; only text is cleaned")
        return ()
    steps = _texts(value)
    if steps is None:
        findings.add(path, "not a list of steps", f"write a list of {', '.join(Cleaning)}")
        return ()
    known = set(Cleaning)
    for index, step in enumerate(steps):
        if step not in known:
            findings.add(f"{path}[{index}]", f"'{step}' is no cleaning step", nearest(step, known))
    return tuple(Cleaning(step) for step in steps if step in known)


def _formats(column: Column, value: object, path: str, findings: Findings) -> tuple[str, ...]:
    forms = _texts(value)
    if not column.type.is_temporal:
        findings.add(path, f"a {column.type} column has no formats", "remove it; only dates and times have formats")
        return ()
    if forms is None or not all(map(is_format, forms)):
        remedy = f'write for instance ["%d.%m.%Y"]; numbers since 1970 are {" and ".join(EPOCHS)}'
        findings.add(path, "not a list of strptime formats", remedy)
        return ()
    for index, form in enumerate(forms):
        if problem := format_problem(form, column.type):
            findings.add(f"{path}[{index}]", f"'{form}': {problem}", "correct the format, or the column's physicalType")
    return tuple(form for form in forms if format_problem(form, column.type) is None)


def _source_names(value: object, path: str, findings: Findings) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else _texts(value)
    if names is None or not all(exact(name) and len(name) <= _LONGEST_ALIAS and "\0" not in name for name in names):
        remedy = 'write the word of the file\'s header, such as "% Rabatt", or a list of such words'
        findings.add(path, "not a name of a column in files", remedy)
        return ()
    if len(names) > _MOST_ALIASES:
        findings.add(path, f"{len(names):,} names", f"write at most {_MOST_ALIASES}")
    return tuple(names)


def _path(value: object, path: str, findings: Findings) -> str | None:
    if is_path(value):
        return str(value)
    remedy = "write names and list indices separated by dots, as readings.temperature.value or items.0.sku, without $"
    findings.add(path, f"'{str(value)[:100]}' is not a path", remedy)
    return None


def _partition(column: Column, value: object, path: str, findings: Findings) -> str | None:
    """The name of the folder that gives a column its value, as in `dt=2026-11-28`."""
    if column.type.is_document:
        findings.add(path, f"a {column.type} column is not taken from a folder", "remove it")
        return None
    if value is True:
        return column.name
    if isinstance(value, str) and value and value.isprintable() and not set(value) & set("=/"):
        return value
    findings.add(path, f"'{str(value)[:100]}' is no folder", "write true, or the folder's name, as dt of dt=2026-11-28")
    return None


def _expression(value: object, path: str, findings: Findings) -> str | None:
    if isinstance(value, str) and value.strip():
        return value.strip()
    findings.add(path, "not an expression", "write a DuckDB expression as text")
    return None


def _texts(value: object) -> list[str] | None:
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return value
    return None


def _example(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return bound_text(value)
