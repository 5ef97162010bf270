"""Answers as text and as plotly figures, for the report.

What belongs here: colours, axes and numbers. What does not: the page (see `metabase.report`). Plotly interprets some
HTML in every text, including links, so values from the warehouse are escaped.
"""

from __future__ import annotations

import html
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from metabase.questions import Chart, Format

if TYPE_CHECKING:
    from metabase.answers import Answer
    from metabase.questions import Column

NOTHING = "\N{EN DASH}"
NUMBERS = {Format.INTEGER, Format.AMOUNT, Format.DECIMAL, Format.SHARE}

# Colour-blind safe: Paul Tol's "bright" and "muted" schemes.
_COLOURS = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#999933", "#882255", "#44aa99", "#bbbbbb",
)  # fmt: skip
# Of the values of a column `status`: by their order a failure would be blue and a success red.
_OF_STATUS = {"success": "#228833", "failed": "#ee6677", "running": "#66ccee"}
_INK, _QUIET, _LINES = "#24292f", "#57606a", "#e7eaee"
_FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
_TICKS: dict[Format, str] = {
    Format.INTEGER: ",d", Format.AMOUNT: ",.2f", Format.DECIMAL: ",.1f", Format.SHARE: ".1%",
}  # fmt: skip
_MOST_SLICES = 12
_FEW_BARS = 4
_FEW_DAYS = timedelta(days=14)
_DAY_MS = 24 * 3600 * 1000


def text(value: object, column: Column) -> str:
    """Return a value as text."""
    if value is None:
        return NOTHING
    match column.format:
        case Format.INTEGER:
            return f"{value:,.0f}"
        case Format.AMOUNT:
            return f"{value:,.2f}"
        case Format.DECIMAL:
            return f"{value:,.1f}"
        case Format.SHARE:
            return f"{value:.1%}"
        case Format.TIME if isinstance(value, datetime):
            return f"{value:%Y-%m-%d %H:%M}"
        case _:
            return str(value)


def figure(answer: Answer) -> str:
    """Return the chart as JSON for plotly.js: `data` and `layout`."""
    from plotly import graph_objects  # type: ignore[import-untyped]

    drawn = graph_objects.Figure(data=_traces(answer), layout=_layout(answer))
    return str(drawn.to_json())


def _traces(answer: Answer) -> list[Any]:
    from plotly import graph_objects

    question = answer.question
    if question.chart is Chart.PIE:
        return [_pie(answer)]
    parts = _parts(answer)
    stack = {"stackgroup": "all"} if question.stacked else {}
    traces = []
    for number, (name, column, xs, ys) in enumerate(parts):
        colour = _COLOURS[number % len(_COLOURS)]
        if question.series == "status":
            colour = _OF_STATUS.get(name, colour)
        shown = f"%{{{'x' if question.chart is Chart.ROW else 'y'}:{_TICKS.get(column.format, '')}}}"
        look: dict[str, Any] = {"name": name, "hovertemplate": shown + ("" if len(parts) > 1 else "<extra></extra>")}
        match question.chart:
            case Chart.LINE:
                trace = graph_objects.Scatter(x=xs, y=ys, mode="lines", line={"color": colour, "width": 2}, **look)
            case Chart.AREA:
                fill = stack or {"fill": "tozeroy"}
                trace = graph_objects.Scatter(x=xs, y=ys, mode="lines", line={"color": colour}, **fill, **look)
            case Chart.ROW:
                trace = graph_objects.Bar(x=ys, y=xs, orientation="h", marker={"color": colour}, **look)
            case _:
                trace = graph_objects.Bar(x=xs, y=ys, marker={"color": colour}, **_bar_width(answer), **look)
        traces.append(trace)
    return traces


def _parts(answer: Answer) -> list[tuple[str, Column, list[Any], list[Any]]]:
    """Return name, column, x and y values of each trace: one per measured column, or one per value of `series`."""
    question = answer.question
    xs = [_plain(value) for value in answer.values(question.x or "")]
    if question.series is None:
        return [
            (_plain(column.label), column, xs, [_plain(value) for value in answer.values(name)])
            for name in question.y
            for column in [question.columns[name]]
        ]
    names = [_plain(value) or NOTHING for value in answer.values(question.series)]
    points = list(zip(names, xs, map(_plain, answer.values(question.y[0])), strict=True))
    column = question.columns[question.y[0]]
    return [
        (str(name), column, [x for one, x, _ in points if one == name], [y for one, _, y in points if one == name])
        for name in dict.fromkeys(names)
    ]


def _pie(answer: Answer) -> Any:
    from plotly import graph_objects

    [(_, _, labels, values)] = _parts(answer)
    return graph_objects.Pie(
        labels=labels[:_MOST_SLICES],
        values=values[:_MOST_SLICES],
        hole=0.55,
        sort=False,
        direction="clockwise",
        textinfo="percent",
        marker={"colors": list(_COLOURS), "line": {"color": "#ffffff", "width": 2}},
        hovertemplate="%{label}: %{value:,}<extra></extra>",
    )


def _layout(answer: Answer) -> dict[str, Any]:
    question = answer.question
    several = question.chart is Chart.PIE or question.series is not None or len(question.y) > 1
    layout: dict[str, Any] = {
        "template": "none",
        "autosize": True,
        "font": {"family": _FONT, "size": 12, "color": _INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
        "barmode": "stack" if question.stacked else "group",
        "bargap": 0.25 if len(answer.rows) > _FEW_BARS else 0.6,
        "hovermode": "closest" if question.chart in {Chart.PIE, Chart.ROW} else "x unified",
        "showlegend": several,
        "legend": {
            "orientation": "h",
            "y": 1.02,
            "yanchor": "bottom",
            "x": 0,
            "xanchor": "left",
            "traceorder": "normal",
        },
    }
    if question.chart is Chart.PIE:
        return layout | {"legend": {"orientation": "v", "y": 0.5, "yanchor": "middle", "x": 1.02, "xanchor": "left"}}
    along = {"automargin": True, "showgrid": False, "linecolor": _LINES, "tickcolor": _LINES, "fixedrange": True}
    column, measured = question.columns[question.x or ""], question.columns[question.y[0]]
    along |= {"type": "date"} if column.format is Format.DATE else {"type": "category"}
    up = {
        "automargin": True, "gridcolor": _LINES, "zeroline": False, "rangemode": "tozero", "fixedrange": True,
        "tickfont": {"color": _QUIET}, "nticks": 6, "exponentformat": "B",
    }  # fmt: skip
    if measured.format is Format.SHARE:
        up |= {"tickformat": ".0%"}
    if measured.format is Format.INTEGER and max((v for _, _, _, ys in _parts(answer) for v in ys if v), default=0) < 6:
        up |= {"dtick": 1}
    if question.chart is Chart.ROW:
        return layout | {"xaxis": up, "yaxis": along | {"autorange": "reversed", "ticks": ""}}
    if column.format is Format.DATE:
        along |= {"fixedrange": False, "hoverformat": "%Y-%m-%d"} | _few_days(answer.values(question.x or ""))
    return layout | {"xaxis": along, "yaxis": up}


def _few_days(days: list[date]) -> dict[str, Any]:
    """Return the settings of a date axis of up to 14 days: one tick a day, and a margin of a day on both sides."""
    first, last = min(days), max(days)
    if last - first > _FEW_DAYS:
        return {}
    ends = [(first - timedelta(days=1)).isoformat(), (last + timedelta(days=1)).isoformat()]
    return {"range": ends, "dtick": _DAY_MS * (1 + (last - first).days // 7), "tickformat": "%-d %b\n%Y"}


def _bar_width(answer: Answer) -> dict[str, Any]:
    """Return the width of bars of up to 14 days: plotly would draw a single bar as thin as a line."""
    question = answer.question
    one_a_day = question.stacked or (question.series is None and len(question.y) == 1)
    few = question.columns[question.x or ""].format is Format.DATE and _few_days(answer.values(question.x or ""))
    return {"width": _DAY_MS * 0.7} if one_a_day and few else {}


def _plain(value: object) -> Any:
    """Return a value for plotly: numbers, and texts with escaped HTML."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    return value if value is None or isinstance(value, int | float) else html.escape(str(value), quote=False)
