"""The metrics of real Prometheus and SQL exporter processes agree with the ledger after an ingestion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from observed_pipeline import BUCKET, DATASET, GONE, ROWS, TOPIC, TWICE_REJECTED, connected, fill
from prometheus_client import CollectorRegistry, start_http_server
from running_prometheus import Prometheus, prometheus, sql_exporter, wait_for

from include.settings import KafkaConfig, StreamSettings
from include.streams import lag_metrics
from include.streams.offsets import PartitionOffsets
from ml_api.metrics import Metrics
from tests.monitoring_files import BUILT_IN, Expression, exporter_queries, expressions, mailed_alerts, promql, selectors
from tests.source_runs import LEFT, delete_source_runs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

OWN = f'{{dataset="{DATASET}"}}'
# The broker's answer for the lag exporter; tests/integration/streams tests the query of the broker.
OFFSETS = [
    PartitionOffsets(partition=0, low=0, last_stable=10, committed=4),
    PartitionOffsets(partition=1, low=0, last_stable=5, committed=5),
]


@pytest.fixture(scope="module")
def filled(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    fill(platform, tmp_path_factory.mktemp("observed"))
    yield platform
    with connected(platform.warehouse_config("owner")) as connection:
        connection.execute(f"DROP TABLE raw.{DATASET}")
        for table in ("ops.incoming_files", "ops.file_ingestion_log"):
            connection.execute(f"DELETE FROM {table} WHERE dataset = '{DATASET}'")
        connection.execute(f"DELETE FROM ops.quality_result WHERE dataset = '{DATASET}'")
    delete_source_runs(platform.warehouse_config("owner"), DATASET)


@pytest.fixture(scope="module")
def served(filled: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has scraped all exporters, including the ledger's metrics."""
    folder = tmp_path_factory.mktemp("prometheus")
    metrics = Metrics()
    metrics.count_request("/predict", 200, 0.01)
    lags = CollectorRegistry()
    config = KafkaConfig(bootstrap_servers="127.0.0.1:1")
    lags.register(lag_metrics.LagCollector(config, StreamSettings(), lambda: [TOPIC]))
    with (
        pytest.MonkeyPatch.context() as patch,
        sql_exporter(filled.warehouse_config("reader"), folder / "sql.log") as port,
    ):
        patch.setattr(lag_metrics, "partition_offsets", lambda *_: OFFSETS)
        servers = [start_http_server(0, addr="127.0.0.1", registry=registry) for registry in (metrics.registry, lags)]
        (ml_api, _), (kafka_lag, _) = servers
        targets = {
            "sql-exporter:9237": port,
            "kafka-lag:9308": kafka_lag.server_port,
            "ml-api:8100": ml_api.server_port,
        }
        with prometheus(targets, folder) as server:
            wait_for(lambda: server.values("filegate_reconciliation_gap_rows" + OWN), "the last job's metric")
            wait_for(lambda: server.values("filegate_failed_files" + OWN), "the totals")
            wait_for(lambda: server.values("filegate_recent_quality_failures" + OWN), "the ledger's metrics")
            wait_for(lambda: server.values("ml_api_requests_total"), "the ML service's metrics")
            wait_for(lambda: server.values("filegate_broker_up"), "the lag")
            yield server
        for httpd, thread in servers:
            httpd.shutdown()
            httpd.server_close()
            thread.join()


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("filegate_incoming_files", {"": 1}),
        ("filegate_unsettled_files", {"status=claimed": 1}),
        ("filegate_files", {"status=archived": 1, "status=claimed": 1, "status=validation_failed": 1}),
        ("filegate_recent_files", {"status=archived": 1, "status=validation_failed": 1}),
        ("filegate_failed_files", {"code=error-budget-exceeded": 1}),
        (
            "filegate_rows",
            {
                "outcome=read": ROWS + TWICE_REJECTED + 10,
                "outcome=inserted": ROWS,
                "outcome=updated": 0,
                "outcome=unchanged": 7,
                "outcome=duplicate": 0,
                "outcome=rejected": TWICE_REJECTED + 3,
                "outcome=deleted": 0,
            },
        ),
        ("filegate_rejects", {"code=too-few-fields": TWICE_REJECTED}),
        ("filegate_recent_rejects", {"code=too-few-fields": TWICE_REJECTED}),
        ("filegate_messages", {f"outcome=read,topic={TOPIC}": 10, f"outcome=rejected,topic={TOPIC}": 3}),
        ("filegate_recent_messages", {f"outcome=read,topic={TOPIC}": 10, f"outcome=rejected,topic={TOPIC}": 3}),
        ("filegate_quality_results", {"outcome=failed,severity=warning": 1, "outcome=passed,severity=critical": 1}),
        ("filegate_recent_quality_failures", {"severity=critical": 1}),
        ("filegate_reconciliation_gap_rows", {"": -GONE}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_metric_agrees_with_the_ledger(served: Prometheus, metric: str, expected: dict[str, float]) -> None:
    found = served.values(metric + OWN)

    assert {labels.replace(f"dataset={DATASET}", "").strip(","): value for labels, value in found.items()} == expected


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("filegate_recent_source_runs", {"status=success": 2, "status=failed": 2}),
        ("filegate_recent_source_records", {"outcome=read": 52, "outcome=written": 35, "outcome=failed": 3}),
        ("filegate_recent_source_bytes", {"": 4000}),
        ("filegate_recent_source_requests", {"kind=requests": 12, "kind=retries": 4}),
        ("filegate_recent_source_waited_seconds", {"": 6}),
        ("filegate_source_rate_limit_remaining", {"": LEFT}),
        ("filegate_source_failed_elements", {"code=source-refused": 1}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_metric_agrees_with_the_runs_of_a_source(served: Prometheus, metric: str, expected: dict[str, float]) -> None:
    found = served.values(metric + f'{{source="{DATASET}"}}')

    assert {labels.replace(f"source={DATASET}", "").strip(","): value for labels, value in found.items()} == expected


def test_time_since_the_last_success_of_a_source(served: Prometheus) -> None:
    [age] = served.values(f'filegate_source_freshness_seconds{{source="{DATASET}"}}').values()
    assert 0 < age < 600


def test_ages_and_durations_come_from_the_ledgers_times(served: Prometheus) -> None:
    for metric in (
        "filegate_incoming_oldest_seconds",
        "filegate_freshness_seconds",
        "filegate_unsettled_oldest_seconds",
    ):
        (age,) = served.values(metric + OWN).values()
        assert 0 < age < 600
    assert 0 < served.values("filegate_incoming_looked_seconds")[""] < 600
    stages = served.values("filegate_stage_seconds" + OWN)
    assert {key.split("stage=")[1] for key in stages} == {
        f"{stage},statistic={statistic}"
        for stage in ("validate", "process", "load", "settle")
        for statistic in ("mean", "longest")
    }
    assert min(stages.values()) >= 0


def test_lag_and_dead_letters_come_by_topic(served: Prometheus) -> None:
    assert served.values("filegate_topic_lag_messages") == {
        f"partition=0,topic={TOPIC}": 6,
        f"partition=1,topic={TOPIC}": 0,
    }
    assert served.values("filegate_dead_letters_waiting") == {f"topic={TOPIC}": 6}


def test_no_query_of_the_exporter_fails(served: Prometheus) -> None:
    queries = {query["name"] for query in exporter_queries()}
    assert served.values("sql_exporter_last_scrape_failed") == {f"query={name}": 0 for name in queries}


@pytest.mark.parametrize("expression", promql(), ids=str)
def test_prometheus_understands_the_expression_and_has_its_metrics(served: Prometheus, expression: Expression) -> None:
    served.get("query", query=expression.text)
    for metric, labels in selectors(expression.text).items():
        if metric not in BUILT_IN and not metric.startswith("airflow_"):  # those are in test_airflow_metrics
            assert served.labels_of(metric) >= labels | {"__name__"}


def test_alerts_fire_on_what_happened(served: Prometheus) -> None:
    expected = {
        ("FilesQuarantined", DATASET): "1 files of observed_sales were quarantined within the last hour.",
        ("QualityCritical", DATASET): "1 critical expectations of observed_sales have failed.",
        ("DeadLetters", TOPIC): "3 messages of observed-topic became dead letters within the last hour.",
    }

    def firing() -> dict[tuple[str, str], str]:
        alerts = [alert for alert in served.get("alerts")["alerts"] if alert["state"] == "firing"]
        about = [alert["labels"].get("dataset", alert["labels"].get("topic", "")) for alert in alerts]
        found = {
            (alert["labels"]["alertname"], subject): alert["annotations"]["summary"]
            for alert, subject in zip(alerts, about, strict=True)
        }
        return {key: summary for key, summary in found.items() if key[1] in {DATASET, TOPIC}}

    wait_for(lambda: firing() == expected, "the alerts")
    mailed = served.values(mailed_alerts().text)
    assert {key.partition(",")[0] for key in mailed} >= {f"alert={name}" for name, _ in expected}
    assert not any("alertname=" in key for key in mailed)


@pytest.mark.parametrize("expression", expressions("warehouse"), ids=str)
def test_dashboards_sql_runs_as_the_reader(filled: Platform, expression: Expression) -> None:
    with connected(filled.warehouse_config("reader")) as connection:
        rows = connection.execute(expression.text).fetchall()
    assert any(DATASET in row or TOPIC in row for row in rows)


@pytest.mark.parametrize("query", exporter_queries(), ids=lambda query: query["name"])
def test_exporters_sql_answers_with_texts_and_one_float(filled: Platform, query: dict[str, object]) -> None:
    with connected(filled.warehouse_config("reader")) as connection:
        columns = connection.execute(str(query["query"])).description or []
    types = {column.name: psycopg.adapters.types[column.type_code].name for column in columns}
    assert types == dict.fromkeys(query.get("labels", []), "text") | {"value": "float8"}  # type: ignore[call-overload]


@pytest.mark.parametrize("query", exporter_queries("ledger"), ids=lambda query: query["name"])
def test_frequent_queries_do_not_read_the_whole_ledger(filled: Platform, query: dict[str, object]) -> None:
    """With sequential scans off, one is planned only without a suitable index. Volatile functions use no index."""
    with connected(filled.warehouse_config("reader")) as connection:
        connection.execute("SET enable_seqscan = off")
        plan = "\n".join(str(line) for (line,) in connection.execute(f"EXPLAIN {query['query']}").fetchall())
    assert "Seq Scan on file_ingestion_log" not in plan
    assert "clock_timestamp()" not in plan


def test_reader_of_the_metrics_cannot_write(filled: Platform) -> None:
    with (
        connected(filled.warehouse_config("reader")) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(f"DELETE FROM ops.incoming_files WHERE bucket = '{BUCKET}'")
