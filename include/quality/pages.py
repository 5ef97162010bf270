"""The HTML pages of the results: one per check of a table, made by Great Expectations' renderer, and an index page.

What belongs here: HTML. What does not: the bucket (`publish`), and charts of the past (`history_page`).
The renderer's pages load styles and scripts from other hosts; these are removed and a small style is added, so that
each page is self-contained.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar

from include.quality.results import history_key
from include.stores.expectations import load_library

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.quality.records import CheckResult, TableReport
    from include.quality.results import CheckRun

INDEX = "index.html"

_FOREIGN = re.compile(r"<script\b.*?</script>|<link\b[^>]*>|<img\b[^>]*>", re.DOTALL | re.IGNORECASE)
_UPWARD = re.compile(r'href="(?:\.\./)+([^"]*)"')
STYLE = """<style>
:root { color-scheme: light dark; --text: #222; --ground: #fff; --line: #ddd; --soft: #eee;
  --good: #1a7f37; --bad: #c62828; --middling: #b26a00; --link: #0b57d0; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e6e6; --ground: #16181c; --line: #3a3f46; --soft: #2a2e34;
  --good: #4cc467; --bad: #ff7b72; --middling: #e3a33b; --link: #8ab4f8; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 72rem; padding: 1rem; color: var(--text);
  background: var(--ground); }
a { color: var(--link); }
table { border-collapse: collapse; width: 100%; margin-bottom: 1rem; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem; text-align: left; vertical-align: top; }
td { overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; } h5 { font-size: 1.05rem; margin: .5rem 0; }
.text-success::before { content: "\\2713"; color: var(--good); }
.text-danger::before { content: "\\2717"; color: var(--bad); }
.text-warning::before { content: "!"; color: var(--middling); } .passed { color: var(--good); }
.critical { color: var(--bad); } .warning { color: var(--middling); }
.badge, code { background: var(--soft); border-radius: 3px; padding: 0 .25rem; }
.card-header, .btn-group, .card-text, .ge-walkthrough-modal, .modal, footer { display: none; }
.ge-breadcrumbs, .nav { list-style: none; padding: 0; } .nav li { display: inline-block; margin-right: 1rem; }
.sticky-top { height: auto !important; } .popover, .cooltip > span { display: none; } i { font-style: normal; }
</style>"""


def table_page(report: TableReport) -> str:
    """Return the page of one table with all results, including the rules that are not expectations of the library."""
    gx = load_library()
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view.view import DefaultJinjaPageView

    counts = report.counts
    evaluated = {id(result): item for result, item in report.evaluated}
    passed = counts["passed"]
    validation = ExpectationSuiteValidationResult(
        success=not report.failed(),
        results=[_item(result, evaluated.get(id(result))) for result in report.results],
        suite_name=report.dataset,
        statistics={
            "evaluated_expectations": counts["checks"],
            "successful_expectations": passed,
            "unsuccessful_expectations": counts["checks"] - passed,
            "success_percent": 100 * passed / max(counts["checks"], 1),
        },
        meta={
            "great_expectations_version": gx.__version__,
            "batch_spec": {"data_asset_name": report.dataset},
            "run_id": {"run_name": "check_quality", "run_time": report.checked_at.isoformat()},
        },
    )
    view: Any = DefaultJinjaPageView()
    html = str(view.render(ValidationResultsPageRenderer(run_info_at_end=True).render(validation)))
    history = f'<p><a href="../{escape(history_key(report.dataset))}">History</a></p>'
    return self_contained(html).replace("<body>", f"<body>\n{history}\n{_failures(report)}", 1)


def self_contained(html: str) -> str:
    """Remove what the page loads from other hosts, and point its home link to the index page one folder up."""
    html = _FOREIGN.sub("", html)
    # Of the pages that the renderer links to, only the index page exists here.
    html = _UPWARD.sub(lambda link: f'href="../{INDEX}"' if link[1] == INDEX else 'href="#"', html)
    return html.replace("</head>", f"{STYLE}\n</head>", 1)


def index_page(runs: Sequence[CheckRun], present: frozenset[str]) -> str:
    """Return the index page: the last check of each table, and its earlier checks.

    Args:
        runs: checks of all tables, the newest of each table first.
        present: keys of the existing pages.
    """
    newest: dict[str, CheckRun] = {}
    earlier: dict[str, list[CheckRun]] = {}
    for run in runs:
        if run.dataset in newest:
            earlier.setdefault(run.dataset, []).append(run)
        else:
            newest[run.dataset] = run
    now = "\n".join(_row(run, present, _history_link(run, present)) for run in newest.values())
    before = "\n".join(_row(run, present) for each in earlier.values() for run in each)
    head = (
        "<tr><th>Table</th><th>Checked (UTC)</th><th>Checks</th><th>Passed</th><th>Warnings</th><th>Critical</th></tr>"
    )
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Quality of the warehouse</title>{STYLE}</head><body>
<h1>Quality of the warehouse</h1>
<table>{head}
{now}
</table>
<h2>Earlier checks</h2>
<table>{head}
{before}
</table>
</body></html>
"""


def _failures(report: TableReport) -> str:
    """Return a table of the failed checks with severity and remedy, which the renderer's tables do not show."""
    rows = "\n".join(
        f'<tr class="{result.severity}"><td>{result.severity}</td>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in (result.name, result.observed, result.expected))
        + f"<td><code>{escape(result.remedy)}</code></td></tr>"
        for result in report.failed()
    )
    if not rows:
        return '<p class="passed">Every check has passed.</p>'
    heads = "".join(f"<th>{head}</th>" for head in ("Severity", "Check", "Observed", "Expected", "Remedy"))
    return f"<h2>Failed</h2>\n<table><tr>{heads}</tr>\n{rows}\n</table>"


def _history_link(run: CheckRun, present: frozenset[str]) -> str:
    key = history_key(run.dataset)
    return f' (<a href="{escape(key)}">history</a>)' if key in present else ""


def _row(run: CheckRun, present: frozenset[str], behind_name: str = "") -> str:
    name = escape(run.dataset)
    link = f'<a href="{escape(run.key)}">{name}</a>' if run.key in present else name
    state = "critical" if run.critical else "warning" if run.warnings else "passed"
    cells = (f"{run.checked_at:%Y-%m-%d %H:%M:%S}", run.checks, run.passed, run.warnings, run.critical)
    return f'<tr class="{state}"><td>{link}{behind_name}</td>' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _item(result: CheckResult, evaluated: Any | None) -> Any:
    """Return one line of the page: the library's own result if there is one, else a result of a rule."""
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    item = evaluated
    if item is None or result.observed.startswith("not evaluated"):
        item = ExpectationValidationResult(
            success=result.success,
            expectation_config=ExpectationConfiguration(
                type=_rule(), kwargs={"rule": result.expectation, "expected": result.expected}
            ),
            result={"observed_value": result.observed},
            exception_info={"raised_exception": False, "exception_message": None, "exception_traceback": None},
        )
    return item


@lru_cache(maxsize=1)
def _rule() -> str:
    """Register an expectation that renders a rule, and return its name."""
    load_library()
    from great_expectations.expectations.expectation import BatchExpectation
    from great_expectations.render.components import LegacyRendererType, RenderedStringTemplateContent
    from great_expectations.render.renderer.renderer import renderer

    class ExpectRuleToHold(BatchExpectation):
        """A rule that `inspection` has judged: the library only renders it."""

        rule: str
        expected: str
        domain_keys: ClassVar[tuple[str, ...]] = ("batch_id",)
        success_keys: ClassVar[tuple[str, ...]] = ("rule", "expected")

        def _validate(self, *_args: Any, **_kwargs: Any) -> dict[str, Any]:
            message = "rules are judged by include.quality.inspection"
            raise NotImplementedError(message)

        @classmethod
        @renderer(renderer_type=LegacyRendererType.PRESCRIPTIVE)
        def _prescriptive_renderer(
            cls,
            configuration: Any = None,
            result: Any = None,  # noqa: ARG003 - the library's signature
            runtime_configuration: Any = None,  # noqa: ARG003
        ) -> list[Any]:
            words = str(configuration.kwargs["rule"]).replace("_", " ")
            template = {
                "template": "$rule: $expected",
                "params": {"rule": words, "expected": configuration.kwargs["expected"]},
            }
            return [RenderedStringTemplateContent(content_block_type="string_template", string_template=template)]

    return "expect_rule_to_hold"
