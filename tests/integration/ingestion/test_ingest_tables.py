"""The table is compared with its contract before anything is loaded; types are widened if no value changes."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from include.contracts.model import Column, ColumnType, ErrorBudget, RowRule, UnknownColumns
from include.ingestion.audit import Auditor
from include.ingestion.target import Target
from include.ingestion.upkeep.requeue import Selection, requeue

if TYPE_CHECKING:
    from conftest import MakePipeline
    from ingest_pipeline import Pipeline, Row

pytestmark = pytest.mark.integration

INTEGER = ColumnType.INTEGER
ID = Column("id", ColumnType.TEXT, required=True)
TYPES: dict[str, dict[str, Any]] = {
    "numeric(10,2)": {"type": ColumnType.NUMBER, "precision": 10, "scale": 2},
    "numeric(12,2)": {"type": ColumnType.NUMBER, "precision": 12, "scale": 2},
    "numeric(12,4)": {"type": ColumnType.NUMBER, "precision": 12, "scale": 4},
    "numeric(12,0)": {"type": ColumnType.NUMBER, "precision": 12, "scale": 0},
    "bigint": {"type": ColumnType.INTEGER},
    "double precision": {"type": ColumnType.FLOAT},
    "date": {"type": ColumnType.DATE},
    "timestamp": {"type": ColumnType.TIMESTAMP},
    "timestamptz": {"type": ColumnType.TIMESTAMPTZ},
    "text": {"type": ColumnType.TEXT},
    "uuid": {"type": ColumnType.UUID},
    "jsonb": {"type": ColumnType.JSON},
    "boolean": {"type": ColumnType.BOOLEAN},
}
SAMPLE = {
    "date": "2026-01-02", "timestamp": "2026-01-02T03:04:05", "timestamptz": "2026-01-02T03:04:05Z", "text": "word",
    "uuid": "6f1c2a34-9d1e-4c55-8a86-0c1f6f0b7e21", "boolean": "true",
}  # fmt: skip


def column(kind: str, **more: Any) -> Column:
    return replace(Column("v", ColumnType.TEXT), **TYPES[kind], **more)


def body(kind: str, number: int) -> str:
    return f"id,v\nr{number},{SAMPLE.get(kind, '7')}\n"


def made(make_pipeline: MakePipeline, *columns: Column, **changes: Any) -> Pipeline:
    shape = {"key": ("id",), "newest_by": None, "row_rules": (), "budget": ErrorBudget()}
    return make_pipeline(**shape, columns=columns, **changes)


def kind_of(pipeline: Pipeline, name: str = "v") -> str:
    query = (
        "SELECT format_type(atttypid, atttypmod) AS t FROM pg_attribute WHERE attrelid = %s::regclass AND attname = %s"
    )
    return pipeline.sql(query, f"raw.{pipeline.contract.dataset}", name)[0]["t"]


def assert_differs(pipeline: Pipeline, entry: Row, *words: str) -> None:
    report = pipeline.assert_refused(entry, "table-differs", "loading")
    for word in (f"raw.{pipeline.contract.dataset}", *words):
        assert word in report["message"]
    pipeline.assert_tidy()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("numeric(10,2)", "numeric(12,4)"),
        ("bigint", "numeric(12,2)"),
        ("bigint", "numeric(12,0)"),
        ("date", "timestamp"),
        ("bigint", "double precision"),
        ("double precision", "numeric(12,2)"),
        ("numeric(12,4)", "numeric(12,2)"),
        ("numeric(12,2)", "numeric(10,2)"),
        ("numeric(12,0)", "bigint"),
        ("timestamp", "date"),
        ("timestamp", "timestamptz"),
        ("timestamptz", "timestamp"),
        ("text", "bigint"),
        ("text", "numeric(12,2)"),
        ("text", "uuid"),
        ("text", "jsonb"),
        ("bigint", "text"),
        ("boolean", "text"),
        ("uuid", "text"),
        ("jsonb", "text"),
    ],
)
def test_column_of_another_type_is_refused_with_both_sides_and_the_remedy(
    make_pipeline: MakePipeline, old: str, new: str
) -> None:
    """CASES: a new version of a contract changes a column's type; the remedies are the old contract or a new table."""
    pipeline = made(make_pipeline, ID, column(old))
    pipeline.assert_archived(pipeline.send("1.csv", body(old, 1)), inserted=1)
    before, kind = pipeline.versions(), kind_of(pipeline)
    pipeline.contract = replace(pipeline.contract, version="2.0.0", columns=(ID, column(new)))

    entry = pipeline.send("2.csv", body(new, 2))

    assert_differs(pipeline, entry, f"v is {kind} in the table and {new} in the contract", f"TYPE {new} USING")
    assert (pipeline.versions(), kind_of(pipeline)) == (before, kind)


def test_refused_file_loads_after_the_remedy(make_pipeline: MakePipeline) -> None:
    pipeline = made(make_pipeline, ID, column("numeric(10,2)"))
    pipeline.send("1.csv", "id,v\na,1.25\n")
    pipeline.contract = replace(pipeline.contract, columns=(ID, column("numeric(12,4)")))
    entry = pipeline.send("2.csv", "id,v\nb,1.2345\n")
    remedy = entry["error_message"].split("reprocess the file: ")[1].rstrip(".")

    pipeline.sql(remedy)
    with pipeline.stores() as stores:
        dataset = pipeline.contract.dataset
        moved = requeue(Selection(dataset), pipeline.bucket, stores.objects, stores.connection, {dataset})
    assert len(moved.keys) == 1
    pipeline.run()

    pipeline.assert_archived(pipeline.entry(entry["file_id"]), inserted=1)
    assert [row["v"] for row in pipeline.rows()] == [Decimal("1.2500"), Decimal("1.2345")]


@pytest.mark.parametrize(
    ("made_as", "new", "becomes"),
    [
        ("varchar(5)", "text", "text"),
        ("varchar", "text", "text"),
        ("smallint", "bigint", "bigint"),
        ("integer", "bigint", "bigint"),
        ("numeric(10,2)", "numeric(12,2)", "numeric(12,2)"),
    ],
)
def test_type_is_widened_if_no_value_changes(make_pipeline: MakePipeline, made_as: str, new: str, becomes: str) -> None:
    """The table was created or altered by its owner, or the contract has a wider type now."""
    pipeline = made(make_pipeline, ID, column(new))
    value = {"text": "'five!'", "bigint": "32767", "numeric(12,2)": "99999999.99"}[new]
    pipeline.send("1.csv", "id,v\nnone,\n")
    pipeline.sql(f"ALTER TABLE {{table}} ALTER COLUMN v TYPE {made_as}")
    pipeline.sql(f"UPDATE {{table}} SET v = {value}")

    entry = pipeline.send("2.csv", {"text": "id,v\nb,longer than five\n", "bigint": "id,v\nb,9223372036854775807\n",
                                    "numeric(12,2)": "id,v\nb,9999999999.99\n"}[new])  # fmt: skip

    pipeline.assert_archived(entry, inserted=1)
    assert kind_of(pipeline) == becomes
    assert [str(row["v"]) for row in pipeline.rows()] == [
        {"text": "longer than five", "bigint": "9223372036854775807", "numeric(12,2)": "9999999999.99"}[new],
        value.strip("'"),
    ]


@pytest.mark.parametrize("made_as", ["char(5)", "real", "numeric", "json", "text[]", "interval"])
def test_foreign_types_are_not_widened(make_pipeline: MakePipeline, made_as: str) -> None:
    kind = {"char(5)": "text", "real": "double precision", "numeric": "numeric(12,2)", "json": "jsonb"}.get(
        made_as, "text"
    )
    pipeline = made(make_pipeline, ID, column(kind))
    pipeline.send("1.csv", "id,v\na,\n")
    pipeline.sql(f"ALTER TABLE {{table}} DROP COLUMN v, ADD COLUMN v {made_as}")

    assert_differs(pipeline, pipeline.send("2.csv", "id,v\nb,\n"), "the column v is ")


def test_view_over_a_column_that_must_be_widened_is_named(make_pipeline: MakePipeline) -> None:
    pipeline = made(make_pipeline, ID, column("numeric(10,2)"))
    pipeline.send("1.csv", "id,v\na,1\n")
    view = f"staging.{pipeline.contract.dataset}"
    pipeline.sql(f"CREATE VIEW {view} AS SELECT v FROM {{table}}")
    pipeline.contract = replace(pipeline.contract, columns=(ID, column("numeric(12,2)")))

    entry = pipeline.send("2.csv", "id,v\nb,2\n")

    assert_differs(pipeline, entry, view, "drop the objects that depend on the column")
    pipeline.sql(f"DROP VIEW {view}")
    pipeline.assert_archived(pipeline.send("3.csv", "id,v\nb,3\n"), inserted=1)


# --- keys


OTHER = Column("other", ColumnType.TEXT, required=True)


@pytest.mark.parametrize(
    ("old", "new"),
    [(("id",), ("id", "other")), (("id", "other"), ("id",)), (("id",), ("other",)), (("id", "other"), ("other", "v"))],
    ids=["one more", "one less", "another", "one of two"],
)
def test_changed_key_is_refused_with_both_sides_and_the_remedy(
    make_pipeline: MakePipeline, old: tuple[str, ...], new: tuple[str, ...]
) -> None:
    """CASES: a contract's key changes."""
    pipeline = made(make_pipeline, ID, OTHER, column("text", required=True))
    pipeline.contract = replace(pipeline.contract, key=old)
    pipeline.send("1.csv", "id,other,v\na,b,c\n")
    before = pipeline.versions()
    pipeline.contract = replace(pipeline.contract, key=new)

    entry = pipeline.send("2.csv", "id,other,v\na,b,d\n")

    assert_differs(pipeline, entry, f"({', '.join(old)}) in the table and ({', '.join(new)}) in the contract")
    assert pipeline.versions() == before
    pipeline.sql(entry["error_message"].split("reprocess the file: ")[1].rstrip("."))
    pipeline.assert_archived(pipeline.send("3.csv", "id,other,v\nz,z,z\n"), inserted=1)


def test_key_in_another_order_is_the_same_key(make_pipeline: MakePipeline) -> None:
    pipeline = made(make_pipeline, ID, OTHER)
    pipeline.contract = replace(pipeline.contract, key=("id", "other"))
    pipeline.send("1.csv", "id,other\na,b\n")
    pipeline.contract = replace(pipeline.contract, key=("other", "id"))

    pipeline.assert_archived(pipeline.send("2.csv", "id,other\na,b\nb,a\n"), inserted=1, unchanged=1)


def test_new_key_column_that_the_table_lacks_is_not_added(make_pipeline: MakePipeline) -> None:
    pipeline = made(make_pipeline, ID)
    pipeline.send("1.csv", "id\na\n")
    pipeline.contract = replace(pipeline.contract, columns=(ID, OTHER), key=("id", "other"))

    assert_differs(pipeline, pipeline.send("2.csv", "id,other\na,b\n"), "the key is (id) in the table")
    assert pipeline.sql("SELECT * FROM {table}")[0].keys() & {"id", "other"} == {"id"}


# --- constraints of a table


def test_required_column_that_becomes_optional_and_back_loads(make_pipeline: MakePipeline) -> None:
    pipeline = made(make_pipeline, ID, column("bigint"))
    pipeline.send("1.csv", "id,v\na,\n")
    pipeline.contract = replace(pipeline.contract, columns=(ID, column("bigint", required=True)))
    pipeline.assert_archived(pipeline.send("2.csv", "id,v\nb,1\n"), inserted=1)
    pipeline.contract = replace(pipeline.contract, columns=(ID, column("bigint")))
    pipeline.assert_archived(pipeline.send("3.csv", "id,v\nc,\n"), inserted=1)


def test_column_that_leaves_the_contract_stays_and_may_return_with_its_type_only(make_pipeline: MakePipeline) -> None:
    pipeline = made(make_pipeline, ID, column("bigint"), unknown_columns=UnknownColumns.EVOLVE)
    pipeline.send("1.csv", "id,v\na,1\n")
    pipeline.contract = replace(pipeline.contract, columns=(ID,))
    pipeline.assert_archived(pipeline.send("2.csv", "id\nb\n"), inserted=1)

    evolved = pipeline.send("3.csv", "id,v\nc,x\n")

    assert_differs(pipeline, evolved, "v is bigint in the table and text in the contract")
    pipeline.contract = replace(pipeline.contract, columns=(ID, column("bigint")))
    pipeline.assert_archived(pipeline.send("4.csv", "id,v\nc,3\n"), inserted=1)
    assert [row["v"] for row in pipeline.rows()] == [1, None, 3]


def test_evolved_column_that_enters_the_contract_as_another_type_is_refused(make_pipeline: MakePipeline) -> None:
    pipeline = made(make_pipeline, ID, unknown_columns=UnknownColumns.EVOLVE)
    pipeline.send("1.csv", "id,v\na,seven\n")
    pipeline.contract = replace(pipeline.contract, columns=(ID, column("bigint")))

    assert_differs(pipeline, pipeline.send("2.csv", "id,v\nb,7\n"), "v is text in the table and bigint in the contract")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("ALTER COLUMN v SET NOT NULL", "v is NOT NULL in the table and may be empty in the contract"),
        (
            "ADD COLUMN mine text; UPDATE {table} SET mine = ''; ALTER TABLE {table} ALTER COLUMN mine SET NOT NULL",
            "mine is NOT NULL in the table",
        ),
        ("DROP COLUMN v, ADD COLUMN v bigint GENERATED ALWAYS AS (_source_row) STORED", "v is generated by the table"),
        ("DROP COLUMN _loaded_at", "the column _loaded_at is missing in the table"),
        ("ALTER COLUMN _rescued TYPE text", "the column _rescued is text in the table"),
    ],
    ids=["not null", "column of the owner's", "generated", "no lineage", "other lineage"],
)
def test_table_that_its_owner_changed_is_refused_with_the_difference(
    make_pipeline: MakePipeline, change: str, words: str
) -> None:
    pipeline = made(make_pipeline, ID, column("bigint"))
    pipeline.send("1.csv", "id,v\na,1\n")
    pipeline.sql(f"ALTER TABLE {{table}} {change}")

    assert_differs(pipeline, pipeline.send("2.csv", "id,v\nb,2\n"), words)


@pytest.mark.parametrize(
    "change", ["ADD COLUMN mine text", "ADD COLUMN mine text NOT NULL DEFAULT 'x'",
               "ADD COLUMN mine bigint GENERATED ALWAYS AS (v * 2) STORED"]
)  # fmt: skip
def test_columns_of_the_owner_that_may_be_empty_are_kept(make_pipeline: MakePipeline, change: str) -> None:
    pipeline = made(make_pipeline, ID, column("bigint"))
    pipeline.send("1.csv", "id,v\na,1\n")
    pipeline.sql(f"ALTER TABLE {{table}} {change}")

    pipeline.assert_archived(pipeline.send("2.csv", "id,v\nb,2\n"), inserted=1)


def test_unlogged_table_is_refused(make_pipeline: MakePipeline) -> None:
    pipeline = made(make_pipeline, ID, column("bigint"))
    pipeline.send("1.csv", "id,v\na,1\n")
    pipeline.sql("ALTER TABLE {table} SET UNLOGGED")

    entry = pipeline.send("2.csv", "id,v\nb,2\n")

    assert_differs(pipeline, entry, "is UNLOGGED: a crash of PostgreSQL empties it")
    pipeline.sql(entry["error_message"].split("reprocess the file: ")[1].rstrip("."))
    pipeline.assert_archived(pipeline.send("3.csv", "id,v\nb,3\n"), inserted=1)


def test_table_that_the_owner_has_partitioned_is_loaded_and_counted(make_pipeline: MakePipeline) -> None:
    pipeline = made(make_pipeline, ID, column("bigint"))
    pipeline.send("1.csv", "id,v\na,1\n")
    dataset = pipeline.contract.dataset
    pipeline.sql(
        f"ALTER TABLE {{table}} RENAME TO {dataset}_0;"
        f"ALTER TABLE raw.{dataset}_0 RENAME CONSTRAINT {dataset}_pkey TO {dataset}_0_pkey;"
        f"CREATE TABLE {{table}} (LIKE raw.{dataset}_0 INCLUDING DEFAULTS, PRIMARY KEY (id)) PARTITION BY HASH (id);"
        f"ALTER TABLE {{table}} ATTACH PARTITION raw.{dataset}_0 FOR VALUES WITH (MODULUS 1, REMAINDER 0);"
        "GRANT SELECT, INSERT, UPDATE ON {table} TO ingest"
    )

    pipeline.assert_archived(pipeline.send("2.csv", "id,v\na,2\nb,2\n"), inserted=1, updated=1)
    assert {row["id"]: row["v"] for row in pipeline.rows()} == {"a": 2, "b": 2}


def test_derived_column_of_another_type_is_refused(make_pipeline: MakePipeline) -> None:
    twice = Column("twice", ColumnType.INTEGER, derived="v * 2")
    pipeline = made(make_pipeline, ID, column("bigint"), twice)
    pipeline.send("1.csv", "id,v\na,1\n")
    pipeline.contract = replace(
        pipeline.contract, columns=(ID, column("bigint"), replace(twice, type=ColumnType.FLOAT, derived="v * 2.5"))
    )

    assert_differs(pipeline, pipeline.send("2.csv", "id,v\nb,1\n"), "twice is bigint in the table")


def test_column_that_the_table_cannot_get_is_an_error_that_names_it(make_pipeline: MakePipeline) -> None:
    """PostgreSQL has a system column of this name: it adds no column, and the catalogue lists none."""
    pipeline = made(make_pipeline, ID, Column("xmin", ColumnType.INTEGER))

    entry = pipeline.send("1.csv", "id,xmin\na,1\n")

    assert entry["status"] == "loading_failed"
    assert "xmin" in entry["error_message"]


def test_column_that_the_table_still_lacks_after_a_change_is_an_error_that_names_it(
    make_pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = made(make_pipeline, ID, column("bigint"))
    monkeypatch.setattr(Target, "ensure", lambda *_: None)

    entry = pipeline.send("1.csv", "id,v\na,1\n")

    assert (entry["status"], entry["error_code"]) == ("loading_failed", "internal")
    assert "still lacks columns: id, v." in entry["error_message"]


def test_table_without_a_key_is_refused(make_pipeline: MakePipeline) -> None:
    pipeline = made(make_pipeline, ID)
    pipeline.send("1.csv", "id\na\n")
    pipeline.sql(f"ALTER TABLE {{table}} DROP CONSTRAINT {pipeline.contract.dataset}_pkey")

    entry = pipeline.send("2.csv", "id\nb\n")

    assert_differs(pipeline, entry, "the key is none in the table and (id) in the contract")
    pipeline.sql(entry["error_message"].split("reprocess the file: ")[1].rstrip("."))
    pipeline.assert_archived(pipeline.send("3.csv", "id\nc\n"), inserted=1)


# --- conflicting rows of one file


CONFLICT = "id,v\na,1\nb,2\na,3\nb,2\nc,4\n"


def test_conflicting_rows_are_refused_and_the_others_load(make_pipeline: MakePipeline) -> None:
    pipeline = made(make_pipeline, ID, column("bigint"))
    pipeline.contract = replace(pipeline.contract, budget=ErrorBudget(rows=2))

    entry = pipeline.send("1.csv", CONFLICT)

    pipeline.assert_archived(entry, inserted=2, duplicate=1, rejected=2)
    assert entry["rejects_by_code"] == {"conflicting-duplicate": 2}
    found = [(row["source_row"], row["source_line"], row["code"], row["raw_record"])
             for row in pipeline.rejected(entry["file_id"])]  # fmt: skip
    assert found == [(1, 2, "conflicting-duplicate", "a,1"), (3, 4, "conflicting-duplicate", "a,3")]
    assert [row["code"] for row in pipeline.reject_file(entry)] == ["conflicting-duplicate"] * 2
    assert {row["id"]: row["v"] for row in pipeline.rows()} == {"b": 2, "c": 4}


def test_conflicting_rows_beyond_the_budget_refuse_the_file(make_pipeline: MakePipeline) -> None:
    pipeline = made(make_pipeline, ID, column("bigint"))

    entry = pipeline.send("1.csv", CONFLICT)

    report = pipeline.assert_refused(entry, "error-budget-exceeded")
    assert "line 2" in report["message"]
    assert "also in line 4" in report["message"]


def test_file_of_conflicting_rows_only_loads_nothing_within_the_budget(make_pipeline: MakePipeline) -> None:
    pipeline = made(make_pipeline, ID, column("bigint"))
    pipeline.contract = replace(pipeline.contract, budget=ErrorBudget(share=1.0))

    pipeline.assert_archived(pipeline.send("1.csv", "id,v\na,1\na,2\n"), rejected=2)
    assert pipeline.rows() == []


# Names


def test_settle_keeps_the_staging_table_of_a_dataset_whose_name_ends_in_digits(
    make_pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The staging table of file 9 of `a_8` is `a_8_9_1`, which begins like the staging tables of file 8 of `a`."""
    one = made(make_pipeline, ID, column("bigint"))
    one.put("one.csv", body("bigint", 1))
    [[file_id]] = one.claim()
    one.ingest([[file_id]])
    other = made(make_pipeline, ID, column("bigint"), dataset=f"{one.contract.dataset}_{file_id}")
    audit, settled = Auditor.audit, []

    def audit_while_one_is_settled(auditor: Auditor, *which: Any) -> Any:
        settled.append(one.settle())
        return audit(auditor, *which)

    monkeypatch.setattr(Auditor, "audit", audit_while_one_is_settled)
    entry = other.send("other.csv", body("bigint", 2))

    assert settled == [{"archived": 1}]
    other.assert_archived(entry, inserted=1)
    assert [one.staging_tables(), other.staging_tables()] == [[], []]


NAMES = (
    *("rowid", "key_number", "newest", "other_row", "first_row", "content", "documents", "position", "filename"),
    *("s", "t", "oid", "excluded", "count", "row", "staging", "table", "file_id", "source_row", "loaded_at", "rescued"),
)


@pytest.mark.parametrize("path", ["fast", "slow"])
def test_columns_named_as_those_of_the_pipelines_own_queries_load(make_pipeline: MakePipeline, path: str) -> None:
    """All names are columns of one table, three of them its key: repeated, conflicting, new and changed rows."""
    columns = (*(Column(name, ColumnType.TEXT, required=True) for name in NAMES[:3]), Column("newest_by", INTEGER))
    columns += tuple(Column(name, ColumnType.TEXT) for name in NAMES[3:])
    columns += (Column("total", INTEGER, derived="newest_by + length(other_row)"),)
    pipeline = made(make_pipeline, *columns)
    rule = RowRule("first", "rowid <> 'no' AND \"count\" <> 'no'", "")
    pipeline.contract = replace(
        pipeline.contract, key=NAMES[:3], newest_by="newest_by", row_rules=(rule,), budget=ErrorBudget(share=0.9)
    )

    def file(*rows: tuple[str, int, str]) -> str:
        header = ",".join([*NAMES[:3], "newest_by", *NAMES[3:]])
        lines = [f"k,k,{key},{newest}," + ",".join([value] * len(NAMES[3:])) for key, newest, value in rows]
        return "\n".join([header, *lines, ""])

    bad = [("9", 1, "no")] if path == "slow" else []
    first = pipeline.send(
        "1.csv", file(("1", 1, "a"), ("1", 1, "a"), ("2", 1, "b"), ("2", 1, "c"), ("3", 1, "d"), *bad)
    )
    second = pipeline.send("2.csv", file(("1", 2, "e"), ("3", 1, "d"), ("3", 0, "x"), *bad))

    pipeline.assert_archived(first, inserted=2, duplicate=1, rejected=2 + len(bad))
    pipeline.assert_archived(second, updated=1, unchanged=1, duplicate=1, rejected=len(bad))
    rows = [(row["newest"], {row[name] for name in NAMES[3:]}, row["total"]) for row in pipeline.rows()]
    assert rows == [("1", {"e"}, 3), ("3", {"d"}, 2)]
