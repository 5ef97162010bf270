"""A strict parser for the part of LogQL that the dashboards use. It rejects everything else.

tests/integration/monitoring/test_logql.py uses Grafana's parser if Node is installed; this one needs no Node.

    query    = metric | log
    metric   = aggregation [by (labels)] ( metric ) | range ( log [ duration ] )
    log      = { label op "text", ... } stage*
    stage    = (|= != |~ !~) "text" | "|" (json | logfmt) | "|" line_format "text"
"""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r'\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<op>\|=|\|~|!=|!~|=~|=|[{}()\[\],|])|(?P<duration>\d+[smhd])|(?P<name>[a-z_]\w*))'
)
_AGGREGATIONS = {"sum", "max", "min", "avg", "count", "topk"}
_RANGES = {"count_over_time", "rate", "bytes_rate", "bytes_over_time"}


class LogQLError(ValueError):
    """The text is not LogQL, or uses parts of LogQL that this parser does not know."""


class _Reader:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while text[at:].strip():
            match = _TOKEN.match(text, at)
            if match is None:
                raise LogQLError(f"cannot read: {text[at:]}")
            self.tokens.append((match.lastgroup or "", match[match.lastgroup or 0]))
            at = match.end()
        self.tokens.append(("end", ""))

    def next(self, kind: str, *wanted: str) -> str:
        found, text = self.tokens.pop(0)
        if found != kind or (wanted and text not in wanted):
            raise LogQLError(f"{' or '.join(wanted) or kind} is expected, not {text!r}")
        return text

    def sees(self, *wanted: str) -> bool:
        return self.tokens[0][1] in wanted

    def query(self) -> None:
        if self.sees("{"):
            self.log()
        else:
            self.metric()

    def metric(self) -> None:
        name = self.next("name", *_AGGREGATIONS, *_RANGES)
        if name in _RANGES:
            self.next("op", "(")
            self.log()
            self.next("op", "[")
            self.next("duration")
            self.next("op", "]")
        else:
            if self.sees("by", "without"):
                self.next("name")
                self.next("op", "(")
                self.next("name")
                while not self.sees(")"):
                    self.next("op", ",")
                    self.next("name")
                self.next("op", ")")
            self.next("op", "(")
            self.metric()
        self.next("op", ")")

    def log(self) -> None:
        self.next("op", "{")
        while True:
            self.next("name")
            self.next("op", "=", "!=", "=~", "!~")
            self.next("text")
            if self.next("op", ",", "}") == "}":
                break
        while self.sees("|", "|=", "|~", "!=", "!~"):
            if self.next("op") == "|":
                if self.next("name", "json", "logfmt", "line_format") == "line_format":
                    self.next("text")
            else:
                self.next("text")


def check(text: str) -> None:
    """Parse a whole query.

    Raises:
        LogQLError: the query is invalid.
    """
    reader = _Reader(text)
    reader.query()
    reader.next("end")
