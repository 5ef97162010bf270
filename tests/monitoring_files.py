"""What monitoring/ says: its alerts, dashboards and exporters, and the expressions in them, for the tests of it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOM = Path(__file__).parents[1] / "monitoring"
PROMETHEUS = ROOM / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
DASHBOARDS = sorted((ROOM / "grafana" / "dashboards").glob("*.json"))
ALERTING = ROOM / "grafana" / "provisioning" / "alerting" / "alerts.yml"
EXPORTER = ROOM / "sql_exporter" / "config.yml"

# Prometheus makes these itself.
BUILT_IN = {"ALERTS", "up"}
_WORDS = {"and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool"}
# What Grafana puts into an expression before it sends it; in PromQL and LogQL.
_VARIABLES = {
    "$__rate_interval": "1m", "$__auto": "1m", "$__range": "1h", "$dataset": ".*", "$topic": ".*", "$service": ".+",
    "$search": "",
}  # fmt: skip


@dataclass(frozen=True)
class Expression:
    """A query, and where it stands."""

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
    """What Grafana asks Prometheus for, to write to people about each."""
    ((rule,),) = (group["rules"] for group in read_yaml(ALERTING)["groups"])
    return Expression(rule["title"], rule["data"][0]["model"]["expr"])


def promql() -> list[Expression]:
    """Every PromQL expression: of dashboards and of alerts."""
    asked = expressions("prometheus") + [Expression(rule["alert"], rule["expr"]) for _, rule in alerts()]
    return [*asked, mailed_alerts()]


def exporter_queries(job_name: str = "") -> list[dict[str, Any]]:
    """What the SQL exporter asks, in all of its jobs or in one."""
    return [query for job in read_yaml(EXPORTER)["jobs"] if job_name in {"", job["name"]} for query in job["queries"]]


def filled(text: str, source: str) -> str:
    """As Grafana would send it."""
    if source == "warehouse":
        # The data source's own macro is written so.
        text = re.sub(
            r"\$__timeFilter\(([\w.]+)\)", r"\1 BETWEEN '2026-01-01T00:00:00Z' AND '2036-01-01T00:00:00Z'", text
        )
        return re.sub(r"\$\{\w+:regex\}", ".*", text)
    for name in sorted(_VARIABLES, key=len, reverse=True):
        text = text.replace(name, _VARIABLES[name])
    return text


def selectors(text: str) -> dict[str, set[str]]:
    """The metrics that a PromQL expression names, each with the labels that it asks of it."""
    plain = re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)
    plain = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", plain)
    plain = re.sub(r"\[[^\]]*\]", "", plain)
    found: dict[str, set[str]] = {}
    # An identifier that no bracket follows (that would be a function), outside of braces, and its own braces.
    for name, asked in re.findall(r"(?<![\w:])([a-zA-Z_:][\w:]*)(?![\w:]*\s*\()(?:\{([^}]*)\})?", plain):
        if name not in _WORDS:
            found.setdefault(name, set()).update(re.findall(r"(\w+)\s*[=!]", asked))
    return found
