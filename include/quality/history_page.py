"""The HTML page with the past of a table: its failed checks, each check over time, and the drift of its columns.

What belongs here: HTML with charts as inline SVG, without any script. What does not: reading the past (`results`), and
the pages of one check (`pages`). Colours are those of `pages.STYLE`, light or dark as the browser asks for. An outcome
has a height of its own, too, for users who cannot tell red from green.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from include.contracts.model import Severity
from include.quality.drift import ERROR_PSI, WARNING_PSI
from include.quality.pages import INDEX, STYLE
from include.quality.results import page_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from include.quality.results import PastDrift, PastResult, TableHistory

# In pixels: the width of a check, and the height of a row of checks.
_STEP, _ROW = 8, 18
# Of the charts: the room for labels on the left, above and below, and the height in between.
_LEFT, _TOP, _BOTTOM, _HEIGHT = 44, 8, 20, 100
# Width of the drift chart's plot, without labels.
_PLOT = 640
_HEIGHTS = {"passed": 5, "info": 9, "warning": 13, "critical": _ROW}
_CHART_STYLE = """<style>
svg { display: block; max-width: 100%; height: auto; } td svg { max-width: none; }
svg text { font: 11px system-ui, sans-serif; fill: var(--text); }
.b-passed { fill: var(--good); } .b-info { fill: var(--text); } .b-warning { fill: var(--middling); }
.b-critical { fill: var(--bad); } .axis { stroke: var(--line); }
.curve { fill: none; stroke: var(--link); stroke-width: 2; }
.dot { fill: var(--link); } .limit { stroke-dasharray: 4 3; } .l-warning { stroke: var(--middling); }
.l-error { stroke: var(--bad); } .scroll { overflow-x: auto; } td.number { text-align: right; }
</style>"""


def history_page(history: TableHistory, present: frozenset[str]) -> str:
    """Return the page of one table.

    Args:
        history: its past.
        present: keys of the existing pages; a check without a page has no link.
    """
    name = escape(history.dataset)
    times = sorted({result.checked_at for result in history.results})
    parts = [f"<h1>History of {name}</h1>", f'<p><a href="../{INDEX}">All tables</a></p>']
    if times:
        parts += [_about(times), *_failures(history.results, times), *_checks(history, times, present)]
    else:
        parts.append("<p>No check of this table is kept.</p>")
    parts += _drifts(history.drifts)
    body = "\n".join(parts)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>History of {name}</title>'
        f"{STYLE}{_CHART_STYLE}</head><body>\n{body}\n</body></html>\n"
    )


def _about(times: Sequence[datetime]) -> str:
    return (
        f"<p>{len(times)} checks, {times[0]:%Y-%m-%d %H:%M} to {times[-1]:%Y-%m-%d %H:%M} UTC. One column each, the "
        "newest on the right: the last checks, and before them the last check of each day.</p>"
    )


def _failures(results: Sequence[PastResult], times: Sequence[datetime]) -> Iterator[str]:
    """The number of failed checks at each time, critical ones below."""
    counts = {at: dict.fromkeys(("critical", "warning", "info"), 0) for at in times}
    for result in results:
        if not result.success:
            counts[result.checked_at][result.severity.value] += 1
    most = max(1, *(sum(each.values()) for each in counts.values()))
    bars = []
    for index, (at, by_severity) in enumerate(counts.items()):
        bottom = float(_HEIGHT)
        for severity, count in by_severity.items():
            height = count / most * _HEIGHT
            bottom -= height
            if count:
                about = f"{at:%Y-%m-%d %H:%M}: {count} {severity}"
                bars.append(_bar(_LEFT + index * _STEP, _TOP + bottom, height, (severity, about)))
    width = len(times) * _STEP
    axis = [_label(0, "0", most), _label(most, str(most), most), *_ends(times, width)]
    yield "<h2>Failed checks</h2>"
    yield _svg(_LEFT + width + 60, _TOP + _HEIGHT + _BOTTOM, [*axis, *bars], "Number of failed checks over time")


def _checks(history: TableHistory, times: Sequence[datetime], present: frozenset[str]) -> Iterator[str]:
    """One row for each check with its outcomes, those that fail now first."""
    by_name: dict[str, dict[datetime, PastResult]] = {}
    for result in history.results:
        name = f"{result.expectation} on {result.column}" if result.column else result.expectation
        by_name.setdefault(name, {})[result.checked_at] = result
    yield "<h2>Each check</h2>"
    yield (
        "<p>A short bar has passed. Of the taller ones, the tallest is critical, then warning, then info. Without a "
        "bar the check was not made.</p>"
    )
    yield '<div class="scroll"><table><tr><th>Check</th><th>Outcomes</th><th>Passed</th><th>Last observed</th></tr>'
    for name in sorted(by_name, key=lambda one: (_passes_now(by_name[one]), one)):
        outcomes = by_name[name]
        bars = [
            _linked(history.dataset, outcomes[at], present, _outcome_bar(index, outcomes[at]))
            for index, at in enumerate(times)
            if at in outcomes
        ]
        passed = sum(result.success for result in outcomes.values())
        chart = _svg(len(times) * _STEP, _ROW, bars, f"Outcomes of {name}")
        last = outcomes[max(outcomes)].observed
        yield (
            f"<tr><td>{escape(name)}</td><td>{chart}</td><td>{passed} of {len(outcomes)}</td>"
            f"<td>{escape(last)}</td></tr>"
        )
    yield "</table></div>"


def _passes_now(outcomes: dict[datetime, PastResult]) -> bool:
    return outcomes[max(outcomes)].success


def _outcome_bar(index: int, result: PastResult) -> str:
    outcome = "passed" if result.success else Severity(result.severity).value
    about = f"{result.checked_at:%Y-%m-%d %H:%M}: {outcome}, {result.observed}"
    height = _HEIGHTS[outcome]
    return _bar(index * _STEP, _ROW - height, height, (outcome, about))


def _linked(dataset: str, result: PastResult, present: frozenset[str], bar: str) -> str:
    key = page_key(dataset, result.checked_at)
    return f'<a href="../{escape(key)}">{bar}</a>' if key in present else bar


def _drifts(drifts: Sequence[PastDrift]) -> Iterator[str]:
    """A chart and the numbers of each column that is compared."""
    by_column: dict[str, list[PastDrift]] = {}
    for drift in drifts:
        by_column.setdefault(drift.column, []).append(drift)
    if by_column:
        yield "<h2>Drift</h2>"
        yield (
            "<p>Population stability index (PSI) of the 7 days before each day against the 28 days before them: "
            f"{WARNING_PSI} is a warning, {ERROR_PSI} an error. Too few rows: no point.</p>"
        )
    for column, each in by_column.items():
        yield f"<h3>{escape(column)}</h3>"
        yield _psi_chart(column, each)
        yield "<details><summary>Numbers</summary><table>"
        yield "<tr><th>Day</th><th>PSI</th><th>Status</th><th>Rows</th><th>Rows before</th></tr>"
        for drift in reversed(each):
            psi = "" if drift.psi is None else f"{drift.psi:.4f}"
            yield (
                f'<tr><td>{drift.window_end:%Y-%m-%d}</td><td class="number">{psi}</td><td>{drift.status.value}</td>'
                f'<td class="number">{drift.current_rows:,}</td><td class="number">{drift.reference_rows:,}</td></tr>'
            )
        yield "</table></details>"


def _psi_chart(column: str, drifts: Sequence[PastDrift]) -> str:
    """The index over the days. Days without an index interrupt the curve."""
    days = [drift.window_end for drift in drifts]
    seconds = max((days[-1] - days[0]).total_seconds(), 1.0)
    top = max(0.3, *(drift.psi for drift in drifts if drift.psi is not None), 0.0) * 1.1
    limits = [
        f'<path class="limit l-{kind}" d="M{_LEFT} {_y(psi, top):.1f}h{_PLOT}"/>'
        for kind, psi in (("warning", WARNING_PSI), ("error", ERROR_PSI))
    ]
    labels = [_label(psi, f"{psi:g}", top) for psi in (0, WARNING_PSI, ERROR_PSI)]
    curves: list[list[tuple[float, float]]] = [[]]
    dots = []
    for drift in drifts:
        if drift.psi is None:
            curves.append([])
            continue
        x = _LEFT + (drift.window_end - days[0]).total_seconds() / seconds * _PLOT
        y = _y(drift.psi, top)
        curves[-1].append((x, y))
        about = escape(f"{drift.window_end:%Y-%m-%d}: {drift.psi:.4f}, {drift.status.value}")
        dots.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{about}</title></circle>')
    lines = [
        f'<polyline class="curve" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in curve)}"/>'
        for curve in curves
        if len(curve) > 1
    ]
    parts = [*labels, *limits, *_ends(days, _PLOT, "%Y-%m-%d"), *lines, *dots]
    return _svg(_LEFT + _PLOT + 60, _TOP + _HEIGHT + _BOTTOM, parts, f"PSI of {column} over time")


def _y(value: float, most: float) -> float:
    return _TOP + _HEIGHT * (1 - value / most)


def _label(value: float, text: str, most: float) -> str:
    return f'<text x="{_LEFT - 6}" y="{_y(value, most) + 4:.1f}" text-anchor="end">{text}</text>'


def _ends(times: Sequence[datetime], width: int, form: str = "%Y-%m-%d %H:%M") -> Iterator[str]:
    """The axis with the first and the last time."""
    bottom = _TOP + _HEIGHT
    yield f'<line class="axis" x1="{_LEFT}" x2="{_LEFT + width}" y1="{bottom}" y2="{bottom}"/>'
    yield f'<text x="{_LEFT}" y="{bottom + 15}">{times[0].strftime(form)}</text>'
    if len(times) > 1:
        # With few checks the axis is too short for both.
        x, anchor = (_LEFT + width, "end") if width > 250 else (_LEFT + 120, "start")
        yield f'<text x="{x}" y="{bottom + 15}" text-anchor="{anchor}">{times[-1].strftime(form)}</text>'


def _bar(x: float, y: float, height: float, what: tuple[str, str]) -> str:
    """A bar with its outcome, which gives the colour, and the text that a pointer over it shows."""
    outcome, about = what
    return (
        f'<rect class="b-{outcome}" x="{x:g}" y="{y:.1f}" width="{_STEP - 2}" height="{height:.1f}">'
        f"<title>{escape(about)}</title></rect>"
    )


def _svg(width: int, height: int, parts: Sequence[str], about: str) -> str:
    return (
        f'<svg role="img" aria-label="{escape(about)}" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">{"".join(parts)}</svg>'
    )
