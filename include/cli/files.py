"""`filegate files`, `show`, `errors`, `reprocess`: what became of files, and bringing refused ones back."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from include.cli.output import fail, print_rows
from include.cli.platform_access import use_platform
from include.cli.stores import explained, query
from include.errors import Stage

_COLUMNS = ("id", "status", "dataset", "file", "read", "loaded", "rejected", "code")
_ERROR_COLUMNS = ("row", "line", "column", "code", "message")
_QUARANTINED_COLUMNS = ("id", "dataset", "status", "code", "file")

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
FileId = Annotated[int, typer.Argument(min=1, help="The id that `filegate files` shows.", metavar="ID")]


@app.command()
def files(
    dataset: Annotated[str, typer.Option(help="Of this dataset only.")] = "",
    failed: Annotated[bool, typer.Option("--failed", help="Refused files only.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the newest files and what became of them."""
    rows = query("list_files", {"dataset": dataset or None, "failed": failed, "most": limit})
    if not rows and not as_json:
        typer.echo("no files" + (f" of {dataset}" if dataset else ""))
        return
    print_rows(rows, _COLUMNS, as_json=as_json)


@app.command()
def show(file_id: FileId, as_json: AsJson = False) -> None:
    """Show everything that the ledger holds of a file: status, counts, times, where it is now."""
    report = _report(file_id)
    if as_json:
        typer.echo(json.dumps(report, ensure_ascii=False, indent=2))
        return
    counts = ", ".join(f"{name} {count:,}" for name, count in report["rows"].items() if count is not None)
    times = [f"{name} {moment}" for name, moment in report["times"].items() if moment]
    lines = {
        "file": report["file"],
        "dataset": f"{report['dataset']}, contract {report['contract_version'] or 'unknown'}",
        "status": report["status"],
        "code": report["code"],
        "message": report["message"],
        "rows": counts,
        "rejected": ", ".join(f"{code} {count:,}" for code, count in report["rejects_by_code"].items()),
        "times": "\n           ".join(times),
        "run": f"{report['run']['dag_id']} {report['run']['run_id']}",
        "attempts": report["attempts"],
    }
    for name, value in lines.items():
        if value not in {None, ""}:
            typer.echo(f"{name:<10} {value}")
    if report["rejected_rows"]:
        typer.echo(f"\nThe refused rows: filegate errors {file_id}")


@app.command()
def errors(file_id: FileId, as_json: AsJson = False) -> None:
    """List why rows of a file were refused: line, column, code and value. The ledger keeps the first of each file."""
    report = _report(file_id)
    rows = [
        {
            "row": row["source_row"],
            "line": row["source_line"],
            "column": row["column_name"],
            "code": row["code"],
            "message": row["message"],
            "record": row["raw_record"],
        }
        for row in report["rejected_rows"]
    ]
    if as_json:
        print_rows(rows, (), as_json=True)
        return
    if report["message"]:
        typer.echo(f"{report['status']}: {report['code']}: {report['message']}")
    if rows:
        print_rows(rows, _ERROR_COLUMNS, as_json=False)
    elif not report["message"]:
        typer.echo("no row was refused")


@app.command()
def reprocess(
    file: Annotated[list[int] | None, typer.Option(min=1, help="The file of this id; may be given again.")] = None,
    dataset: Annotated[str, typer.Option(help="All quarantined files of this dataset; `all` for every dataset.")] = "",
    stage: Annotated[Stage | None, typer.Option(help="Only those that this stage refused.")] = None,
    name: Annotated[str, typer.Option(help="Only names of this pattern, as sales_2026-*.csv.")] = "*",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List them and move nothing.")] = False,
) -> None:
    """Move quarantined files back to incoming/, where they are ingested again. Their history stays in the ledger."""
    values = {"dataset": None if dataset == "all" else dataset or None, "file_ids": file or None, "stage": stage}
    chosen = query("list_quarantined_files", values)
    if not (file or dataset):
        _choices(chosen)
    if missing := sorted({*(file or ())} - {row["id"] for row in chosen}):
        fail(f"not in quarantine: {', '.join(map(str, missing))}; see: filegate files --failed")
    if dry_run:
        print_rows(chosen, _QUARANTINED_COLUMNS, as_json=False)
        return
    _requeue([row["id"] for row in chosen], name)


def _choices(quarantined: list[dict[str, Any]]) -> None:
    """End with the number of quarantined files of each dataset: one of them has to be chosen."""
    counts: dict[str, int] = {}
    for row in quarantined:
        counts[row["dataset"]] = counts.get(row["dataset"], 0) + 1
    listed = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())) or "none"
    fail(f"choose: --dataset NAME, --dataset all, or --file ID. In quarantine: {listed}", code=2)


def _requeue(file_ids: list[int], name: str) -> None:
    from include.contracts.catalog import read_catalog
    from include.ingestion.ledger import Ledger
    from include.ingestion.upkeep.requeue import Selection, requeue
    from include.settings import ingest_settings, store_settings
    from include.stores.object_store import ObjectStore
    from include.stores.warehouse import connect

    use_platform()
    settings = ingest_settings()
    with explained(), connect(store_settings().warehouse()) as connection:
        done = requeue(
            Selection(name=name, file_ids=tuple(file_ids)),
            settings.landing_bucket,
            ObjectStore(store_settings().s3()),
            Ledger(connection),
            set(read_catalog(settings.contracts_dir).known),
        )
    for key in done.keys:
        typer.echo(f"moved to {key}")
    left = {
        "not in quarantine any more": done.missing,
        "waits for another file of its name; run this again": done.waiting,
        "not served by the bucket; restore it or grant the right to read it": done.refused,
    }
    for reason, keys in left.items():
        for key in keys:
            typer.echo(f"left {key}: {reason}", err=True)
    typer.echo(f"{len(done.keys):,} of {len(file_ids):,} files moved")


def _report(file_id: int) -> dict[str, Any]:
    rows = query("file_report", {"file_id": file_id})
    if not rows:
        fail(f"the ledger has no file {file_id}; see: filegate files")
    report: dict[str, Any] = rows[0]["jsonb_build_object"]
    return report
