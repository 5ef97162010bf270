"""Hostile names, columns and cells, with an S3 server that accepts every key, and with PostgreSQL.

The platform's own S3 server refuses some of these keys at the upload; another one may accept them all.
"""

from __future__ import annotations

import csv
import io
import logging
from typing import TYPE_CHECKING

import pytest
from ingest_pipeline import LINEAGE
from moto.server import ThreadedMotoServer

from include.contracts.catalog import Catalog
from include.contracts.column_names import is_column_name, table_column
from include.contracts.model import UnknownColumns
from include.errors import PipelineError
from include.ingestion.object_keys import MAX_KEY_BYTES, REJECTS, REPORT, incoming_prefix
from include.ingestion.records import AirflowRun
from include.ingestion.upkeep.requeue import Selection, requeue
from include.ingestion.upkeep.sweep import sweep
from include.samples.badness import Bad, BadKind
from include.settings import S3Config
from include.stores.object_store import ObjectStore
from local.services import bucket as local_bucket

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from conftest import MakePipeline
    from ingest_pipeline import Pipeline

pytestmark = pytest.mark.integration

ROWS = 5
NAMES = {
    "climbs": "../../../etc/passwd",
    "climbs inside": "a/../../b.csv",
    "climbs to processed": "x/../../processed/y.csv",
    "climbs encoded": "..%2f..%2fb.csv",
    "ends in climbing": "a/..",
    "is climbing": "..",
    "double slash": "a//b.csv",
    "slash first": "/etc/passwd",
    "dot": "./a.csv",
    "backslashes": "..\\..\\c:\\b.csv",
    "single quote": "o'neil.csv",
    "double quote": 'the "best".csv',
    "statement": "a'; DROP TABLE raw.sales; --.csv",
    "placeholders": "%s {} :name $1.csv",
    "encoded NUL": "a%00b.csv",
    "NUL": "a\0b.csv",
    "NUL alone": "\0",
    "carriage return": "a\rINFO all is well.csv",
    "tab": "a\tb.csv",
    "ANSI": "\x1b[2J\x1b[31mred\x1b[0m.csv",
    "C1": "a\x9b31mb.csv",
    "line separator": "a\u2028b.csv",
    "right to left": "a\u202evsc.exe",
    "isolate": "\u2066a\u2069.csv",
    "composed": "\u00fc.csv",
    "decomposed": "u\u0308.csv",
    "no character": "a\uffff.csv",
    "space last": "a.csv ",
    "dot last": "a.csv.",
    "query": "a?b#c&d=e+f.csv",
    "report of another": "is climbing.report.json",
    "report": f"tab{REPORT}",
    "rejects": f"tab{REJECTS}",
    "longest": "x",  # filled up to the last byte that a key may have
    "longest of wide signs": "\U0001f600",
}
WITH_COMPANIONS = (
    "climbs to processed", "is climbing", "slash first", "double quote", "placeholders", "NUL", "carriage return",
    "ANSI", "right to left", "space last", "report of another", "longest", "longest of wide signs",
)  # fmt: skip


@pytest.fixture(scope="module")
def accepting_server() -> Iterator[S3Config]:
    """An S3 server in memory that accepts every key unchanged."""
    chatter = logging.getLogger("werkzeug")
    level = chatter.level
    chatter.setLevel(logging.CRITICAL)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield S3Config(endpoint_url=f"http://{host}:{port}", access_key_id="any", secret_access_key="any")
    finally:
        server.stop()
        chatter.setLevel(level)


@pytest.fixture
def plain(make_pipeline: MakePipeline) -> MakePipeline:
    """Makes pipelines with the platform's own stores."""
    return make_pipeline


@pytest.fixture
def pipeline(make_pipeline: MakePipeline, accepting_server: S3Config) -> Pipeline:
    """A pipeline with the contract of sales, in a bucket of that server."""
    pipeline = make_pipeline()
    pipeline.s3, pipeline.objects = accepting_server, ObjectStore(accepting_server)
    local_bucket.client(accepting_server).create_bucket(Bucket=pipeline.bucket)
    return pipeline


def put_all(pipeline: Pipeline, *titles: str, bad: Sequence[Bad] = ()) -> dict[str, bytes]:
    """Put a file of each name, each with other rows; the contents by key."""
    put = {}
    room = MAX_KEY_BYTES - len(incoming_prefix(pipeline.contract.dataset))
    for at, (title, sign) in enumerate((title, NAMES[title]) for title in titles):
        name = sign * (room // len(sign.encode())) if title.startswith("longest") else sign
        body = pipeline.sample("sample.csv", ROWS, start=at * 100, seed=at, bad=bad).path.read_bytes()
        put[pipeline.put(name, body)] = body
    return put


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The messages that the pipeline logged."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("include.")]


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")} - {"spool", "sample.csv"}


def assert_kept_once(pipeline: Pipeline, put: dict[str, bytes], prefix: str, *companions: str) -> None:
    """Assert that each content has exactly one object, with a valid key and its companions, and nothing else exists."""
    entries = pipeline.entries()
    settled = {entry["settled_key"] for entry in entries}
    assert len(entries) == len(settled) == len(put)
    for entry in entries:
        folder = f"{prefix}{entry['dataset']}/{entry['file_id']}/"
        assert entry["settled_key"].startswith(folder)
        assert "/" not in entry["settled_key"].removeprefix(folder)
    there = pipeline.keys()
    assert set(there) == {key + end for key in settled for end in ("", *companions)}
    assert max(len(key.encode()) for key in there) <= MAX_KEY_BYTES
    assert sorted(pipeline.read(key) for key in settled) == sorted(put.values())


def test_files_of_hostile_names_are_loaded_and_archived(pipeline: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    put = put_all(pipeline, *NAMES)
    before = files_below(pipeline.folder)

    for _ in range(2):
        pipeline.run()

    assert {entry["object_key"]: entry["error_message"] for entry in pipeline.entries() if entry["error_code"]} == {}
    assert {entry["status"] for entry in pipeline.entries()} == {"archived"}
    assert pipeline.count() == ROWS * len(put)
    assert_kept_once(pipeline, put, "processed/")
    assert files_below(pipeline.folder) == before
    assert [line for line in logged(caplog) if not line.isprintable()] == []
    pipeline.assert_tidy()


# The names that the platform's server refuses at the upload; local/README.md also lists those that it changes.
NOT_TAKEN = {"climbs", "climbs inside", "climbs to processed", "ends in climbing", "is climbing", "dot", "backslashes",
             "NUL", "NUL alone", "longest", "longest of wide signs"}  # fmt: skip


@pytest.mark.parametrize("title", sorted(NOT_TAKEN))
def test_platforms_server_refuses_a_hostile_name_at_the_upload(plain: MakePipeline, title: str) -> None:
    pipeline = plain()
    with pytest.raises(PipelineError, match=r"InvalidRequest|KeyTooLongError"):
        put_all(pipeline, title)
    assert pipeline.keys() == []


def test_files_of_hostile_names_are_loaded_from_the_platforms_server(
    plain: MakePipeline, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    pipeline = plain()
    put = put_all(pipeline, *(title for title in NAMES if title not in NOT_TAKEN))
    assert set(pipeline.keys()) == {key.replace("//", "/") for key in put}

    for _ in range(2):
        pipeline.run()

    assert {entry["status"] for entry in pipeline.entries()} == {"archived"}
    assert pipeline.count() == ROWS * len(put)
    assert_kept_once(pipeline, put, "processed/")
    assert [line for line in logged(caplog) if not line.isprintable()] == []
    pipeline.assert_tidy()


def test_bad_files_of_hostile_names_are_quarantined_with_reports_and_requeued(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    put = put_all(pipeline, *WITH_COMPANIONS, bad=[Bad(BadKind.BAD_DATE)])
    for _ in range(2):
        pipeline.run()
    refused = {entry["object_key"]: entry["error_code"] for entry in pipeline.entries()}
    assert set(refused.values()) == {"error-budget-exceeded"}
    assert_kept_once(pipeline, put, "failed/validation_failed/", REPORT, REJECTS)

    with pipeline.stores() as stores:
        requeued = requeue(Selection(), pipeline.bucket, stores.objects, stores.connection, {pipeline.contract.dataset})

    assert (set(requeued.keys), requeued.missing, requeued.waiting) == (set(refused), (), ())
    assert set(pipeline.keys()) == set(refused)
    pipeline.run()
    assert_kept_once(pipeline, put, "failed/validation_failed/", REPORT, REJECTS)
    for entry in pipeline.entries():
        pipeline.assert_refused(entry, "error-budget-exceeded")
        assert len(pipeline.reject_file(entry)) == 1
    assert [line for line in logged(caplog) if not line.isprintable()] == []
    pipeline.assert_tidy()


def test_sweep_handles_hostile_names(pipeline: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    keys = {f"incoming/{name}" for name in NAMES.values()} | {"incoming/" + "\0" * (MAX_KEY_BYTES - 9)}
    for at, key in enumerate(sorted(keys)):
        pipeline.objects.put(pipeline.bucket, key, str(at).encode())
    catalog = Catalog({pipeline.contract.dataset: pipeline.contract})

    with pipeline.stores() as stores:
        run = AirflowRun("sweep_test", "run-1")
        found = [sweep(lambda: catalog, stores, run, pipeline.settings) for _ in range(3)]

    renamed = sum("\0" in key for key in keys)
    assert [swept.quarantined for swept in found] == [len(keys) - renamed, renamed, 0]
    left = pipeline.keys()
    assert sorted(pipeline.read(key) for key in left if not key.endswith(REPORT) or key + REPORT in left) == sorted(
        str(at).encode() for at in range(len(keys))
    )
    assert {key.split("/")[0] for key in left} == {"failed"}
    assert [line for line in logged(caplog) if not line.isprintable()] == []


# --- columns and cells that try SQL

LONG = "x" * 70
COLUMNS = [
    'x"; DROP TABLE raw.sales;--', "%s", "{}", "{0!r}", ":name", "$1", "?", LONG, "_file_id", "_rescued", "_loaded_at",
    "ctid", "tableoid", "xmin", "cmax", "oid", "select", "user", "Straße", "'); SELECT pg_sleep(60);--", "\\", "a\tb",
    "\u202eright to left", "\x1b[31m", " ", "=cmd()", "\ufeffmarked", "__proto__", "<script>",
]  # fmt: skip
CELLS = [
    "'; DROP TABLE raw.sales;--", '"', "\\.", "\\N", "\\x00", "%s", "{}", "$$", "NULL", "9" * 5_000,
    "-" + "9" * 400 + "e999", "\x1b[2J", "\u202e", "\U0010ffff", "\t", "''", "{\"a\": 1}", "E'\\001'", "\ufffe",
]  # fmt: skip


def csv_of(rows: list[list[str]]) -> str:
    target = io.StringIO()
    csv.writer(target, quoting=csv.QUOTE_ALL).writerows(rows)
    return target.getvalue()


def with_columns(pipeline: Pipeline, names: Sequence[str], cells: Sequence[str]) -> list[list[str]]:
    """Five good rows with these columns added; each row starts one cell later in `cells`."""
    good = list(csv.reader(io.StringIO(pipeline.sample("sample.csv", ROWS).path.read_text())))
    added = [[cells[(row + at) % len(cells)] for at in range(len(names))] for row in range(ROWS)]
    return [[*good[0], *names], *([*row, *more] for row, more in zip(good[1:], added, strict=True))]


def columns_of(pipeline: Pipeline) -> list[str]:
    found = pipeline.sql(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
        f"raw.{pipeline.contract.dataset}",
    )
    return [row["attname"] for row in found]


def extra_of(pipeline: Pipeline) -> list[str]:
    own = {*(column.name for column in pipeline.contract.columns), *LINEAGE, "_rescued"}
    return [name for name in columns_of(pipeline) if name not in own]


def test_hostile_columns_and_cells_are_rescued_as_they_came(plain: MakePipeline) -> None:
    pipeline = plain(unknown_columns=UnknownColumns.RESCUE)
    rows = with_columns(pipeline, COLUMNS, CELLS)

    entry = pipeline.send("a.csv", csv_of(rows))

    pipeline.assert_archived(entry, inserted=ROWS)
    assert extra_of(pipeline) == []
    first = len(rows[0]) - len(COLUMNS)
    sent = [dict(zip(COLUMNS, row[first:], strict=True)) for row in rows[1:]]
    kept = [row["_rescued"] for row in pipeline.sql("SELECT _rescued FROM {table} ORDER BY _source_row")]
    assert kept == sent


def test_hostile_columns_become_columns_of_plain_names(plain: MakePipeline) -> None:
    pipeline = plain(unknown_columns=UnknownColumns.EVOLVE)
    names = COLUMNS
    rows = with_columns(pipeline, names, CELLS)

    entry = pipeline.send("a.csv", csv_of(rows))

    pipeline.assert_archived(entry, inserted=ROWS)
    assert extra_of(pipeline) == [table_column(name) for name in names]
    assert all(is_column_name(name) for name in extra_of(pipeline))
    first = len(rows[0]) - len(names)
    for at, name in enumerate(names):
        kept = pipeline.sql("SELECT {column} AS v FROM {table} ORDER BY _source_row", column=table_column(name))
        assert [row["v"] for row in kept] == [row[first + at] for row in rows[1:]], name


REFUSED: dict[str, tuple[list[str], UnknownColumns, str]] = {
    "NUL, kept aside": (["a\0b"], UnknownColumns.RESCUE, "unreadable-file"),
    "NUL, as a column": (["a\0b"], UnknownColumns.EVOLVE, "unreadable-file"),
    "alike but for case, as columns": (["Note", "NOTE"], UnknownColumns.EVOLVE, "duplicate-columns"),
    "alike but for signs, as columns": (["a-b", "a b"], UnknownColumns.EVOLVE, "duplicate-columns"),
    "alike but for case, kept aside": (["Note", "NOTE"], UnknownColumns.RESCUE, "duplicate-columns"),
    "alike but for normalisation": (["\u00fc", "u\u0308"], UnknownColumns.RESCUE, "duplicate-columns"),
    "twice without a name": (["", ""], UnknownColumns.RESCUE, "duplicate-columns"),
    "one too many": ([f"c{at}" for at in range(490)], UnknownColumns.RESCUE, "too-many-columns"),
    "one too many, as columns": ([f"c{at}" for at in range(490)], UnknownColumns.EVOLVE, "too-many-columns"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=list(REFUSED))
def test_columns_that_are_alike_or_cannot_be_stored_are_refused(
    plain: MakePipeline, case: tuple[list[str], UnknownColumns, str]
) -> None:
    names, mode, code = case
    pipeline = plain(unknown_columns=mode)
    entry = pipeline.send("a.csv", csv_of(with_columns(pipeline, names, ["x"])))
    pipeline.assert_refused(entry, code)
    assert entry["error_message"].isprintable()


def test_columns_that_differ_in_more_than_spelling_are_rescued_apart(plain: MakePipeline) -> None:
    pipeline = plain(unknown_columns=UnknownColumns.RESCUE)
    names = ["Note", "Note.", "\u00fc", "u", ""]
    pipeline.assert_archived(pipeline.send("a.csv", csv_of(with_columns(pipeline, names, ["x"]))), inserted=ROWS)
    (row, *_) = pipeline.sql("SELECT _rescued FROM {table}")
    assert set(row["_rescued"]) == set(names)


def test_as_many_columns_as_the_limit_allows_are_taken(plain: MakePipeline) -> None:
    pipeline = plain(unknown_columns=UnknownColumns.EVOLVE)
    own = len(with_columns(pipeline, [], ["x"])[0])
    names = [f"c{at}" for at in range(500 - own)]
    pipeline.assert_archived(pipeline.send("a.csv", csv_of(with_columns(pipeline, names, ["x"]))), inserted=ROWS)
    assert len(extra_of(pipeline)) == 500 - own


def test_table_with_the_most_columns_gets_no_more(plain: MakePipeline) -> None:
    """PostgreSQL's limit of 1,600 columns: the file is refused, and the table keeps its rows."""
    pipeline = plain(unknown_columns=UnknownColumns.EVOLVE)
    for turn in range(4):
        names = [f"c{turn}_{at}" for at in range(480)]
        entry = pipeline.send(f"{turn}.csv", csv_of(with_columns(pipeline, names, [f"x{turn}"])))
    pipeline.assert_refused(entry, "warehouse-refused", "loading")
    assert len(extra_of(pipeline)) == 3 * 480
    assert pipeline.sql("SELECT count(c2_0) AS n FROM {table}") == [{"n": ROWS}]
    pipeline.assert_tidy()
