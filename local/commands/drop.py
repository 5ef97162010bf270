"""`filegate drop`: put a file into the landing bucket, and wait for the verdict if asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from include.cli.files import MEMBER_COLUMNS, errors
from include.cli.output import fail, print_rows
from include.cli.stores import query
from include.stores.object_store import ObjectStore
from local.commands import landing
from local.commands.explained import explained
from local.settings import PlatformSettings, ingest_settings
from local.supervisor.platform import Platform

if TYPE_CHECKING:
    from pathlib import Path

    from include.settings import S3Config

_POLL_SECONDS = 0.5
_GOOD = {"archived", "duplicate"}
_GOOD_MEMBER = {*_GOOD, "loaded"}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def drop(
    file: Annotated[str, typer.Argument(help="The file on this machine.")],
    dataset: Annotated[str, typer.Option(help="Its dataset; found by the file's name if left out.")] = "",
    name: Annotated[str, typer.Option(help="Its name in the bucket; the same if left out.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the verdict; exit code 1 if refused.")] = False,
    seconds: Annotated[int, typer.Option(min=1, help="With --wait: how long at most.")] = 600,
) -> None:
    """Put a file into the landing bucket, as a partner would."""
    with explained():
        path = landing.existing_file(file)
        key = landing.object_key(path, dataset, name)
        config = Platform(PlatformSettings()).s3_config
        since = query("current_time", {})[0]["now"] if wait else None
        _upload(config, path, key)
        typer.echo(key)
        if wait:
            _wait(config, key, since, seconds)


def _upload(config: S3Config, path: Path, key: str) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True, highlight=False)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(path.name, total=path.stat().st_size)
        landing.upload(config, path, key, sent=lambda count: bar.advance(task, count))


def _wait(config: S3Config, key: str, since: object, seconds: int) -> None:
    """Follow the file's entry until it is settled, then print the verdict, and that of each member of an archive.

    Raises:
        typer.Exit: the file or a member was refused, it was replaced by another upload, or is not settled in time.
    """
    bucket = ingest_settings().landing_bucket
    dropped = ObjectStore(config).head(bucket, key)
    entry = _settled(bucket, key, since, seconds)
    if dropped is not None and dropped.etag != entry["etag"]:
        fail(f"{key} was replaced by another upload; its verdict: filegate errors {entry['file_id']}")
    typer.echo(f"file {entry['file_id']}: {entry['status']}")
    members = query("list_members", {"file_id": entry["file_id"]})
    if members:
        print_rows(members, MEMBER_COLUMNS, as_json=False)
    else:
        errors(entry["file_id"])
    if entry["status"] not in _GOOD or not _GOOD_MEMBER.issuperset(member["status"] for member in members):
        raise typer.Exit(1)


def _settled(bucket: str, key: str, since: object, seconds: int) -> dict[str, Any]:
    """The entry of the key that was claimed after `since`, once it is settled.

    Raises:
        typer.Exit: it is not settled in time.
    """
    end = time.monotonic() + seconds
    console = Console(stderr=True, highlight=False)
    with console.status("waiting to be claimed") as spinner:
        while True:
            found = query("entry_of_object", {"bucket": bucket, "key": key, "since": since})
            if found and found[0]["settled"]:
                return found[0]
            if time.monotonic() > end:
                fail(f"{key} is not settled after {seconds} s; see: filegate files, filegate status")
            spinner.update(found[0]["status"] if found else "waiting to be claimed")
            time.sleep(_POLL_SECONDS)
