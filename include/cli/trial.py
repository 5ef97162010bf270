"""`filegate try`: what would become of a file of this machine, without loading it."""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path  # noqa: TC003 (typer reads the annotations when it runs)
from typing import TYPE_CHECKING, Annotated, Any

import typer

from include.cli.contract_lookup import catalog, found_in
from include.cli.output import REFUSED, WRONG_USAGE, fail, print_first_columns, print_rows
from include.cli.platform_access import finds_platform
from include.command_errors import explained
from include.errors import PipelineError, visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.ingestion.records import FileRefusedError, Reject
    from include.ingestion.trial.dry_run import Planned, Trial
    from include.ingestion.trial.effect import Effect
    from include.ingestion.trial.recognise import Candidate
    from include.ingestion.trial.unpacked import Unpacked

_MOST_REJECTS = 20
_LONGEST_VALUE = 40
_REJECT_COLUMNS = ("line", "column", "code", "value")
_NO_PLATFORM = "no platform runs, so what it would insert and update is unknown"

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@dataclass(frozen=True)
class _Verdict:
    """A dry run with what the warehouse says; `effect` is None where it says nothing, and `note` has the reason.

    `file` is the file, or the path of a member in its archive; `same_as` is an earlier member with the same content.
    """

    file: str
    size: int
    chosen: Candidate
    trial: Trial
    effect: Effect | None = None
    refusal: FileRefusedError | None = None
    note: str = ""
    is_member: bool = False
    same_as: str = ""

    @property
    def summary(self) -> str:
        if self.refusal is not None:
            return f"would be refused: {self.refusal.code}: {self.refusal}"
        if self.same_as:
            return f"would be a duplicate: its content is that of {self.same_as}"
        if self.effect is not None and self.effect.duplicate_of is not None:
            return f"loaded before: its content is that of file {self.effect.duplicate_of}, nothing would change"
        return "would load"


@app.command(name="try")
def try_file(
    file: Annotated[Path, typer.Argument(help="The file on this machine.")],
    dataset: Annotated[str, typer.Option(help="Its dataset; found by folder, name or columns if left out.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of text.")] = False,
) -> None:
    """Validate and process a file as a load would, and write nothing. Exit code 4 if it would be refused."""
    if not file.is_file():
        fail(f"there is no file {file}")
    has_warehouse = finds_platform("WAREHOUSE_READER_PASSWORD")  # first: it says where the contracts are
    try:
        with explained(), _tried(file, _chosen(file, dataset), has_warehouse=has_warehouse) as (archive, verdicts):
            is_refused = _print_all(file, archive, verdicts, as_json=as_json)
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror or error}")
    if is_refused:
        raise typer.Exit(REFUSED)


@contextmanager
def _tried(
    file: Path, chosen: Candidate, *, has_warehouse: bool
) -> Iterator[tuple[dict[str, Any] | None, Iterator[_Verdict]]]:
    """The verdict on a file; of an archive, what it is, and the verdicts on its members, one after the other."""
    from include.ingestion.records import FileRefusedError
    from include.ingestion.trial.dry_run import Trial
    from include.ingestion.trial.unpacked import unpacked
    from include.settings import ingest_settings

    alone = _Verdict(str(file), file.stat().st_size, chosen, Trial(chosen.contract))
    with ExitStack() as opened:
        try:
            found = opened.enter_context(unpacked(file, chosen.contract.dialect.member, ingest_settings()))
        except FileRefusedError as refusal:
            yield None, iter([replace(alone, refusal=refusal)])
            return
        if found is None:
            yield None, iter([_with_trial(alone, file, file, has_warehouse=has_warehouse)])
        else:
            archive = {"format": found.archive.format, "passed_over": found.archive.passed_over}
            yield archive, _of_members(found, chosen, has_warehouse=has_warehouse)


def _of_members(found: Unpacked, chosen: Candidate, *, has_warehouse: bool) -> Iterator[_Verdict]:
    """The verdicts on the members; one with the content of an earlier one is a duplicate of it."""
    from include.ingestion.records import FileRefusedError
    from include.ingestion.trial.dry_run import Trial

    known: dict[str, str] = {}  # the first member by its content
    for member in found.archive.wanted:
        verdict = _Verdict(member.path, member.size, chosen, Trial(chosen.contract))
        try:
            content = found.file(member)
        except FileRefusedError as refusal:
            yield replace(verdict, refusal=refusal)
            continue
        with content.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        verdict = _with_trial(verdict, content, found.known_as(member), has_warehouse=has_warehouse)
        same_as = known.setdefault(digest, member.path) if verdict.refusal is None else member.path
        yield replace(verdict, is_member=True, same_as=same_as if same_as != member.path else "")


def _with_trial(verdict: _Verdict, content: Path, known_as: Path, *, has_warehouse: bool) -> _Verdict:
    from include.ingestion.trial.dry_run import dry_run
    from include.settings import ingest_settings

    with dry_run(content, verdict.chosen.contract, ingest_settings(), known_as) as (trial, planned):
        verdict = replace(verdict, trial=trial, refusal=trial.refusal)
        if planned is None:
            return verdict
        return _with_effect(verdict, planned) if has_warehouse else replace(verdict, note=_NO_PLATFORM)


def _with_effect(verdict: _Verdict, planned: Planned) -> _Verdict:
    from include.ingestion.records import FileRefusedError
    from include.ingestion.trial.effect import effect_of
    from include.settings import store_settings

    try:
        return replace(verdict, effect=effect_of(planned, store_settings().warehouse("reader")))
    except FileRefusedError as refusal:
        return replace(verdict, refusal=refusal)
    except PipelineError as error:
        return replace(verdict, note=f"what it would insert and update is unknown: {error}")


def _chosen(file: Path, dataset: str) -> Candidate:
    """The dataset that the user names, or that the file is of.

    Raises:
        typer.Exit: the file is too large, the dataset is unknown, or the file may be of several datasets or of none.
    """
    from include.ingestion.records import FileRefusedError
    from include.ingestion.trial.recognise import Candidate, candidates
    from include.settings import ingest_settings

    contracts = catalog()
    if dataset:
        return Candidate(found_in(contracts, dataset), "as asked")
    try:
        found = candidates(file, contracts, ingest_settings())
    except FileRefusedError as refusal:
        fail(visible(f"{file} would be refused: {refusal.code}: {refusal}"), REFUSED)
    if not found:
        names = ", ".join(sorted(contracts.known)) or "none"
        fail(f"no dataset has these columns, and none the folder or name of {file}; give --dataset, one of: {names}")
    if len(found) > 1:
        for one in found:
            typer.echo(f"  {one.contract.dataset}: {one.reason}", err=True)
        fail(f"{file} may be of several datasets; give --dataset", WRONG_USAGE)
    return found[0]


def _print_all(file: Path, archive: dict[str, Any] | None, verdicts: Iterator[_Verdict], *, as_json: bool) -> bool:
    """Print the verdicts, and of an archive what it is. Whether one would be refused."""
    is_refused, between = False, ""
    if archive is not None:
        _print_archive(file, archive, as_json=as_json)
    for verdict in verdicts:  # not all at once: each may have a thousand rejected rows
        if as_json:
            typer.echo(between + json.dumps(_document(verdict), indent=2, default=str), nl=False)
        else:
            _print(verdict)
        is_refused, between = is_refused or verdict.refusal is not None, ", "
    if as_json:
        typer.echo("]}" if archive is not None else "")
    return is_refused


def _print_archive(file: Path, archive: dict[str, Any], *, as_json: bool) -> None:
    if as_json:  # the document of the archive begins; its members follow
        typer.echo(json.dumps({"file": str(file), "archive": archive})[:-1] + ', "members": [', nl=False)
        return
    over = f"; {archive['passed_over']:,} passed over" if archive["passed_over"] else ""
    line = f"archive   {file}, {archive['format']}{over}; each member loads as a file of its own:"
    typer.echo(visible(line))


def _document(verdict: _Verdict) -> dict[str, Any]:
    trial, refusal = verdict.trial, verdict.refusal
    return {
        "file": verdict.file,
        "dataset": trial.contract.dataset,
        "chosen_because": verdict.chosen.reason,
        "contract_version": trial.contract.version,
        "contract_status": trial.contract.status,
        "verdict": verdict.summary.partition(":")[0],
        "code": refusal.code if refusal else None,
        "message": str(refusal) if refusal else None,
        "format": asdict(trial.layout) | {"delimiter": trial.delimiter} if trial.layout else None,
        "dialect": trial.contract.dialect.options,
        "rows": {
            "read": trial.rows_read,
            "to_load": trial.rows_kept,
            "duplicate": trial.rows_duplicate,
            "rejected": trial.rejects.rows,
        },
        "rejects_by_code": dict(trial.rejects.by_code),
        "rejected_rows": [_rejected(reject) for reject in trial.rejects.first],
        "first_rows": trial.rows,
        "table": asdict(verdict.effect) if verdict.effect else None,
        "not_checked": _not_checked(verdict),
    }


def _rejected(reject: Reject) -> dict[str, Any]:
    return {
        "source_row": reject.source_row,
        "line": reject.source_line,
        "column": reject.column,
        "code": reject.code,
        "value": reject.value,
        "message": reject.message,
        "raw_record": reject.raw,
    }


def _print(verdict: _Verdict) -> None:
    trial = verdict.trial
    contract, layout = trial.contract, trial.layout
    read = "unknown" if trial.rows_read is None else f"{trial.rows_read:,} read"
    rows = f"{read}, {trial.rows_kept:,} to load, {trial.rows_duplicate:,} duplicate, {trial.rejects.rows:,} rejected"
    delimiter = f"; delimiter {trial.delimiter!r}" if trial.delimiter else ""
    options = ", ".join(f"{name} {value!r}" for name, value in contract.dialect.options.items())
    lines = {
        "file": f"{verdict.file}, {verdict.size:,} bytes",
        "dataset": f"{contract.dataset}, contract {contract.version} ({contract.status}): {verdict.chosen.reason}",
        "format": f"{layout}{delimiter}" if layout else "unknown",
        "dialect": options,
        "rows": rows if trial.rows_read is not None else "",
        "table": _table_line(verdict),
        "verdict": verdict.summary,
    }
    for name, value in lines.items():
        if value:
            typer.echo(visible(f"{name:<9} {value}"))
    for line in _not_checked(verdict):
        typer.echo(visible(f"not checked: {line}"))
    _print_rejects(trial)
    if trial.rows:
        typer.echo(f"\nThe first {len(trial.rows)} rows as they would load:")
        print_first_columns(trial.rows)


def _table_line(verdict: _Verdict) -> str:
    """What a load would do to the table."""
    effect, table = verdict.effect, f"raw.{verdict.trial.contract.dataset}"
    if effect is None:
        return verdict.note
    counts = f"{effect.inserted:,} inserted, {effect.updated:,} updated, {effect.unchanged:,} unchanged"
    changes = "would be created; " if effect.creates else ""
    if effect.adds:
        changes = f"would get {', '.join(effect.adds)}; "
    deletes = f", at most {effect.deleted_at_most:,} deleted" if effect.deleted_at_most is not None else ""
    return f"{table}: {changes}{counts}{deletes}"


def _not_checked(verdict: _Verdict) -> list[str]:
    """What only a load finds out."""
    contract, found = verdict.trial.contract, []
    if contract.expectations and verdict.refusal is None:
        found.append(f"{len(contract.expectations)} expectations on the whole file")
    if contract.min_share_of_usual is not None and verdict.refusal is None:
        found.append("minShareOfUsual: the number of rows is not compared with that of earlier files")
    if contract.is_snapshot and verdict.trial.rejects.rows and verdict.refusal is None:
        found.append("maxDeleteShare: refused rows may be among those that the snapshot seems to lack")
    if verdict.is_member and verdict.effect is not None:
        found.append("the other members: each is compared with the table as it is now")
    if columns := verdict.trial.not_asked:
        found.append(f"{', '.join(columns)}: another system gives the values and was not asked; shown as -")
    return found


def _print_rejects(trial: Trial) -> None:
    """Print the first rejected rows: the value of the bad cell, or the row, and every message once a code."""
    first = trial.rejects.first[:_MOST_REJECTS]
    if not first:
        return
    typer.echo("\nRejected rows:" if len(first) == len(trial.rejects.first) else f"\nThe first {len(first)} reasons:")
    shown = [
        {
            "line": reject.source_line or f"row {reject.source_row}",
            "column": reject.column,
            "code": reject.code,
            "value": _short(reject.raw if reject.value is None else reject.value),
        }
        for reject in first
    ]
    print_rows(shown, _REJECT_COLUMNS, as_json=False)
    examples = {reject.code: reject.message for reject in reversed(first)}
    for code, message in examples.items():
        typer.echo(visible(f"  {code}: {message}"))
    more = sum(trial.rejects.by_code.values()) - len(first)
    if more:
        typer.echo(f"  and {more:,} more reasons; --json has the first {len(trial.rejects.first):,}")


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
