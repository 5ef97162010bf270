"""`filegate files`, `show`, `errors`, `reprocess`: what became of files, and bringing refused ones back."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any

import typer

from include.cli.contract_lookup import require_known
from include.cli.moves import print_moves
from include.cli.output import WRONG_USAGE, fail, print_rows
from include.cli.platform_access import use_platform
from include.cli.replay import replay
from include.cli.stores import query
from include.command_errors import explained
from include.contracts.reserved import EVERY
from include.errors import in_stage, visible
from include.errors.registry import remedies, stops_the_work

_COLUMNS = ("id", "status", "dataset", "file", "read", "loaded", "rejected", "code")
_ERROR_COLUMNS = ("source_row", "source_line", "column_name", "code", "message")
_QUARANTINED_COLUMNS = ("file_id", "dataset", "status", "error_code", "object_key")
MEMBER_COLUMNS = ("id", "status", "member", "read", "loaded", "rejected", "code")
_COUNTED = ("read", "inserted", "updated", "unchanged", "duplicate", "rejected", "deleted")


class FailedStage(StrEnum):
    """The stages that refuse files."""

    VALIDATE = "validate"
    PROCESS = "process"
    LOAD = "load"


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
    if not rows and dataset:
        require_known(dataset)
    if not rows and not as_json:
        typer.echo("no files" + (f" of {dataset}" if dataset else ""))
        return
    print_rows(rows, _COLUMNS, as_json=as_json)


@app.command()
def show(file_id: FileId, as_json: AsJson = False) -> None:
    """Show all that the ledger holds of a file: status, counts, times, where it is now, members of an archive."""
    entry = _entry(file_id)
    codes = [entry["error_code"], *sorted(entry["rejects_by_code"] or {})]
    members = query("list_members", {"file_id": file_id}) if entry["members_passed_over"] is not None else []
    if as_json:
        listed = {"members": members} if members else {}
        typer.echo(json.dumps(entry | listed | {"what_to_do": remedies(codes)}, indent=2))
        return
    counts = [f"{name} {entry[f'rows_{name}']:,}" for name in _COUNTED if entry[f"rows_{name}"] is not None]
    rejects = [f"{code} {count:,}" for code, count in sorted((entry["rejects_by_code"] or {}).items())]
    messages = f"{entry['topic']} partition {entry['partition']}, {entry['first_offset']} to {entry['last_offset']}"
    lines = {
        "file": entry["object_key"],
        "messages": messages if entry["topic"] else None,
        "now at": entry["settled_key"],
        "dataset": f"{entry['dataset']}, contract {entry['contract_version'] or 'unknown'}",
        "status": entry["status"],
        "code": entry["error_code"],
        "message": entry["error_message"],
        "rows": ", ".join(counts),
        "rejected": ", ".join(rejects),
        "replayed": f"{entry['rows_replayed']:,} rejected rows, counted in replays" if entry["rows_replayed"] else "",
        "replay of": entry["replay_of"],
        "member of": entry["parent_file_id"],
        "members": f"{len(members):,}, and {entry['members_passed_over']:,} passed over" if members else "",
        "reloads": entry["reloads"] or "",
        "not deleted": entry["deletes_skipped"] or None,
        "attempts": entry["attempts"],
        "run": f"{entry['dag_id']} {entry['run_id']}",
        **{moment.removesuffix("_at"): entry[moment] for moment in sorted(entry) if moment.endswith("_at")},
    }
    for name, value in lines.items():
        if value not in {None, ""}:
            typer.echo(f"{name:<11} {visible(str(value))}")
    if members:
        typer.echo("")
        print_rows(members, MEMBER_COLUMNS, as_json=False)
    _print_remedies(codes)
    if rejects:
        typer.echo(f"\nThe refused rows: filegate errors {file_id}")


@app.command()
def errors(file_id: FileId, as_json: AsJson = False) -> None:
    """List why a file or its rows were refused: line, column, code, message. The ledger keeps the first rows."""
    entry, rows = _entry(file_id), query("list_rejected_rows", {"file_id": file_id})
    codes = [entry["error_code"], *sorted({row["code"] for row in rows})]
    if as_json:
        refusal = {name: entry[name] for name in ("status", "error_code", "error_message")}
        typer.echo(json.dumps(refusal | {"rows": rows, "what_to_do": remedies(codes)}, indent=2))
        return
    if entry["error_message"]:
        typer.echo(visible(f"{entry['status']}: {entry['error_code']}: {entry['error_message']}"))
    if rows:
        print_rows(rows, _ERROR_COLUMNS, as_json=False)
    elif not entry["error_message"]:
        typer.echo("no row was refused")
    _print_remedies(codes)


@app.command()
def reprocess(
    file: Annotated[list[int] | None, typer.Option(min=1, help="The file of this id; may be given again.")] = None,
    dataset: Annotated[str, typer.Option(help="All quarantined files of this dataset; `all` for every dataset.")] = "",
    stage: Annotated[FailedStage | None, typer.Option(help="Only those that this stage refused.")] = None,
    name: Annotated[str, typer.Option(help="Only names of this pattern, as sales_2026-*.csv.")] = "*",
    rejects: Annotated[bool, typer.Option("--rejects", help="With --file: rejected rows of loaded files.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List them and move nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --dry-run: JSON instead of a table.")] = False,
) -> None:
    """Move quarantined files back to incoming/, where they are ingested again. Their history stays in the ledger.

    With --rejects: read the rejected rows of loaded files again, after a rule was corrected, as an entry of its own.
    """
    if as_json and not dry_run:
        fail("--json is for --dry-run", WRONG_USAGE)
    if rejects:
        if not file or dataset or stage or name != "*":
            fail("--rejects takes the ids of loaded files, and nothing else: --rejects --file ID", WRONG_USAGE)
        replay(file, dry_run=dry_run, as_json=as_json)
        return
    chosen = _quarantined(file, dataset, stage, name)
    if not (file or dataset):
        _choices(chosen)
    if missing := sorted({*(file or ())} - {row["file_id"] for row in chosen}):
        fail(f"not in quarantine: {', '.join(map(str, missing))}; see: filegate files --failed")
    if not chosen and dataset not in {"", EVERY}:
        require_known(dataset)
    if not chosen and not as_json:
        typer.echo("nothing in quarantine matches; nothing was moved")
    elif dry_run:
        print_rows(chosen, _QUARANTINED_COLUMNS, as_json=as_json)
    else:
        _requeue([row["file_id"] for row in chosen])


def _quarantined(file: list[int] | None, dataset: str, stage: FailedStage | None, name: str) -> list[dict[str, Any]]:
    from include.ingestion.records import FileStatus
    from include.ingestion.upkeep.requeue import has_name
    from include.settings import ingest_settings

    use_platform()
    stages = [stage] if stage else list(FailedStage)
    values = {
        "dataset": None if dataset == EVERY else dataset or None,
        "bucket": ingest_settings().landing_bucket,
        "file_ids": file or None,
        "statuses": [FileStatus.failed_in(one).value for one in stages],
    }
    return [row for row in query("quarantined_files", values) if has_name(row["settled_key"], name)]


def _choices(quarantined: list[dict[str, Any]]) -> None:
    """End with the number of quarantined files of each dataset: one of them has to be chosen."""
    counts: dict[str, int] = {}
    for row in quarantined:
        counts[row["dataset"]] = counts.get(row["dataset"], 0) + 1
    listed = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())) or "nothing"
    fail(f"choose: --dataset NAME, --dataset all, or --file ID. In quarantine: {listed}", code=2)


def _requeue(file_ids: list[int]) -> None:
    """Move the files of these entries.

    Raises:
        typer.Exit: some stay in quarantine; each is named with the reason.
    """
    from include.contracts.catalog import read_catalog
    from include.ingestion.upkeep.requeue import Selection, requeue
    from include.settings import ingest_settings, store_settings
    from include.stores.object_store import ObjectStore
    from include.stores.warehouse import connect

    use_platform()
    settings = ingest_settings()
    with explained(), in_stage("reprocess"), connect(store_settings().warehouse()) as connection:
        done = requeue(
            Selection(file_ids=tuple(file_ids)),
            settings.landing_bucket,
            ObjectStore(store_settings().s3()),
            connection,
            set(read_catalog(settings.contracts_dir).known),
        )
    print_moves(done, "not in quarantine any more")


def _print_remedies(codes: list[str | None]) -> None:
    """Print what to do about the file's code, which comes first, and those of its rows.

    The message of a file that is refused for its content ends with its own remedy, which is more exact.
    """
    file, *rows = codes
    shown = remedies([file, *rows] if stops_the_work(file) else rows)
    if shown:
        typer.echo("\nWhat to do:")
    for code, remedy in shown.items():
        typer.echo(f"  {code}: {remedy}")


def _entry(file_id: int) -> dict[str, Any]:
    """The ledger's entry of a file, as JSON has it.

    Raises:
        typer.Exit: there is none.
    """
    rows = query("ledger_entry", {"file_id": file_id})
    if not rows:
        fail(f"the ledger has no file {file_id}; see: filegate files")
    entry: dict[str, Any] = rows[0]["entry"]
    return entry
