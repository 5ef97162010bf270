"""The models on files loaded by the real pipeline, compared with what Python computes from the same rows.

A build takes seconds, so the tests of this module share three builds, in this order: of the first files, of late and
corrected ones, and of a row that violates a rule while a reader has an open transaction.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

import pytest
from dbt_project import ROOT

from include.stores.sql_text import statement

if TYPE_CHECKING:
    from pathlib import Path

    from dbt_project import Row, Warehouse

pytestmark = pytest.mark.integration

MODELS = {
    "stg_commits": "staging", "stg_sales": "staging", "stg_transactions": "staging",
    "commit_metrics": "analytics", "ml_features": "analytics", "daily_sales": "analytics",
    "top_customers": "analytics", "category_performance": "analytics", "ingestion_health": "analytics",
    "transactions_by_category": "analytics", "daily_customer_sales": "analytics",
    "stg_crypto_prices": "staging", "stg_weather": "staging", "stg_github_events": "staging",
    "crypto_price_summary": "analytics", "weather_analytics": "analytics", "developer_insights": "analytics",
    "repository_insights": "analytics", "activity_by_hour": "analytics",
}  # fmt: skip
FEATURES = {
    "sha", "repository", "authored_at", "message", "author_email", "comment_count", "author_commits_before",
    "hours_since_author_commit", "author_domain", "is_company_email", "message_words", "has_reference", "is_weekend",
    "is_business_hours", "hour", "weekday", "is_merge",
}  # fmt: skip
AUTHORS = [("Ada", "ada@acme.org"), ("Bob", "bob@gmail.com"), ("Cy", None), ("Cy", "cy@acme.org")]
NIGHT = datetime(2026, 3, 1, tzinfo=UTC)


# Input rows


def commit(number: int, repository: str, author: tuple[str, str | None], at: datetime, **changes: Any) -> Row:
    return {
        "sha": f"{number:040x}", "repository": repository, "author_name": author[0], "author_email": author[1],
        "authored_at": at.isoformat(), "committed_at": at.isoformat(), "message": f"Change {number}",
        "parent_count": 2 if number % 5 == 0 else 1, "comment_count": number % 3, "is_verified": number % 2 == 0,
        "fetched_at": "2026-06-01T00:00:00+00:00", **changes,
    }  # fmt: skip


def sale(number: int, day: date, cents: int, **changes: Any) -> Row:
    return {
        "sale_id": f"S{number}", "sale_date": day.isoformat(), "customer_id": f"C{number % 7}",
        "customer_name": f"Customer {number % 7}", "product": "Lamp", "category": ("Books", "Toys")[number % 2],
        "quantity": 1, "unit_price": cents / 100, "total_amount": cents / 100, "region": None,
        "updated_at": "2026-06-01T00:00:00+00:00", **changes,
    }  # fmt: skip


def first_commits() -> list[Row]:
    """Return commits on a coarse grid of hours, so that many have the same time."""
    chance = random.Random(7)
    return [
        commit(
            number, chance.choice(["o/one", "o/two"]), chance.choice(AUTHORS),
            NIGHT + timedelta(hours=chance.randrange(60)),
        )
        for number in range(120)
    ]  # fmt: skip


def first_sales() -> list[Row]:
    """Return sales with days, and a period of more than a week, without sales."""
    chance = random.Random(8)
    days = [day for day in range(60) if day % 4 and not 20 <= day < 30]
    return [sale(n, date(2026, 1, 5) + timedelta(chance.choice(days)), chance.randrange(1, 99999)) for n in range(150)]


FIRST_COMMITS, FIRST_SALES = first_commits(), first_sales()
LATE_COMMITS = [
    commit(900, "o/one", AUTHORS[0], NIGHT - timedelta(days=1)),  # before all others of its author
    FIRST_COMMITS[3] | {"message": "Corrected, fixes #12", "fetched_at": "2026-06-02T00:00:00+00:00"},
    # As Git allows it: no author and an empty message.
    commit(901, "o/one", ("", None), NIGHT + timedelta(hours=3), authored_at=None, message=""),
    commit(902, "o/one", ("", None), datetime(2106, 2, 7, tzinfo=UTC), message=""),
]
LATE_SALES = [
    sale(900, date(2026, 1, 28), 123456),
    FIRST_SALES[0] | {"unit_price": 1.0, "total_amount": 1.0, "updated_at": "2026-06-02T00:00:00+00:00"},
]
BAD_FILE = [sale(950, date(2026, 1, 1), 100), sale(951, date(2026, 1, 1), 100, quantity=-1)]


def latest(rows: list[Row], key: str) -> list[Row]:
    return list({row[key]: row for row in rows}.values())


# Expected results, computed in Python


def expected_days(sales: list[Row]) -> list[Row]:
    cents: dict[date, int] = defaultdict(int)
    for row in sales:
        cents[date.fromisoformat(row["sale_date"])] += round(row["total_amount"] * 100)
    first, last = min(cents), max(cents)
    days = [first + timedelta(n) for n in range((last - first).days + 1)]
    return [
        {
            "sale_date": day,
            "revenue": Decimal(cents.get(day, 0)) / 100,
            "revenue_7_day_average": (
                Decimal(sum(cents.get(d, 0) for d in days[max(0, n - 6) : n + 1])) / 100 / min(7, n + 1)
            ).quantize(Decimal("0.01"), ROUND_HALF_UP),
        }
        for n, day in enumerate(days)
    ]


def expected_history(commits: list[Row]) -> dict[str, tuple[int, float | None]]:
    def at(row: Row) -> datetime:
        return datetime.fromisoformat(row["authored_at"] or row["committed_at"])

    found = {}
    for row in commits:
        author = row["author_email"] or row["author_name"]
        before = [
            at(other) for other in commits
            if (other["author_email"] or other["author_name"], other["repository"]) == (author, row["repository"])
            and at(other) < at(row)
        ]  # fmt: skip
        hours = (at(row) - max(before)).total_seconds() / 3600 if before else None
        found[row["sha"]] = (len(before), hours)
    return found


def expected_health(ledger: list[Row]) -> dict[str, Row]:
    found = {}
    for dataset in {entry["dataset"] for entry in ledger}:
        own = [entry for entry in ledger if entry["dataset"] == dataset]
        loaded = [entry for entry in own if entry["status"] in {"loaded", "archived"}]
        read = sum(entry["rows_read"] or 0 for entry in own)
        rejected = sum(entry["rows_rejected"] or 0 for entry in own)
        found[dataset] = {
            "files": len(own),
            "files_loaded": len(loaded),
            "files_failed": sum(entry["status"].endswith("failed") for entry in own),
            "rows_read": read,
            "rows_inserted": sum(entry["rows_inserted"] for entry in loaded),
            "rows_updated": sum(entry["rows_updated"] for entry in loaded),
            "rows_rejected": rejected,
            "reject_share": round(Decimal(rejected) / read, 6),
            "last_loaded_at": max(entry["loaded_at"] for entry in loaded),
            "seconds": statistics.median((e["loaded_at"] - e["claimed_at"]).total_seconds() for e in loaded),
        }
    return found


# Builds


@pytest.fixture(scope="module")
def first_build(warehouse: Warehouse) -> dict[str, Row]:
    """The first build: commits and sales are loaded, one file of sales was rejected, there are no transactions yet."""
    warehouse.send("commits", "commits_1.ndjson", FIRST_COMMITS)
    warehouse.send("sales", "sales_1.ndjson", FIRST_SALES)
    warehouse.send("sales", "sales_bad.ndjson", BAD_FILE)
    warehouse.make_tables()
    return warehouse.build()


def versions(warehouse: Warehouse, table: str, key: str) -> dict[str, str]:
    return {row["key"]: row["xmin"] for row in warehouse.sql(f"SELECT {key} AS key, xmin::text FROM staging.{table}")}


@pytest.fixture(scope="module")
def touched(warehouse: Warehouse, first_build: dict[str, Row]) -> dict[str, set[str]]:
    """The second build, after late and corrected rows; returns the staged rows that it has written."""
    before = {name: versions(warehouse, *name) for name in (("stg_commits", "sha"), ("stg_sales", "sale_id"))}
    warehouse.send("commits", "commits_2.ndjson", LATE_COMMITS)
    warehouse.send("sales", "sales_2.ndjson", LATE_SALES)
    # A long load: its transaction started before one that the first build included.
    warehouse.sql(
        "UPDATE raw.sales SET _loaded_at = _loaded_at - interval '10 minutes' WHERE sale_id = 'S900'", role="owner"
    )
    results = warehouse.build("--exclude-resource-type", "unit_test")
    assert {result["status"] for result in results.values()} <= {"success", "pass"}
    return {
        table: {name for name, version in versions(warehouse, table, key).items() if old.get(name) != version}
        for (table, key), old in before.items()
    }


def test_all_models_build_and_all_tests_pass(first_build: dict[str, Row]) -> None:
    assert {name for name, result in first_build.items() if result["status"] == "success"} == set(MODELS)
    assert {result["status"] for result in first_build.values()} == {"success", "pass"}


def test_unit_tests_and_singular_tests_ran(first_build: dict[str, Row]) -> None:
    kinds = [result["unique_id"].split(".")[0] for result in first_build.values()]
    assert kinds.count("unit_test") >= 7
    assert first_build.keys() >= {
        "daily_sales_adds_up", "ingestion_health_balances", "commit_metrics_add_up", "ml_features_are_complete",
        "daily_customer_sales_add_up",
    }  # fmt: skip


@pytest.mark.parametrize(("model", "schema"), MODELS.items(), ids=list(MODELS))
def test_reader_reads_and_does_not_write(
    warehouse: Warehouse, first_build: dict[str, Row], model: str, schema: str
) -> None:
    assert warehouse.sql(f"SELECT count(*) AS n FROM {schema}.{model}")[0]["n"] >= 0
    rights = "INSERT, UPDATE, DELETE, TRUNCATE"
    asked = warehouse.sql("SELECT has_table_privilege(%s, %s) AS granted", f"{schema}.{model}", rights)
    assert asked == [{"granted": False}]


def test_features_have_exactly_their_columns(warehouse: Warehouse, first_build: dict[str, Row]) -> None:
    row = warehouse.sql("SELECT * FROM analytics.ml_features LIMIT 1")[0]
    assert set(row) == FEATURES
    types = warehouse.sql(
        "SELECT data_type FROM information_schema.columns "
        "WHERE table_name = 'ml_features' AND column_name = 'hours_since_author_commit'",
        role="transform",
    )
    assert types == [{"data_type": "double precision"}]


def test_rolling_average_is_right_after_late_sales(warehouse: Warehouse, touched: dict[str, set[str]]) -> None:
    days = warehouse.sql("SELECT sale_date, revenue, revenue_7_day_average FROM analytics.daily_sales ORDER BY 1")
    assert days == expected_days(latest(FIRST_SALES + LATE_SALES, "sale_id"))


def test_features_know_only_the_past_after_a_late_commit(warehouse: Warehouse, touched: dict[str, set[str]]) -> None:
    rows = warehouse.sql("SELECT * FROM analytics.ml_features")
    found = {row["sha"]: (row["author_commits_before"], row["hours_since_author_commit"]) for row in rows}
    expected = expected_history(latest(FIRST_COMMITS + LATE_COMMITS, "sha"))
    assert found == {sha: (count, pytest.approx(hours)) for sha, (count, hours) in expected.items()}
    assert max(count for count, _ in found.values()) > 10


def test_corrected_commit_replaces_the_old_one(warehouse: Warehouse, touched: dict[str, set[str]]) -> None:
    (row,) = warehouse.sql("SELECT * FROM analytics.ml_features WHERE sha = %s", LATE_COMMITS[1]["sha"])
    assert (row["message"], row["has_reference"], row["message_words"]) == ("Corrected, fixes #12", True, 3)


def test_commit_without_author_and_message_is_staged(warehouse: Warehouse, touched: dict[str, set[str]]) -> None:
    (row,) = warehouse.sql("SELECT * FROM staging.stg_commits WHERE sha = %s", LATE_COMMITS[2]["sha"])
    known = ("author", "author_name", "message", "message_length", "authored_at", "hour", "weekday", "is_night")
    assert [row[name] for name in known] == ["unknown", None, "", 0, NIGHT + timedelta(hours=3), 3, 7, True]


def test_second_build_writes_only_what_is_new_to_it(touched: dict[str, set[str]]) -> None:
    assert touched == {
        "stg_commits": {row["sha"] for row in LATE_COMMITS},
        "stg_sales": {row["sale_id"] for row in LATE_SALES},
    }


def test_ingestion_health_matches_the_ledger(warehouse: Warehouse, touched: dict[str, set[str]]) -> None:
    expected = expected_health(warehouse.sql("SELECT * FROM ops.file_ingestion_log"))
    assert set(expected) == {"commits", "sales"}
    assert (expected["sales"]["files_failed"], expected["sales"]["rows_rejected"]) == (1, 1)
    rows = warehouse.sql("SELECT * FROM analytics.ingestion_health")
    # A run over midnight has rows on two days: the sums are compared.
    for dataset, values in expected.items():
        own = [row for row in rows if row["dataset"] == dataset]
        for name in ("files", "files_loaded", "files_failed", "rows_read", "rows_inserted", "rows_updated"):
            assert sum(row[name] for row in own) == values[name], (dataset, name)
        assert sum(row["rows_rejected"] for row in own) == values["rows_rejected"]
        assert {row["dataset_last_loaded_at"] for row in own} == {values["last_loaded_at"]}
        assert all(0 <= row["hours_since_load"] < 1 for row in own)
        if len(own) == 1:
            assert own[0]["reject_share"] == values["reject_share"]
            assert own[0]["median_load_seconds"] == pytest.approx(values["seconds"])


def staged_commits(warehouse: Warehouse) -> Row:
    (row,) = warehouse.sql(statement("staged_commits").decode(), role="transform")
    return row


def test_staged_commits_version_changes_with_every_row_and_version(
    warehouse: Warehouse, touched: dict[str, set[str]]
) -> None:
    before = staged_commits(warehouse)
    assert before["commits"] == len(latest(FIRST_COMMITS + LATE_COMMITS, "sha"))
    assert before == staged_commits(warehouse)
    # As by a long load that started before the newest one.
    with warehouse.connect("transform") as connection, connection.transaction(force_rollback=True):
        connection.execute(
            "UPDATE staging.stg_commits SET loaded_at = loaded_at - interval '1 minute' WHERE sha = %s",
            [FIRST_COMMITS[0]["sha"]],
        )
        after = connection.execute(statement("staged_commits")).fetchone()
    assert after is not None
    assert (after["commits"], after["newest"]) == (before["commits"], before["newest"])
    assert after["version"] != before["version"]


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM analytics.ml_features WHERE sha = %s",
        "INSERT INTO analytics.ml_features SELECT * FROM analytics.ml_features WHERE sha = %s",
        "UPDATE analytics.ml_features SET sha = 'x' || sha WHERE sha = %s",
    ],
    ids=["a commit without features", "twice", "features of no commit"],
)
def test_features_that_are_not_those_of_the_staged_commits_are_found(
    warehouse: Warehouse, touched: dict[str, set[str]], first_build: dict[str, Row], change: str
) -> None:
    query = first_build["ml_features_are_complete"]["compiled_code"]
    assert warehouse.sql(query, role="transform") == []
    with warehouse.connect("transform") as connection, connection.transaction(force_rollback=True):
        connection.execute(change, [FIRST_COMMITS[0]["sha"]])
        found = connection.execute(query).fetchall()
    assert FIRST_COMMITS[0]["sha"] in {row["sha"] for row in found}


@pytest.fixture(scope="module")
def troubled(warehouse: Warehouse, touched: dict[str, set[str]]) -> dict[str, Row]:
    """The third build: a sale violates a rule, and a reader of the features has an open transaction."""
    warehouse.sql("UPDATE raw.sales SET category = 'Nonsense', _loaded_at = now() WHERE sale_id = 'S1'", role="owner")
    with warehouse.connect("reader") as reader, reader.transaction():
        reader.execute("SELECT count(*) FROM analytics.ml_features")
        return warehouse.build(
            "--select", "stg_sales+", "ml_features", "--indirect-selection", "buildable",
            "--exclude-resource-type", "unit_test", options="-c lock_timeout=300ms -c statement_timeout=60s",
        )  # fmt: skip


def test_reader_in_an_open_transaction_does_not_block_dbt_without_limit(troubled: dict[str, Row]) -> None:
    assert troubled["ml_features"]["status"] == "error"
    assert "lock timeout" in troubled["ml_features"]["message"]


def test_tests_of_several_models_run_where_the_last_of_them_is_built(troubled: dict[str, Row]) -> None:
    assert troubled["ml_features_are_complete"]["status"] == "skipped"
    assert "commit_metrics_add_up" not in troubled


def test_failing_test_stops_what_depends_on_it_and_names_its_query(
    warehouse: Warehouse, troubled: dict[str, Row], tmp_path: Path
) -> None:
    broken = "accepted_values_stg_sales_category"
    assert [result["status"] for name, result in troubled.items() if name.startswith(broken)] == ["fail"]
    downstream = ("daily_sales", "daily_customer_sales", "top_customers", "category_performance")
    assert {troubled[name]["status"] for name in downstream} == {"skipped"}

    reported = report(warehouse.folder, tmp_path)
    assert "AirflowFailException" in reported["kind"]
    assert "transformation-failed" in reported["message"]
    assert broken in reported["message"]
    assert "found 1 row" in reported["message"]
    assert len(reported["logged"]) == 1
    query = reported["logged"][0].split("\n", maxsplit=1)[1]
    assert [row["value_field"] for row in warehouse.sql(query)] == ["Nonsense"]


REPORT = """
import json, logging, sys
from include.orchestration import transform
logged = []
class Kept(logging.Handler):
    def emit(self, record):
        logged.append(record.getMessage())
transform.log.addHandler(Kept())
try:
    transform.report_failed_tests(sys.argv[1], {})
except Exception as error:
    print("REPORT" + json.dumps({"kind": type(error).__name__, "message": str(error), "logged": logged}))
"""


def report(project: Path, home: Path) -> dict[str, Any]:
    """Run the task's callback on the results, in a separate process: Airflow reads its configuration at import."""
    done = subprocess.run(
        [sys.executable, "-c", REPORT, str(project)],
        env={"PATH": os.environ["PATH"], "AIRFLOW_HOME": str(home), "PYTHONPATH": str(ROOT)},
        cwd=home, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    line = next((line for line in done.stdout.splitlines() if line.startswith("REPORT")), None)
    assert line is not None, done.stderr[-2000:]
    return json.loads(line.removeprefix("REPORT"))
