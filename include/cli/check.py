"""`filegate check`: the checks of the DAG check_quality, now and in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from include.cli.contract_lookup import catalog, found_in, unknown
from include.cli.output import FAILED, print_rows
from include.cli.platform_access import use_platform
from include.command_errors import explained
from include.errors import in_stage, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.contracts.catalog import Catalog
    from include.contracts.model import Contract
    from include.quality.marts import Mart
    from include.quality.records import CheckResult, TableReport

_OUTCOMES = ("passed", "skipped", "info", "warning", "critical")

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def check(
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            "--asset",
            metavar="NAME",
            help="One dataset with its marts, one mart, or the first word of several: crypto.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of text.")] = False,
) -> None:
    """Check every table of the warehouse, or some, and print each check: outcome, observed and expected value.

    The results are stored as those of the DAG check_quality are; its next run makes the pages. The exit code is 1 if a
    critical check failed, or if a contract is broken, so that its table was not checked.
    """
    use_platform("WAREHOUSE_TRANSFORM_PASSWORD")  # first: its environment says where the contracts are
    from include.settings import quality_settings, store_settings

    contracts, marts, broken = _selected(catalog(), dataset)
    with explained(), in_stage("quality"):
        # They need seconds, so they come after the names are known.
        from include.lake.config import reader_config
        from include.quality.check import CheckedStores, inspect_warehouse

        stores = store_settings()
        has_lake = bool(stores.warehouse_lake_reader_password.get_secret_value())
        checked = CheckedStores(stores.warehouse("transform"), reader_config() if has_lake else None)
        reports = inspect_warehouse(contracts, checked, quality_settings(), marts=marts).reports
    if as_json:
        print_rows([_row(report, result) for report in reports for result in report.results], (), as_json=True)
    else:
        for line in _lines(reports):
            typer.echo(line)
    for name in broken:
        typer.echo(f"error: the contract of {visible(name)} is broken, so its table was not checked", err=True)
    if broken or any(report.counts["critical"] for report in reports):
        raise typer.Exit(FAILED)


def _selected(contracts: Catalog, name: str | None) -> tuple[list[Contract], list[Mart], list[str]]:
    """The contracts and marts with this name, or else those whose first words it is, and broken contracts among them.

    The marts that are built on a chosen dataset are chosen with it.

    Raises:
        SystemExit: there are none, or the contract of this name is broken or a draft.
    """
    from include.quality.marts import MARTS

    broken = [error.dataset for error in contracts.broken]
    if name is None:
        return list(contracts.contracts.values()), list(MARTS), broken
    marts = {mart.table: mart for mart in MARTS}
    bare = name.removeprefix("analytics.")
    if bare in marts:
        return [], [marts[bare]], []
    if name in contracts.names:
        return [found_in(contracts, name, drafts=False)], [mart for mart in MARTS if mart.dataset == name], []
    start = f"{name}_"
    chosen = [contract for dataset, contract in contracts.contracts.items() if dataset.startswith(start)]
    names = {contract.dataset for contract in chosen}
    built = [mart for table, mart in marts.items() if table.startswith(start) or mart.dataset in names]
    cut = [dataset for dataset in broken if dataset.startswith(start)]
    if not (chosen or built or cut):
        unknown(name, {*contracts.contracts, *marts}, "there is no dataset or mart")
    return chosen, built, cut


def _outcome(result: CheckResult) -> str:
    if result.skipped:
        return "skipped"
    return "passed" if result.success else str(result.severity)


def _row(report: TableReport, result: CheckResult) -> dict[str, Any]:
    return {
        "table": report.dataset,
        "check": result.expectation,
        "column": result.column,
        "outcome": _outcome(result),
        "severity": str(result.severity),
        "observed": result.observed,
        "expected": result.expected,
        "remedy": result.remedy,
        "checked_at": report.checked_at.isoformat(),
    }


def _lines(reports: Sequence[TableReport]) -> Iterator[str]:
    """The checks by table, the failed ones with expected value and remedy, then the numbers of all tables."""
    for report in reports:
        yield f"{report.dataset}: {_numbers([report])}"
        for result in report.results:
            yield visible(f"  {_outcome(result):<8}  {result.name}: {result.observed}")
            if not result.success:
                yield visible(f"            expected: {result.expected}")
                yield visible(f"            remedy: {result.remedy or 'see the contract'}")
    tables = "1 table" if len(reports) == 1 else f"{len(reports)} tables"
    yield f"{tables}: {_numbers(reports)}"


def _numbers(reports: Sequence[TableReport]) -> str:
    """The number of checks by outcome; outcomes that no check has are left out, except success."""
    found = [_outcome(result) for report in reports for result in report.results]
    counts = {outcome: found.count(outcome) for outcome in _OUTCOMES}
    shown = [f"{count} {outcome}" for outcome, count in counts.items() if count or outcome == "passed"]
    return f"{len(found)} {'check' if len(found) == 1 else 'checks'}, {', '.join(shown)}"
