"""Compiles a contract, or lists all its problems.

What belongs here: the order of the steps and the rules over several columns. What does not: YAML (`document`), one
column (`columns`), checks (`quality`), expressions (`expressions`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from open_data_contract_standard.model import OpenDataContractStandard, SchemaObject, SchemaProperty
from pydantic import ValidationError

from include.contracts.column_names import matching
from include.contracts.columns import compile_column
from include.contracts.dialect import check_header
from include.contracts.document import read_document
from include.contracts.drift import check_drift
from include.contracts.enrichments import check_enriched
from include.contracts.ingestion_options import IngestionOptions, read_properties
from include.contracts.lake_option import check_lake
from include.contracts.model import APPEND_KEY, Column, Contract, ContractStatus, Expectation, Mode, RowRule, Severity
from include.contracts.problems import ContractError, Findings, nearest
from include.contracts.quality import CompiledChecks, compile_quality
from include.contracts.reserved import RESERVED_DATASETS
from include.contracts.source_names import exact

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from include.contracts.expressions import ExpressionChecker

DATASET_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
_API_VERSIONS = {"v3.1.0", "v3.2.0"}
_HOURS = {"h": 1.0, "hr": 1.0, "hour": 1.0, "hours": 1.0, "d": 24.0, "day": 24.0, "days": 24.0}
_HOURS |= {"m": 1 / 60, "min": 1 / 60, "minute": 1 / 60, "minutes": 1 / 60}


@dataclass(frozen=True)
class _Paths:
    """Paths of columns and row rules in the file, for messages."""

    columns: dict[str, str]
    rules: list[tuple[str, RowRule]]


def read_contract(path: Path) -> Contract:
    """Read the compiled contract of a file, checked in a child process or from the cache, see `checked`.

    Args:
        path: the YAML file; its stem is the dataset's name.

    Raises:
        ContractError: the file is unusable; names every problem with its path and remedy.
    """
    from include.contracts.checked import read_contracts

    (found,) = read_contracts([path])
    if isinstance(found, ContractError):
        raise found
    return found


def compile_contract(path: Path, content: bytes, at: Callable[[str], None] = lambda _: None) -> Contract:
    """Compile and check a contract in this process, without limits of time and memory.

    Args:
        path: the file, for messages and for the dataset's name.
        content: its bytes.
        at: is called with the path of each expression, pattern and format before DuckDB tries it.

    Raises:
        ContractError: the file is unusable; names every problem with its path and remedy.
    """
    document, findings = read_document(path, content)
    try:
        model = OpenDataContractStandard.model_validate(document)
    except ValidationError as error:
        if not findings.problems:
            for detail in error.errors():
                findings.add(_dotted(detail["loc"]), detail["msg"], "follow the Open Data Contract Standard v3.1 here")
        raise ContractError.of(path, findings.problems) from error
    compiled = _compile(model, path, findings)
    if compiled is not None:
        _try_expressions(*compiled, findings, at)
    if compiled is None or findings.problems:
        raise ContractError.of(path, findings.problems)
    return compiled[0]


def _compile(model: OpenDataContractStandard, path: Path, findings: Findings) -> tuple[Contract, _Paths] | None:
    if model.apiVersion is not None and model.apiVersion not in _API_VERSIONS:
        findings.add("apiVersion", f"{model.apiVersion} is not supported", "write apiVersion: v3.1.0")
    schemas = model.schema_ or []
    if len(schemas) != 1:
        what = f"{len(schemas)} datasets in one contract"
        findings.add("schema", what, "describe exactly one dataset; give each further one a file of its own")
        return None
    schema = schemas[0]
    dataset = schema.name or ""
    _check_dataset(schema, path, findings)
    properties = schema.properties or []
    if not properties:
        findings.add("schema[0].properties", "no columns", "describe at least the key column")
        return None
    by_path = {
        f"schema[0].properties[{index}]": compile_column(prop, f"schema[0].properties[{index}]", findings)
        for index, prop in enumerate(properties)
    }
    columns = tuple(column for column in by_path.values() if column is not None)
    _check_unique_names(properties, findings)
    _check_source_names({path: column for path, column in by_path.items() if column is not None}, findings)
    own = read_properties(model, findings)
    options = own.ingestion
    key = _key(properties, options, findings)
    columns = tuple(
        replace(column, true_words=own.dialect.true_values, false_words=own.dialect.false_values) for column in columns
    )
    check_header(own.dialect, columns, findings)
    _check_newest(options, {column.name: column for column in columns}, findings)
    _check_key_column(model, own.dialect.key_column, columns, findings)
    _check_key_types(properties, columns, findings)
    _check_partitions(options, columns, findings)
    check_drift(own.drift, _value_path(model, "drift"), columns, findings)
    check_lake(own.lake, _value_path(model, "lake"), columns, findings)
    checks = _checks(schema, key, findings)
    contract = Contract(
        dataset=dataset,
        version=model.version or "",
        description=_description(model, schema),
        columns=columns,
        key=key,
        newest_by=options.newest_by,
        path=path,
        owner=_owner(model),
        row_rules=tuple(rule for _, rule in checks.rules),
        expectations=tuple(checks.expectations),
        unknown_columns=options.unknown_columns,
        budget=options.budget,
        file_patterns=options.file_patterns,
        freshness_hours=_freshness(model, findings),
        topic=options.topic,
        status=_status(model, findings),
        on_duplicate=options.on_duplicate,
        mode=options.mode,
        deletes=options.deletes,
        max_delete_share=options.max_delete_share,
        min_share_of_usual=options.min_share_of_usual,
        dialect=own.dialect,
        drift=own.drift,
        lake=own.lake,
    )
    paths = _Paths({c.name: where for where, c in by_path.items() if c is not None}, checks.rules)
    check_enriched(contract, paths.columns, findings)
    return contract, paths


def _status(model: OpenDataContractStandard, findings: Findings) -> ContractStatus:
    try:
        return ContractStatus(model.status or ContractStatus.ACTIVE)
    except ValueError:
        remedy = "remove the contract, or write deprecated while files still come"
        if model.status != "retired":
            remedy = nearest(model.status, list(ContractStatus)) + "; a draft makes no DAG"
        findings.add("status", f"'{model.status}' is not a status that a contract can have here", remedy)
        return ContractStatus.DRAFT


def _check_dataset(schema: SchemaObject, path: Path, findings: Findings) -> None:
    name = schema.name or ""
    if DATASET_NAME.fullmatch(name) is None:
        remedy = "use lower-case letters, digits and _, starting with a letter, at most 50 characters"
        findings.add("schema[0].name", f"'{name}' is no dataset name", remedy)
    elif name in RESERVED_DATASETS:
        what = f"the name '{name}' is reserved: {RESERVED_DATASETS[name]}"
        remedy = f"choose another name, such as {name}_data, for the dataset and the file"
        findings.add("schema[0].name", what, remedy)
    elif name != path.stem:
        remedy = f"rename the file to {name}{path.suffix}, or the dataset to {path.stem}"
        findings.add("schema[0].name", f"'{name}' differs from the file's name", remedy)
    if schema.physicalName not in (None, name):
        remedy = f"remove it; the table is raw.{name}"
        findings.add("schema[0].physicalName", f"differs from the name '{name}'", remedy)
    for index, custom in enumerate(schema.customProperties or []):
        if custom.vendor is None:
            where = f"schema[0].customProperties[{index}].property"
            findings.add(where, f"'{custom.property}' is not known here", "move it to its property or to the top level")


def _check_unique_names(properties: list[SchemaProperty], findings: Findings) -> None:
    seen: set[str] = set()
    for index, prop in enumerate(properties):
        # Headers match whatever separates their words, so names must differ in more than underscores.
        name = matching(prop.name or "")
        if name in seen:
            findings.add(f"schema[0].properties[{index}].name", f"a second column '{prop.name}'", "remove or rename it")
        seen.add(name)


def _check_source_names(columns: dict[str, Column], findings: Findings) -> None:
    """A name of a file stands for one column, which is in files."""
    seen: dict[str, str] = {}
    for path, column in columns.items():
        if column.source_names and not column.is_sent:
            findings.add(path, f"'{column.name}' is not in files, so it has no sourceName", "remove the sourceName")
        for name in map(exact, column.source_names):
            other = seen.setdefault(name, column.name)
            if other != column.name:
                findings.add(path, f"the sourceName '{name}' is that of {other} too", "give it to one column")
    own = {column.name: column for column in columns.values()}
    for name, holder in seen.items():
        if name != holder and name in own and not own[name].source_names:
            where = next(path for path, column in columns.items() if column.name == name)
            remedy = f"give '{name}' a sourceName too, or leave that one out"
            findings.add(where, f"files could not name '{name}': it is a sourceName of {holder}", remedy)


def _key(properties: list[SchemaProperty], options: IngestionOptions, findings: Findings) -> tuple[str, ...]:
    """The key columns in the order of primaryKeyPosition, then of the file; or the key of the option `key`."""
    keyed = [(index, prop) for index, prop in enumerate(properties) if prop.primaryKey]
    if options.key:
        for index, prop in keyed:
            remedy = "remove primaryKey here, or key from the property ingestion"
            where = f"schema[0].properties[{index}].primaryKey"
            findings.add(where, f"'{prop.name}' is a second key beside ({', '.join(options.key)})", remedy)
        return options.key
    if not keyed:
        remedy = "mark what identifies a row with primaryKey: true and required: true; or, to append every row, write "
        remedy += f"key: [{', '.join(APPEND_KEY)}] into the property ingestion"
        findings.add("schema[0].properties", "no key column", remedy)
    for index, prop in keyed:
        if not prop.required:
            where = f"schema[0].properties[{index}]"
            findings.add(where, f"the key column '{prop.name}' is not required", "add required: true")
    positions = [prop.primaryKeyPosition for _, prop in keyed if prop.primaryKeyPosition not in (None, -1)]
    if len(set(positions)) < len(positions) or (positions and len(positions) < len(keyed)):
        remedy = "number the key columns 1, 2, 3, or leave all positions out"
        findings.add("schema[0].properties", "primaryKeyPosition is not given to each key column once", remedy)
    keyed.sort(key=lambda pair: (pair[1].primaryKeyPosition or 0, pair[0]))
    return tuple(prop.name or "" for _, prop in keyed)


def _check_key_types(properties: list[SchemaProperty], columns: tuple[Column, ...], findings: Findings) -> None:
    types = {column.name: column.type for column in columns}
    for index, prop in enumerate(properties):
        kind = types.get(prop.name or "")
        if prop.primaryKey and kind is not None and not kind.may_be_key:
            remedy = "choose a key of text, numbers, dates or uuids"
            findings.add(f"schema[0].properties[{index}].primaryKey", f"a {kind} column cannot be a key", remedy)


def _check_newest(options: IngestionOptions, columns: dict[str, Column], findings: Findings) -> None:
    name, where = options.newest_by, options.newest_by_path
    if name is None:
        return
    column = columns.get(name)
    if column is None:
        findings.add(where, f"there is no column '{name}'", "name a column of this contract")
    elif not column.is_ordered:
        findings.add(where, f"'{name}' is {column.type}, which has no order", "name a date, time or number column")
    elif not column.required:
        findings.add(where, f"'{name}' may be null, which is neither older nor newer", "make that column required")


def _check_partitions(options: IngestionOptions, columns: tuple[Column, ...], findings: Findings) -> None:
    names = [column.name for column in columns if column.partition is not None]
    if names and options.topic is not None:
        what = f"messages have no folder for {', '.join(names)}"
        findings.add("schema[0].properties", what, "remove partition, or the topic")
    if names and options.mode is Mode.SNAPSHOT:
        what = f"a file of one folder of {', '.join(names)} is never the whole table, as mode: snapshot says"
        findings.add("schema[0].properties", what, "remove partition, or mode")


def _check_key_column(
    model: OpenDataContractStandard, name: str | None, columns: tuple[Column, ...], findings: Findings
) -> None:
    """Check that `keyColumn` of the dialect names a column that is in the file and has no path."""
    if name is None or name in {column.name for column in columns if column.is_sent and column.path is None}:
        return
    remedy = "name a column of this contract that is neither derived nor enriched and has no path"
    where = f"{_value_path(model, 'dialect')}.keyColumn"
    findings.add(where, f"'{name}' cannot receive the records' keys", remedy)


def _value_path(model: OpenDataContractStandard, name: str) -> str:
    """The path of the value of a custom property; the first one counts, and without one the path leads to them all."""
    names = [custom.property for custom in model.customProperties or []]
    return f"customProperties[{names.index(name)}].value" if name in names else "customProperties"


def _checks(schema: SchemaObject, key: tuple[str, ...], findings: Findings) -> CompiledChecks:
    """Every row rule and expectation of the table and its columns."""
    properties = schema.properties or []
    checks = CompiledChecks({prop.name or "" for prop in properties})
    for index, prop in enumerate(properties):
        path = f"schema[0].properties[{index}]"
        compile_quality(prop.quality or [], f"{path}.quality", prop.name, checks, findings)
        if prop.unique and key != (prop.name,):
            kwargs = (("column", prop.name),)
            text = f"{prop.name} holds no value twice"
            unique = Expectation("expect_column_values_to_be_unique", kwargs, Severity.CRITICAL, text)
            checks.expectations.append(unique)
    compile_quality(schema.quality or [], "schema[0].quality", None, checks, findings)
    names = [rule.name for _, rule in checks.rules]
    for path, rule in checks.rules:
        if rule.name and names.count(rule.name) > 1:
            findings.add(path, f"two row rules are named '{rule.name}'", "give each its own name")
    return checks


def _freshness(model: OpenDataContractStandard, findings: Findings) -> float | None:
    hours: float | None = None
    for index, sla in enumerate(model.slaProperties or []):
        if sla.property != "freshness":
            continue  # other service levels are documentation
        path = f"slaProperties[{index}]"
        factor = _HOURS.get((sla.unit or "").lower())
        if factor is None:
            findings.add(f"{path}.unit", f"'{sla.unit}' is no unit of time here", "use m, h or d")
        if isinstance(sla.value, bool) or not isinstance(sla.value, int | float) or sla.value <= 0:
            findings.add(f"{path}.value", f"'{sla.value}' is no duration", "write a number above 0")
        elif factor is not None:
            hours = sla.value * factor
    return hours


def _try_expressions(contract: Contract, paths: _Paths, findings: Findings, at: Callable[[str], None]) -> None:
    """Check every expression, pattern and format with DuckDB."""
    from include.contracts.expressions import ExpressionChecker, ExpressionError

    def check(path: str, what: str, remedy: str, run: Callable[[], object]) -> None:
        at(path)
        try:
            run()
        except ExpressionError as error:
            findings.add(path, f"{what}: {error}", remedy)

    columns = "write one DuckDB expression over the columns of this contract that its files have"
    with ExpressionChecker() as checker:
        for path, rule in paths.rules:
            check(
                f"{path}.implementation.expression",
                "not a row rule",
                columns,
                partial(_check_rule, checker, rule, contract),
            )
        for column in contract.columns:
            path = paths.columns[column.name]
            for pattern in filter(None, [column.pattern]):
                where = f"{path}.logicalTypeOptions.pattern"
                remedy = "use RE2 syntax, without look-around and back-references"
                check(where, "DuckDB refuses the pattern", remedy, partial(checker.check_pattern, pattern))
            for form in column.formats:
                remedy = "use strptime directives such as %d.%m.%Y"
                where = f"{path}.customProperties"
                check(where, f"DuckDB refuses the format '{form}'", remedy, partial(checker.check_format, form))
            others = [other for other in contract.source_columns if other is not column]
            for kind, expression in (("derived", column.derived), ("sample", column.sample)):
                if expression is not None:
                    run = partial(checker.check_castable, expression, others, column.duckdb_type)
                    check(f"{path}.customProperties", f"'{kind}' of {column.name} cannot be used", columns, run)


def _check_rule(checker: ExpressionChecker, rule: RowRule, contract: Contract) -> None:
    from include.contracts.expressions import ExpressionError

    # Rows are checked as they come, before other columns are calculated or taken from folders.
    found = checker.result_type(rule.expression, list(contract.source_columns))
    if found != "BOOLEAN":
        message = f"it gives {found}, not true or false"
        raise ExpressionError(message)


def _owner(model: OpenDataContractStandard) -> str:
    team = model.team
    if team is None or isinstance(team, list):
        return ""
    return team.name or ""


def _description(model: OpenDataContractStandard, schema: SchemaObject) -> str:
    """The dataset's description: one paragraph for each text of the contract about it."""
    about = model.description
    parts = [schema.description, about and about.purpose, about and about.usage, about and about.limitations]
    return "\n\n".join(" ".join(part.split()) for part in parts if part)


def _dotted(location: tuple[int | str, ...]) -> str:
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return path.removeprefix(".")
