"""The definition of a source in words, as Markdown, for the page of its DAG.

What belongs here: layout and words. What does not: any rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from include.contracts.describe import cell, listed, properties_table
from include.sources.bucket.definition import BucketSource
from include.sources.database.definition import DEFAULT_OVERLAP, DatabaseSource
from include.sources.definition import (
    ApiKey,
    Basic,
    Bearer,
    Cursor,
    HeaderCursor,
    JsonLink,
    LastValue,
    LinkHeader,
    OAuth2,
    Offset,
    PageNumber,
    Zip,
)
from include.sources.elements import text_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from include.contracts.model import Contract
    from include.sources.database.definition import Window
    from include.sources.definition import Incremental, Request, RestSource, Scalar
    from include.sources.kinds import AnySource

_MOST_VALUES = 20
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def describe(source: AnySource, contract: Contract) -> str:
    """The definition as Markdown.

    Args:
        source: the definition.
        contract: of its dataset.
    """
    about = " ".join(source.description.split())
    parts = [f"# {source.name}", about]
    if isinstance(source, BucketSource):
        parts.append(_objects(source, contract))
    elif isinstance(source, DatabaseSource):
        parts.append(_rows(source, contract))
        parts += ["## Query", f"```sql\n{source.query}\n```"] if source.query else []
    else:
        parts += [_overview(source, contract), "## Requests", _requests(source)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _objects(source: BucketSource, contract: Contract) -> str:
    """The overview of a bucket source."""
    by_time = ", the oldest first" if contract.loads_in_order else ""
    limits = source.limits
    properties = {
        "From": f"`s3://{source.bucket}/{source.prefix}`, with login and password of the connection "
        f"`{source.connection}` as access key and secret",
        "When": _when(source),
        "Objects": f"names behind the prefix that match `{source.pattern}`; empty objects and folder markers are "
        "skipped",
        "New objects": "those whose ETag differs from that of the last copy; `ops.source_object` remembers it",
        "Rows go to": _destination(source, contract),
        "Copies": f"`incoming/{source.dataset}/{source.name}/` and the name behind the prefix{by_time}; of a later "
        "version the name follows `~2/`, `~3/` and so on",
        "Limits": f"{limits.pages:,} listings of up to 1,000 objects, {limits.records:,} copied objects, "
        f"{limits.seconds:,g} seconds, {limits.bytes:,} bytes in a run; the next run reads on",
    }
    return properties_table(properties)


def _rows(source: DatabaseSource, contract: Contract) -> str:
    """The overview of a database source."""
    what = f"the table or view `{source.relation}`" if source.table else "the query below"
    limits = source.limits
    properties = {
        "From": f"{what} in the database of the connection `{source.connection}`",
        "When": _when(source),
        "New rows": _window(source.incremental),
        "Rows go to": _destination(source, contract),
        "Limits": f"{limits.records:,} rows, {limits.seconds:,g} seconds, {limits.bytes:,} bytes in a run"
        + ("; the next run reads on" if source.incremental else "; with more, the run fails"),
    }
    return properties_table(properties)


def _window(window: Window | None) -> str:
    if window is None:
        return "each run reads everything"
    text = f"by `{window.cursor}`"
    if window.initial_value is not None:
        text += f", at first from `{window.initial_value}`"
    if window.overlap is not None or window.lag is None:
        text += f"; {_amount(DEFAULT_OVERLAP if window.overlap is None else window.overlap)} behind the last window "
        text += "are read again"
    if window.lag is not None:
        text += f"; those younger than {_amount(window.lag)} are left to a later run"
    return text


def _amount(amount: timedelta | int) -> str:
    return f"{amount:,}" if isinstance(amount, int) else _duration(amount)


def _when(source: AnySource) -> str:
    return f"`{source.schedule}`, in UTC" if source.schedule else "when a user starts a run"


def _overview(source: RestSource, contract: Contract) -> str:
    limits = source.limits
    properties = {
        "From": f"the API of the connection `{source.connection}`, {_login(source)}",
        "When": _when(source),
        "Pages": _pages(source),
        "Records": _records(source),
        "New records": _new_records(source.incremental),
        "Unchanged answers": "are not read again (ETag)" if source.conditional else "are read again",
        "Rows go to": _destination(source, contract),
        "Answers": f"kept as `s3://{source.keep_raw.bucket}/{source.keep_raw.key}`" if source.keep_raw else "not kept",
        "Limits": f"{limits.pages:,} pages, {limits.records:,} records, {limits.seconds:,g} seconds, "
        f"{limits.bytes:,} bytes of each element in a run; the next run reads on",
    }
    return properties_table(properties)


def _login(source: RestSource) -> str:
    match source.auth:
        case Bearer():
            return "with its password as bearer token"
        case ApiKey(placed=placed, name=name, optional=optional):
            where = f"the {'header' if placed == 'header' else 'parameter'} `{name}`"
            return f"with its password in {where}{', if it has one' if optional else ''}"
        case Basic():
            return "with its login and password"
        case OAuth2(token_path=path):
            return f"with a token from `{path}` for its login and password"
    return "without a login"


def _pages(source: RestSource) -> str:
    match source.pagination:
        case LinkHeader():
            return "the header Link names the next one"
        case JsonLink(next_path=path):
            return f"the next address is at `{path}`"
        case HeaderCursor(header=header, param=param):
            return f"the header `{header}` is the next `{param}`"
        case Cursor(cursor_path=path, param=param):
            return f"the value at `{path}` is the next `{param}`"
        case Offset(offset_param=offset, limit=limit, limit_param=param):
            return f"`{offset}` counts the records, {limit:,} a page (`{param}`)"
        case PageNumber(param=param, first=first):
            return f"`{param}` counts the pages from {first}, until one is empty or not found (404)"
        case LastValue(path=path, param=param, step=step, limit=limit):
            return f"`{path}` of the last record, plus {step}, is the next `{param}`; {limit:,} records a page"
    return "one answer has all records"


def _records(source: RestSource) -> str:
    if isinstance(source.records, Zip):
        pairs = zip(source.records.columns, source.records.zip, strict=True)
        return "arrays side by side: " + ", ".join(f"`{name}` from `{path}`" for name, path in pairs)
    return f"at `{source.records}` of the answer" if source.records else "the answer itself: a list, or one record"


def _new_records(incremental: Incremental | None) -> str:
    if incremental is None:
        return "each run reads everything"
    text = f"by `{incremental.cursor}`"
    if incremental.start_param:
        text += f", asked for with `{incremental.start_param}`"
    if incremental.initial_value is not None:
        text += f", at first from `{incremental.initial_value}`"
    if incremental.overlap is not None:
        text += f"; {_duration(incremental.overlap)} behind the newest one are read again"
    if incremental.lag is not None:
        text += f"; those younger than {_duration(incremental.lag)} are left to a later run"
    return text


def _destination(source: AnySource, contract: Contract) -> str:
    table = f"`raw.{source.dataset}`"
    if source.deliver == "topic":
        return f"the topic `{contract.topic}`, from which `consume_{contract.topic}` loads {table}"
    draft = "; its contract is a draft: files wait until it is active" if contract.is_draft else ""
    return f"`incoming/{source.dataset}/`, from which `ingest_{source.dataset}` loads {table}{draft}"


def _requests(source: RestSource) -> str:
    head = ["| Request | For each | Headers |", "|---|---|---|"]
    return "\n".join(head + [_request(request) for request in source.requests])


def _request(request: Request) -> str:
    query = urlencode({name: text_of(value) for name, value in request.params.items()}, safe="{}/:,")
    address = f"`GET {request.path}{f'?{query}' if query else ''}`"
    lists = "; ".join(f"`{name}`: {_values(values)}" for name, values in request.for_each.items())
    return f"| {cell(address)} | {cell(lists)} | {cell(listed(request.headers))} |"


def _values(values: Sequence[Scalar]) -> str:
    texts = ", ".join(map(text_of, values[:_MOST_VALUES]))
    more = len(values) - _MOST_VALUES
    return f"{texts} and {more:,} more" if more > 0 else texts


def _duration(length: timedelta) -> str:
    """As the definition writes it, such as `10m`."""
    seconds = int(length.total_seconds())
    size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0)
    return f"{seconds // size}{unit}"
