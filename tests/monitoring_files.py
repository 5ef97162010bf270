"""Reads monitoring/ for its tests: alerts, dashboards, exporter queries, and the expressions in them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

MONITORING = Path(__file__).parents[1] / "monitoring"
PROMETHEUS = MONITORING / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
DASHBOARDS = sorted((MONITORING / "grafana" / "dashboards").glob("*.json"))
ALERTING = MONITORING / "grafana" / "provisioning" / "alerting" / "alerts.yml"
EXPORTER = MONITORING / "sql_exporter" / "config.yml"

# Metrics that Prometheus creates itself.
BUILT_IN = {"ALERTS", "up"}
_WORDS = {"and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool"}
# Values for the variables that Grafana substitutes in PromQL and LogQL.
_VARIABLES = {
    "$__rate_interval": "1m", "$__auto": "1m", "$__range": "1h", "$dataset": ".*", "$topic": ".*", "$source": ".*",
    "$service": ".+", "$search": "",
}  # fmt: skip


@dataclass(frozen=True)
class Expression:
    """A query, and the name of its panel or alert."""

    where: str
    text: str

    def __str__(self) -> str:
        return self.where


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def alerts() -> list[tuple[str, dict[str, Any]]]:
    """Every alert, with the stem of its file."""
    return [(path.stem, rule) for path in RULES for group in read_yaml(path)["groups"] for rule in group["rules"]]


def dashboards() -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in DASHBOARDS]


def expressions(source: str) -> list[Expression]:
    """The dashboards' expressions for a data source, with Grafana's variables filled in."""
    field = "rawSql" if source == "warehouse" else "expr"
    return [
        Expression(f"{board['title']}: {panel['title']}", filled(target[field], source))
        for board in dashboards()
        for panel in board["panels"]
        for target in panel["targets"]
        if target["datasource"]["uid"] == source
    ]


def mailed_alerts() -> Expression:
    """Grafana's query for the alerts that it sends by mail."""
    ((rule,),) = (group["rules"] for group in read_yaml(ALERTING)["groups"])
    return Expression(rule["title"], rule["data"][0]["model"]["expr"])


def promql() -> list[Expression]:
    """Every PromQL expression of dashboards and alerts."""
    found = expressions("prometheus") + [Expression(rule["alert"], rule["expr"]) for _, rule in alerts()]
    return [*found, mailed_alerts()]


def exporter_queries(job_name: str = "") -> list[dict[str, Any]]:
    """The queries of the SQL exporter, in all of its jobs or in one."""
    return [query for job in read_yaml(EXPORTER)["jobs"] if job_name in {"", job["name"]} for query in job["queries"]]


def filled(text: str, source: str) -> str:
    """Substitute variables and macros like Grafana."""
    if source == "warehouse":
        # The expansion of the data source's macro.
        text = re.sub(
            r"\$__timeFilter\(([\w.]+)\)", r"\1 BETWEEN '2026-01-01T00:00:00Z' AND '2036-01-01T00:00:00Z'", text
        )
        return re.sub(r"\$\{\w+:regex\}", ".*", text)
    for name in sorted(_VARIABLES, key=len, reverse=True):
        text = text.replace(name, _VARIABLES[name])
    return text


def selectors(text: str) -> dict[str, set[str]]:
    """The metrics in a PromQL expression, each with the labels of its selectors."""
    plain = re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)
    plain = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", plain)
    plain = re.sub(r"\[[^\]]*\]", "", plain)
    found: dict[str, set[str]] = {}
    # An identifier outside of braces that is no function (not followed by a parenthesis), and its braces.
    for name, selector in re.findall(r"(?<![\w:])([a-zA-Z_:][\w:]*)(?![\w:]*\s*\()(?:\{([^}]*)\})?", plain):
        if name not in _WORDS:
            found.setdefault(name, set()).update(re.findall(r"(\w+)\s*[=!]", selector))
    return found
