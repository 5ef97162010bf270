"""The rules over several keys of a definition, and over the definition and its contract.

What belongs here: what the models cannot say. What does not: types and bounds of one key (`definition`), and reading
the file (`reader`).
"""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING

from include.contracts.problems import nearest, shown
from include.sources.bucket.definition import BucketSource
from include.sources.bucket.rules import check_bucket
from include.sources.database.definition import DatabaseSource
from include.sources.database.rules import check_database, check_database_contract
from include.sources.definition import ApiKey, Zip
from include.sources.elements import elements

if TYPE_CHECKING:
    from collections.abc import Collection

    from include.contracts.model import Contract
    from include.contracts.problems import Findings
    from include.sources.definition import Request, RestSource
    from include.sources.kinds import AnySource

_PLACEHOLDER = re.compile(r"\{\+?([A-Za-z_]\w*)\}")
# Placeholders of `keepRaw.key`, so no names of `forEach`.
OF_RAW_KEYS = ("date", "page", "run", "time")
# Headers that hold a login.
_LOGIN_HEADERS = {"authorization", "cookie", "proxy-authorization"}
# Parameters that hold nothing but a secret.
_SECRET_PARAMS = {"access_token", "api_key", "apikey", "client_secret", "password"}
_LONGEST_VALUE = 199
# A name is part of the key of ops.source_position, and PostgreSQL refuses index entries over 2,704 bytes.
_LONGEST_ELEMENT = 2000
# Airflow maps a task over at most 1,024 values.
MOST_ELEMENTS = 1000
_PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
_CRON_FIELDS = 5
# Letters are the names of months and days. H and R, which some programs read as "any", are no schedule in Airflow.
_CRON = re.compile(r"(?!.*\b[HhRr]\b)[0-9A-Za-z*,/#-]+(?: +[0-9A-Za-z*,/#-]+){4}")
_CONNECTION = "put it into the connection, and write auth"


def check_definition(source: AnySource, findings: Findings) -> None:
    """Add a problem for each rule that the definition breaks."""
    _check_schedule(source.schedule, findings)
    if isinstance(source, BucketSource):
        check_bucket(source, findings)
    elif isinstance(source, DatabaseSource):
        check_database(source, findings)
    else:
        _check_api(source, findings)


def _check_api(source: RestSource, findings: Findings) -> None:
    for index, request in enumerate(source.requests):
        _check_request(request, f"requests[{index}]", findings)
        _check_beside(source, request, f"requests[{index}]", findings)
    count = sum(prod(map(len, request.for_each.values())) for request in source.requests)
    if count > MOST_ELEMENTS:
        remedy = f"each has a task of its own: at most {MOST_ELEMENTS:,} in a definition; write several"
        findings.add("requests", f"{count:,} combinations of values", remedy)
    else:
        _check_names(source, findings)
    _check_raw_key(source, findings)
    _check_start(source, findings)
    _check_initial_value(source, findings)
    if isinstance(source.records, Zip):
        _check_zip(source.records, findings)


def check_against_contract(source: AnySource, contract: Contract, findings: Findings) -> None:
    """Add a problem for each rule that definition and contract break together."""
    if isinstance(source, BucketSource):  # its objects are files like those of partners: any contract fits
        return
    if contract.dialect.record_path is not None:
        what = f"the contract {contract.path.name} has a recordPath too"
        findings.add("dataset", what, "remove it there: the records are taken from the answer here")
    if source.deliver == "topic" and contract.topic is None:
        remedy = "add topic to the contract's property ingestion, or write deliver: file"
        findings.add("deliver", f"the contract {contract.path.name} has no topic", remedy)
    if source.deliver == "topic" and contract.appends:
        remedy = "mark columns of the contract with primaryKey: true, or write deliver: file"
        findings.add("deliver", "messages need a key: a crash may repeat them", remedy)
    if isinstance(source, DatabaseSource):
        check_database_contract(source, contract, findings)
    else:
        _check_api_contract(source, contract, findings)


def _check_api_contract(source: RestSource, contract: Contract, findings: Findings) -> None:
    for index, request in enumerate(source.requests):
        _check_use(request, f"requests[{index}]", contract, findings)
    is_in_parts = source.incremental is not None or len(source.requests) > 1 or bool(source.requests[0].for_each)
    if contract.is_snapshot and is_in_parts:
        what = f"a file of this source is never the whole table, as mode: snapshot of {contract.path.name} says"
        findings.add("dataset", what, "remove mode there, or collect everything with one request")


def schedule_fault(schedule: str) -> str:
    """What is wrong with a schedule; empty if Airflow can use it."""
    from croniter import croniter

    if schedule in _PRESETS:
        return ""
    if len(schedule.split()) != _CRON_FIELDS or _CRON.fullmatch(schedule) is None:
        return "is no cron expression"
    try:
        croniter(schedule).get_next()
    except ValueError as error:
        return f"is no cron expression: {error}"
    return ""


def _check_schedule(schedule: str | None, findings: Findings) -> None:
    fault = "" if schedule is None else schedule_fault(schedule)
    if fault:
        remedy = f"write five fields, such as '*/30 * * * *', one of {', '.join(_PRESETS)}, or null for runs by hand"
        findings.add("schedule", f"{shown(schedule)} {fault}", remedy)


def _check_request(request: Request, path: str, findings: Findings) -> None:
    for where, text in _texts(request, path):
        _check_placeholders(text, where, request.for_each, findings)
    for name, values in request.for_each.items():
        where = f"{path}.forEach.{name}"
        if name in OF_RAW_KEYS:
            remedy = f"choose another name, such as {name}_of"
            findings.add(where, f"{{{name}}} is a placeholder of keepRaw.key", remedy)
        _check_values(values, where, findings)
    for header, text in request.headers.items():
        _check_header(request, text, f"{path}.headers.{header}", findings)
        if header.lower() in _LOGIN_HEADERS:
            findings.add(f"{path}.headers.{header}", "a login is no part of a definition", _CONNECTION)
    for param in request.params:
        if param.lower() in _SECRET_PARAMS:
            findings.add(f"{path}.params.{param}", "a secret is no part of a definition", _CONNECTION)


def _check_header(request: Request, text: str, path: str, findings: Findings) -> None:
    """Add a problem if a header could not be sent. Its value may be a secret and is not shown."""
    used = [name for name in _PLACEHOLDER.findall(text) if name in request.for_each]
    values = [str(value) for name in used for value in request.for_each[name]]
    if not all(one.isascii() and one.isprintable() and one == one.strip() for one in (text, *values)):
        remedy = "use printable ASCII characters, without blanks at the ends, also in values of forEach"
        findings.add(path, "the value cannot be sent in a header", remedy)


def _texts(request: Request, path: str) -> list[tuple[str, str]]:
    """The texts that placeholders may be in, by their paths."""
    texts = [(f"{path}.path", request.path)]
    texts += [(f"{path}.params.{name}", value) for name, value in request.params.items() if isinstance(value, str)]
    return texts + [(f"{path}.headers.{name}", value) for name, value in request.headers.items()]


def _check_placeholders(text: str, path: str, known: Collection[str], findings: Findings) -> None:
    """Add a problem for each unknown placeholder of a text."""
    for name in sorted(set(_PLACEHOLDER.findall(text)) - set(known)):
        remedy = nearest(name, known) if known else f"add {name} to forEach, or remove it"
        findings.add(path, f"the placeholder {{{name}}} is not known", remedy)


def _check_names(source: RestSource, findings: Findings) -> None:
    """Add a problem for each request with an element whose name is too long for the warehouse."""
    longest: dict[int, int] = {}
    for element in elements(source):
        longest[element.index] = max(longest.get(element.index, 0), len(element.name.encode()))
    for index, size in longest.items():
        if size > _LONGEST_ELEMENT:
            remedy = f"path and values take at most {_LONGEST_ELEMENT:,} bytes, percent-encoded: shorten them"
            findings.add(f"requests[{index}]", f"an address of {size:,} bytes", remedy)


def _check_use(request: Request, path: str, contract: Contract, findings: Findings) -> None:
    """Add a problem for each list whose values reach neither the request nor the rows."""
    used = {name for _, text in _texts(request, path) for name in _PLACEHOLDER.findall(text)}
    for name in request.for_each:
        if name not in used and not _has_column(contract, f"_for_{name}"):
            remedy = f"write {{{name}}} into path or params, add a column _for_{name} to the contract, or remove it"
            findings.add(f"{path}.forEach.{name}", "no text of this request and no column uses it", remedy)


def _has_column(contract: Contract, member: str) -> bool:
    """Whether a column takes its value from a member of the record."""
    return any(
        column.steps[0] == member if column.steps else member in {column.name, *column.source_names}
        for column in contract.source_columns
    )


def _check_values(values: tuple[object, ...], path: str, findings: Findings) -> None:
    if not values:
        findings.add(path, "no values", "list at least one")
    seen: set[str] = set()
    for index, text in enumerate(map(str, values)):
        where = f"{path}[{index}]"
        if text in {"", ".", ".."} or not text.isprintable() or len(text) > _LONGEST_VALUE:
            remedy = f"write 1 to {_LONGEST_VALUE} printable characters; . and .. are no values"
            findings.add(where, f"{shown(text)} cannot be a part of an address", remedy)
        if text in seen:
            findings.add(where, f"{shown(text)} is there twice", "remove one of the two")
        seen.add(text)


def _check_beside(source: RestSource, request: Request, path: str, findings: Findings) -> None:
    """What `incremental` and `auth` set must not be among the parameters and headers."""
    start = source.incremental.start_param if source.incremental else None
    if start in request.params:
        findings.add(f"{path}.params.{start}", "incremental.startParam sets it", "remove it here; see initialValue")
    if not isinstance(source.auth, ApiKey):
        return
    part, given = ("params", request.params) if source.auth.placed == "query" else ("headers", request.headers)
    for name in given:
        if name.lower() == source.auth.name.lower():
            findings.add(f"{path}.{part}.{name}", "auth sets it, from the connection", "remove it here")


def _check_raw_key(source: RestSource, findings: Findings) -> None:
    if source.keep_raw is None:
        return
    key, path = source.keep_raw.key, "keepRaw.key"
    # A name that only some requests have cannot be filled in for the others.
    names = set.intersection(*(set(request.for_each) for request in source.requests))
    _check_placeholders(key, path, {*OF_RAW_KEYS, *names}, findings)
    if "{+" in key:
        findings.add(
            path, "{+…} is for the paths of requests", "remove the +: a slash of a value becomes a hyphen here"
        )
    if not key.isprintable() or {"", ".", ".."} & set(key.split("/")):
        remedy = "separate names by single slashes, as shop-orders/{date}/{time}-{page}.json"
        findings.add(path, f"{shown(key)} is no key of an object", remedy)


def _check_start(source: RestSource, findings: Findings) -> None:
    """Add a problem for each key that has no effect because no start is sent. A lag has: it withholds records."""
    incremental = source.incremental
    if incremental is None or incremental.start_param is not None:
        return
    for name, value in (("initialValue", incremental.initial_value), ("overlap", incremental.overlap)):
        if value is not None:
            what = "has no effect without startParam: each run reads all records"
            findings.add(f"incremental.{name}", what, "add startParam, the API's parameter of the start, or remove it")


def _check_initial_value(source: RestSource, findings: Findings) -> None:
    incremental = source.incremental
    if incremental is None or incremental.initial_value is None or incremental.unit == "iso":
        return
    if not re.fullmatch(r"\d+", str(incremental.initial_value)):
        remedy = f"write a whole number of {'seconds' if incremental.unit == 's' else 'milliseconds'} since 1970"
        what = f"{shown(incremental.initial_value)} does not fit to unit: {incremental.unit}"
        findings.add("incremental.initialValue", what, remedy)


def _check_zip(records: Zip, findings: Findings) -> None:
    if records.names and len(records.names) != len(records.zip):
        what = f"{len(records.names)} names for {len(records.zip)} arrays"
        findings.add("records.names", what, "write one for each path of zip, or leave names out")
    elif len(set(records.columns)) < len(records.columns):
        findings.add("records", "two arrays have one name", "write names: one for each path of zip, all different")
