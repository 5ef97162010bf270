"""Static checks of monitoring/: alerts are complete, dashboards are described, and the files agree with each other."""

from __future__ import annotations

import re

import pytest
import yaml
from logql_grammar import LogQLError, check

from tests.monitoring_files import (
    ALERTING,
    DASHBOARDS,
    MONITORING,
    PROMETHEUS,
    Expression,
    alerts,
    dashboards,
    exporter_queries,
    expressions,
    read_yaml,
    selectors,
)

pytestmark = pytest.mark.unit

ROOT = MONITORING.parent
ALERTS = [rule for _, rule in alerts()]
PANELS = [(board["title"], panel) for board in dashboards() for panel in board["panels"]]
README = (MONITORING / "README.md").read_text(encoding="utf-8")


# Alerts


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_alert_has_severity_summary_and_description(rule) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    summary, description = rule["annotations"]["summary"], rule["annotations"]["description"]
    assert summary.endswith(".")
    assert len(description) > 60
    assert description != summary


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_runbook_links_to_an_existing_section(rule) -> None:
    path, _, anchor = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
    assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    ("file", "rule"), alerts(), ids=lambda value: value["alert"] if isinstance(value, dict) else ""
)
def test_alert_fires_in_a_unit_test(file, rule) -> None:
    tests = (PROMETHEUS / "tests" / f"{file}.yml").read_text(encoding="utf-8")
    silent = rule["alert"].endswith("Silent")
    assert f'alertname="{rule["alert"]}"' in tests or (silent and 'alertname=~".+Silent"' in tests)


# The SQL exporter and Prometheus


def test_metric_names_are_unique() -> None:
    names = [query["name"] for query in exporter_queries()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("query", exporter_queries(), ids=lambda query: query["name"])
def test_metric_of_the_ledger_is_named_described_and_survives_an_empty_ledger(query) -> None:
    assert re.fullmatch(r"filegate_[a-z_]+", query["name"])
    assert len(query["help"]) > 20
    assert query["values"] == ["value"]
    assert query["allow_zero_rows"]


def test_every_connection_has_a_time_limit_and_no_password() -> None:
    for job in read_yaml(MONITORING / "sql_exporter" / "config.yml")["jobs"]:
        (connection,) = job["connections"]
        assert connection.startswith("{{WAREHOUSE_READER_URL}}&statement_timeout=")


def test_readme_names_every_target_of_prometheus() -> None:
    for job in read_yaml(PROMETHEUS / "prometheus.yml")["scrape_configs"]:
        for target in job["static_configs"][0]["targets"]:
            assert target.startswith("localhost:") or f"`{target}`" in README


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('sum by (le) (rate(a_total{x="{y}", z=~"b"}[5m])) / (b > 0)', {"a_total": {"x", "z"}, "b": set()}),
        ("(sum(increase(a[3m])) or vector(0)) == 0", {"a": set()}),
        ('a{b="c"} unless on (d) e offset 5m', {"a": {"b"}, "e": set()}),
    ],
    ids=["labels", "functions", "words"],
)
def test_metrics_of_an_expression_are_found(text: str, expected: dict[str, set[str]]) -> None:
    assert selectors(text) == expected


# Grafana


def test_sources_have_the_names_that_panels_use_and_take_secrets_from_the_environment() -> None:
    sources = read_yaml(MONITORING / "grafana/provisioning/datasources/datasources.yml")["datasources"]
    known = {source["uid"]: source["type"] for source in sources}
    used = {(target["datasource"]["uid"], target["datasource"]["type"]) for _, p in PANELS for target in p["targets"]}
    assert used == set(known.items())
    secrets = [value for source in sources for value in source.get("secureJsonData", {}).values()]
    assert secrets == ["$WAREHOUSE_READER_PASSWORD"]
    for name in re.findall(r"\$(WAREHOUSE_\w+)", yaml.safe_dump(sources)):
        assert name in README


def test_alerts_are_mailed_to_the_configured_recipients() -> None:
    """Grafana does not start with a contact point or a rule that it cannot read."""
    alerting = read_yaml(ALERTING)
    (point,), (policy,), (group,) = alerting["contactPoints"], alerting["policies"], alerting["groups"]
    (receiver,), (rule,) = point["receivers"], group["rules"]
    assert receiver["settings"]["addresses"] == "$ALERTS_TO"
    assert policy["receiver"] == point["name"]
    assert "alert" in policy["group_by"]
    firing, condition = rule["data"]
    assert firing["datasourceUid"] in {panel["datasource"]["uid"] for _, p in PANELS for panel in p["targets"]}
    assert (condition["model"]["expression"], rule["condition"]) == (firing["refId"], condition["refId"])
    assert all(query["model"]["refId"] == query["refId"] for query in rule["data"])
    grafana = read_yaml(ROOT / "docker-compose.yaml")["services"]["grafana"]["environment"]
    assert grafana["ALERTS_TO"] == "${ALERTS_TO:-unset@localhost}"  # not empty: Grafana refuses an empty address
    assert grafana["GF_SMTP_ENABLED"] == "${ALERTS_TO:+true}"


def test_dashboards_have_stable_uids() -> None:
    assert {path.stem: board["uid"] for path, board in zip(DASHBOARDS, dashboards(), strict=True)} == {
        name: f"filegate-{name}" for name in ("airflow", "ingestion", "logs", "sources", "streaming")
    }
    for board in dashboards():
        assert board["schemaVersion"] == 42
        assert len(board["description"]) > 40
        assert [panel["id"] for panel in board["panels"]] == list(range(1, len(board["panels"]) + 1))


@pytest.mark.parametrize(
    ("board", "panel"), PANELS, ids=lambda value: value if isinstance(value, str) else value["title"]
)
def test_panel_has_a_description_a_unit_and_no_overlap(board: str, panel) -> None:
    assert len(panel["description"]) > 20
    if panel["type"] not in {"table", "logs"}:
        assert panel["fieldConfig"]["defaults"]["unit"]
    here = panel["gridPos"]
    assert here["x"] + here["w"] <= 24
    for title, other in PANELS:
        there = other["gridPos"]
        if title == board and other is not panel:
            beside = here["x"] + here["w"] <= there["x"] or there["x"] + there["w"] <= here["x"]
            above = here["y"] + here["h"] <= there["y"] or there["y"] + there["h"] <= here["y"]
            assert beside or above, other["title"]


@pytest.mark.parametrize("board", dashboards(), ids=lambda board: board["title"])
def test_dashboard_variables_are_defined_and_used(board) -> None:
    own = {variable["name"] for variable in board["templating"]["list"]}
    panels = str(board["panels"])
    used = {name for name in re.findall(r"\$\{?(\w+)", panels) if not name.startswith("__")}
    assert used == own


def test_rates_of_rarely_scraped_metrics_cover_enough_samples() -> None:
    """Grafana's rate interval is four times the step; the step of the data source is that of the other targets."""
    (job,) = (
        job for job in read_yaml(PROMETHEUS / "prometheus.yml")["scrape_configs"] if job["job_name"] == "kafka-lag"
    )
    steps = {
        target.get("interval")
        for _, panel in PANELS
        for target in panel["targets"]
        if re.search(r"filegate_topic_\w+.*rate_interval", target.get("expr", ""))
    }
    assert steps == {job["scrape_interval"]}


# LogQL


@pytest.mark.parametrize("expression", expressions("loki"), ids=str)
def test_logql_can_be_read(expression: Expression) -> None:
    check(expression.text)


@pytest.mark.parametrize(
    "text", ['{a="b"', '{a="b"} |= c', 'sum by (a) ({a="b"})', '{a="b"} | yaml', "{}", 'rate({a="b"})']
)
def test_logql_reader_rejects_invalid_queries(text: str) -> None:
    with pytest.raises(LogQLError):
        check(text)


# Loki and Alloy are not available for tests, so their files are checked against names from their documentation


def test_loki_keeps_a_week_in_one_process_and_sends_no_reports() -> None:
    loki = read_yaml(MONITORING / "loki" / "loki.yml")
    assert set(loki) <= {
        "auth_enabled", "server", "common", "schema_config", "limits_config", "compactor", "analytics",
    }  # fmt: skip
    assert loki["limits_config"]["retention_period"] == "168h"
    # Loki does not start if retention is on and delete_request_store is not set.
    assert loki["compactor"]["retention_enabled"]
    assert loki["compactor"]["delete_request_store"] == loki["schema_config"]["configs"][0]["object_store"]
    assert (loki["schema_config"]["configs"][0]["store"], loki["schema_config"]["configs"][0]["schema"]) == (
        "tsdb",
        "v13",
    )
    assert not loki["analytics"]["reporting_enabled"]


ALLOY = re.sub(r"(?m)^\s*//.*$", "", (MONITORING / "alloy" / "config.alloy").read_text(encoding="utf-8"))
COMPONENTS = re.findall(r'(?m)^([a-z_.]+) "([a-z_]+)" \{', ALLOY)
EXPORTS = {
    "local.file_match": "targets", "discovery.docker": "targets", "discovery.relabel": "output",
    "loki.process": "receiver", "loki.write": "receiver",
}  # fmt: skip
STAGES = {"json", "timestamp", "labels", "structured_metadata", "label_drop", "match", "regex", "template"}


def test_blocks_of_alloy_are_closed() -> None:
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', ALLOY)
    depth, pairs = [], {"}": "{", "]": "[", ")": "("}
    for sign in re.findall(r"[{}\[\]()]", bare):
        if sign in pairs:
            assert depth.pop() == pairs[sign]
        else:
            depth.append(sign)
    assert depth == []
    assert bare.count('"') % 2 == 0


def test_alloy_components_exist_and_are_used() -> None:
    kinds = "|".join(map(re.escape, EXPORTS))
    used = set(re.findall(rf"\b({kinds})\.([a-z_]+)\.([a-z]+)", ALLOY))
    assert used == {(kind, name, EXPORTS[kind]) for kind, name in COMPONENTS if kind in EXPORTS}
    assert set(re.findall(r"stage\.([a-z_]+)", ALLOY)) <= STAGES


def test_labels_of_logs_are_few() -> None:
    """A label per run or task try would create a stream for each."""
    labels = set(re.findall(r'target_label\s*= "(\w+)"', ALLOY)) | {"level"}
    assert labels == {"service", "dag_id", "level"}
    assert re.findall(r"stage\.labels \{\s*values = \{([^}]*)\}", ALLOY) == ['"level" = "level"'] * 2
    used = {label for e in expressions("loki") for label in re.findall(r"[{,]\s*(\w+)\s*=", e.text)}
    assert used <= labels
