"""What a source definition says: the models of `sources/<name>.yaml`.

What belongs here: every key of the file, its type, its bounds and its meaning. What does not: the keys that only
sources of buckets and databases have (`bucket.definition`, `database.definition`), reading the file and the rules over
several keys (`reader`), and doing what it says (`rest`, `run`).

Keys are written in camelCase. Unknown keys are refused. Texts that are placed into an address, a header or an object's
key may hold placeholders in braces: `{city}` of `forEach`, and in `keepRaw` also `{date}`, `{time}`, `{page}`, `{run}`.
In a path, `{+repository}` keeps the slashes of a value, as in URI templates (RFC 6570); `{city}` encodes them.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from include.contracts.paths import is_path

_DURATION = re.compile(r"([0-9]{1,6})(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
# A time of this century minus a longer one could leave the valid range of dates.
_LONGEST_DURATION = timedelta(days=36500)
_HEADER_NAME = r"^[A-Za-z0-9-]{1,100}$"
_PARAMETER = r"^[!-~]{1,100}$"

Scalar = str | bool | int | float


def _path(value: str) -> str:
    if not is_path(value):
        raise ValueError("is no path: write the names of members and the indices of lists, separated by dots")
    return value


def _duration(value: object) -> timedelta:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("is no duration: write a whole number and s, m, h or d, such as 10m")
    length = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if length > _LONGEST_DURATION:
        raise ValueError("is too long: write at most 36500d")
    return length


Path = Annotated[str, AfterValidator(_path), Field(max_length=500)]
Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION.pattern}$"}),
]


class Part(BaseModel):
    """The base of all parts of a definition: keys in camelCase, unknown keys are refused, nothing is converted."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True
    )


class KeepRaw(Part):
    """Where the answers are kept as they came, one object for each.

    Attributes:
        bucket: `raw-data`, or one of the setting `S3_EXTRA_BUCKETS`; in your own store, one that `landing_s3` may
            write to.
        key: of an object; may hold `{date}`, `{time}`, `{page}`, `{run}` and names of `forEach`.
    """

    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{2,62}$")
    key: str = Field(min_length=1, max_length=500)


class Incremental(Part):
    """What a run reads after the first one.

    The watermark is the newest value of `cursor` that arrived. The next run asks for records from the watermark minus
    `overlap` on, and takes none that is younger than the time of the answer minus `lag`.

    Attributes:
        cursor: path of its value in a record.
        start_param: parameter of the start; without it all records are read.
        initial_value: where the first run begins.
        unit: `iso` for times as text, `s` or `ms` for numbers since 1970.
        overlap: what is read again behind the watermark, such as `10m` (s, m, h, d).
        lag: younger records are left to a later run.
    """

    cursor: Path
    start_param: str | None = Field(None, pattern=_PARAMETER)
    initial_value: Scalar | None = None
    unit: Literal["s", "ms", "iso"] = "iso"
    overlap: Duration | None = None
    lag: Duration | None = None


class Limits(Part):
    """What one run reads at most of each element of `forEach`. What is left is read by the next run.

    Attributes:
        pages: answers; of a bucket, listings of up to 1,000 objects.
        records: the page that reaches the limit is read to its end; of a database, rows; of a bucket, copied objects.
        seconds: since the first request.
        bytes: of all answers, copied objects, or rows in memory.
    """

    pages: int = Field(1000, ge=1)
    records: int = Field(10_000_000, ge=1)
    seconds: float = Field(3600, gt=0)
    bytes: int = Field(10 * 1024**3, ge=1)


class Request(Part):
    """One request, or one for each combination of the values of `forEach`.

    Attributes:
        path: behind the connection's address; may hold names of `forEach` in braces; `{+name}` keeps a value's slashes.
        params: query parameters, sent as written; may hold such names.
        headers: besides those of `auth`; likewise.
        for_each: lists of values by name: `{city: [berlin, rome]}`; each value replaces `{city}`.
    """

    path: str = Field(min_length=1, max_length=1000, pattern=r"^/[!-~]*$")
    params: dict[str, Scalar] = Field(default_factory=dict)
    headers: dict[Annotated[str, Field(pattern=_HEADER_NAME)], str] = Field(default_factory=dict)
    for_each: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")], tuple[Scalar, ...]] = Field(
        default_factory=dict
    )


class LinkHeader(Part):
    """The next page is the link `rel="next"` of the header Link."""

    type: Literal["link_header"]


class JsonLink(Part):
    """The next page is an address in the answer.

    Attributes:
        next_path: its path.
    """

    type: Literal["json_link"]
    next_path: Path


class HeaderCursor(Part):
    """A header of the answer is the parameter of the next request.

    Attributes:
        header: name of the header.
        param: name of the parameter.
    """

    type: Literal["header_cursor"]
    header: str = Field(pattern=_HEADER_NAME)
    param: str = Field(pattern=_PARAMETER)


class Cursor(Part):
    """A value in the answer is the parameter of the next request.

    Attributes:
        cursor_path: path of the value.
        param: name of the parameter.
    """

    type: Literal["cursor"]
    cursor_path: Path
    param: str = Field(pattern=_PARAMETER)


class Offset(Part):
    """The next request begins behind the records read. An empty page is the last, or one that completes the total.

    Attributes:
        offset_param: parameter of their number.
        limit_param: parameter of the page's size.
        limit: that size.
        total_path: path of the total.
    """

    type: Literal["offset"]
    offset_param: str = Field("offset", pattern=_PARAMETER)
    limit_param: str = Field("limit", pattern=_PARAMETER)
    limit: int = Field(ge=1, le=100_000)
    total_path: Path | None = None


class PageNumber(Part):
    """The next request has the next number. An empty page is the last, or a 404, or one that completes the total.

    A 404 for the first page is an error, and one before the total is reached.

    Attributes:
        param: parameter of the number.
        first: number of the first page.
        total_path: path of the total.
    """

    type: Literal["page_number"]
    param: str = Field("page", pattern=_PARAMETER)
    first: int = Field(1, ge=0)
    total_path: Path | None = None


class SinglePage(Part):
    """One answer has all records."""

    type: Literal["single_page"]


class LastValue(Part):
    """The next request starts at a value of the last record plus `step`. A page shorter than `limit` is the last.

    An index of `path` may be negative: it counts from the end of a list.

    Attributes:
        path: of the value in a record.
        param: parameter of the start.
        step: added to the value.
        limit: records of a page.
    """

    type: Literal["last_value"]
    path: str = Field(min_length=1, max_length=500)
    param: str = Field(pattern=_PARAMETER)
    step: int = 1
    limit: int = Field(ge=1, le=100_000)


Pagination = Annotated[
    LinkHeader | JsonLink | HeaderCursor | Cursor | Offset | PageNumber | SinglePage | LastValue,
    Field(discriminator="type"),
]


class Bearer(Part):
    """The password of the connection is a token, sent as `Authorization: Bearer`; without one nothing is sent."""

    type: Literal["bearer"]


class ApiKey(Part):
    """The password of the connection is a key, sent in a header or a parameter.

    Attributes:
        placed: `header` or `query`.
        name: of the header or parameter.
        optional: whether the connection may have no key.
    """

    type: Literal["api_key"]
    placed: Literal["header", "query"] = Field(alias="in")
    name: str = Field(pattern=_PARAMETER)
    optional: bool = False


class Basic(Part):
    """Login and password of the connection."""

    type: Literal["basic"]


class OAuth2(Part):
    """Client credentials: login and password of the connection are exchanged for a token at `tokenPath`.

    Attributes:
        token_path: behind the connection's address.
        placed: `header` or `body` of that request.
        scope: of the token.
    """

    type: Literal["oauth2"]
    token_path: str = Field(pattern=r"^/[!-~]*$")
    placed: Literal["header", "body"] = Field("header", alias="in")
    scope: str | None = None


Auth = Annotated[Bearer | ApiKey | Basic | OAuth2, Field(discriminator="type")]


class Zip(Part):
    """Parallel arrays become records: the first elements are one record, the second ones the next.

    A member's name is the last step of its path, or the one that `names` gives by position.

    Attributes:
        zip: paths of the arrays: `[hourly.time, hourly.temperature_2m]`.
        names: of the members, one for each path.
    """

    zip: tuple[Path, ...] = Field(min_length=1, max_length=200)
    names: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The name of each array's member."""
        return self.names or tuple(path.rpartition(".")[2] for path in self.zip)


class Source(Part):
    """What every kind of source has.

    Attributes:
        name: also the file's name and, behind `collect_`, the DAG's.
        description: for the DAG's page.
        connection: Airflow's connection, `source_<name>`.
        schedule: cron expression, preset such as @hourly, or null: by hand.
        paused: whether a new DAG waits to be unpaused.
        dataset: the rows' contract.
        deliver: `file` in incoming/, or messages of the contract's `topic`.
        keep_raw: where answers are kept as they came; null: nowhere.
        incremental: what a run reads after the first one; null: everything.
        limits: what one run reads at most of each element.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,49}$")
    description: str = Field("", max_length=2000)
    connection: str = Field(pattern=r"^source_[a-z0-9_]{1,60}$")
    schedule: str | None = Field(max_length=100)
    paused: bool = True
    dataset: str = Field(pattern=r"^[a-z][a-z0-9_]{0,49}$")
    deliver: Literal["file", "topic"] = "file"
    keep_raw: KeepRaw | None = None
    incremental: Incremental | None = None
    limits: Limits = Limits()


class RestSource(Source):
    """A REST API.

    Attributes:
        kind: `rest`.
        requests: each is read on its own.
        pagination: how the next page is found.
        records: path of the records in the answer, `{zip: [...]}`, or null if the answer itself is the list.
        auth: how login and password are sent; null: not at all.
        conditional: whether ETags are sent: of the first page with the next run's first request, of several pages if it
            had the newest `cursor`; of each page once more after the next one, to notice records that moved.
        empty_statuses: error statuses that mean: no records.
    """

    kind: Literal["rest"]
    requests: tuple[Request, ...] = Field(min_length=1, max_length=100)
    pagination: Pagination = SinglePage(type="single_page")
    records: Path | Zip | None = None
    auth: Auth | None = None
    conditional: bool = False
    empty_statuses: tuple[Annotated[int, Field(ge=400, le=499)], ...] = Field((), max_length=10)
