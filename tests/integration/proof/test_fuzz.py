"""Files with mutations of every kind: each is loaded or refused with a reason that a user understands.

TEST_EXAMPLES is the number of files (seeds 1 to N); FUZZ_FIRST_SEED is the first seed. With -s a table of the outcomes
is printed. A failure names the seeds and the folder with their files.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import zlib
from collections import Counter
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path[1:1] = [str(Path(__file__).parents[1] / "ingestion")]

from fuzz_files import Mutant, good_file, mutant  # noqa: E402
from fuzz_json import NESTED_COLUMNS  # noqa: E402
from fuzz_worker import Watched, work_through  # noqa: E402
from ingest_pipeline import Pipeline, Row, direct  # noqa: E402

from include.contracts.dialect import Dialect  # noqa: E402
from include.contracts.model import Contract, ErrorBudget, UnknownColumns  # noqa: E402
from include.contracts.reader import read_contract  # noqa: E402
from include.errors import Code  # noqa: E402
from include.settings import CONTRACTS_DIR, IngestSettings  # noqa: E402
from local.services import bucket as local_bucket  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from local.supervisor.platform import Platform

pytestmark = [pytest.mark.integration, pytest.mark.timeout(7200)]

EXAMPLES = int(os.environ.get("TEST_EXAMPLES", "100"))
FIRST = int(os.environ.get("FUZZ_FIRST_SEED", "1"))
BATCH = 25
ROOT = Path(__file__).parents[3]
# Words that do not help a user: the engines' messages about FileGate's queries, and names of Python.
INNER_WORDS = re.compile(
    r"INTERNAL Error|Binder Error|Parser Error|Catalog Error|LINE 1|SELECT |TRY_CAST|CAST\(|pyarrow|duckdb|Traceback"
    r"|object at 0x|text of |_cells\[|\bc\d+\b.*column"
    r"|\b(Assertion|Attribute|Index|Key|Lookup|Recursion|Type|Unicode\w+|Value)Error\b|: \.( |$)"
)


def documented_codes(*headings: str) -> set[str]:
    """The codes below these headings of the documentation."""
    text = (ROOT / "docs" / "reason-codes.md").read_text()
    sections = [part for part in text.split("\n## ") if part.partition("\n")[0] in headings]
    assert len(sections) == len(headings)
    cells = [line.split("|")[1] for part in sections for line in part.splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`([a-z-]+)`", cell)} & set(Code)


# The codes that a file, or a row of it, may have.
CODES = documented_codes("A cell", "A row", "A file")
# The good file is read under these, too.
_DATABASE = Dialect(
    encoding="utf-8", escape="\\", comment="#", null_values=("NULL", "\\N"), thousands="'", trailing_minus=True
)
_WESTERN = Dialect(encoding="cp1252", comment="//", null_values=("-",), thousands=",")
KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("sales", {}),
    ("fuzzed", {"unknown_columns": UnknownColumns.EVOLVE}),
    ("fuzzed", {"budget": ErrorBudget()}),
    ("sales", {"unknown_columns": UnknownColumns.EVOLVE, "budget": ErrorBudget(share=0.5)}),
    ("fuzzed", {}),
    ("sales", {"unknown_columns": UnknownColumns.IGNORE, "budget": ErrorBudget(rows=3)}),
    ("fuzzed", {"unknown_columns": UnknownColumns.REJECT}),
    ("fuzzed", {"newest_by": None, "unknown_columns": UnknownColumns.IGNORE}),
    ("fuzzed", {"dialect": _DATABASE}),
    ("sales", {"dialect": _WESTERN, "budget": ErrorBudget(share=0.5)}),
    ("fuzzed", {"dialect": Dialect(record_path="data"), "nested": True}),
    ("sales", {"dialect": Dialect(key_column="sale_id"), "budget": ErrorBudget(share=1.0)}),
    ("sales", {"nested": True, "unknown_columns": UnknownColumns.EVOLVE, "budget": ErrorBudget(share=1.0)}),
    ("fuzzed", {"dialect": Dialect(record_path="data", key_column="code")}),
    ("fuzzed", {"dialect": Dialect(skip_lines=2, footer_lines=1), "budget": ErrorBudget(share=1.0)}),
    ("sales", {"dialect": Dialect(has_header=False, sheet="Sheet1", member="*.csv"), "budget": ErrorBudget(share=1.0)}),
)


@pytest.fixture(scope="module")
def owner(platform: Platform) -> Iterator[psycopg.Connection[Row]]:
    """A connection to the warehouse as its owner, to check the pipeline's results."""
    with direct(platform.warehouse_config("owner")) as connection:
        yield connection


@dataclass
class Batch:
    """Files of one contract, with their own table and bucket."""

    pipeline: Pipeline
    base: str
    mutants: dict[str, Mutant]  # by object key
    watched: Watched = field(default_factory=Watched)
    faults: list[tuple[Mutant, str]] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    row_codes: Counter[str] = field(default_factory=Counter)
    messages: list[str] = field(default_factory=list)
    archives: set[int] = field(default_factory=set)

    def run(self) -> None:
        """Ingest all files, settle and check each, and load a good file after them."""
        claimed = [file_id for files in self.pipeline.claim() for file_id in files]
        assert len(claimed) == len(self.mutants)
        self.watched = work_through(self.pipeline, claimed)
        self.pipeline.settle()
        entries = {entry["file_id"]: entry for entry in self.pipeline.entries()}
        assert sorted(claimed) == [file_id for file_id, entry in entries.items() if entry["parent_file_id"] is None]
        self.archives = {entry["parent_file_id"] for entry in entries.values()}
        rejected: dict[int, list[Row]] = {file_id: [] for file_id in entries}
        rows = self.pipeline.sql("SELECT * FROM ops.rejected_rows WHERE file_id = ANY(%s)", list(entries))
        for row in rows:
            rejected[row["file_id"]].append(row)
        for file_id, entry in entries.items():
            one = self.mutants[entries.get(entry["parent_file_id"], entry)["object_key"]]
            self._judge(one, entry, rejected[file_id])
        for file_id in claimed:
            self._count_members(self.mutants[entries[file_id]["object_key"]], entries, file_id)
        if not self.watched.ended:
            self.pipeline.assert_tidy()
        assert self.pipeline.count() == sum(entry["rows_inserted"] or 0 for entry in entries.values())
        body, count = good_file(self.base, FIRST, self.pipeline.contract.dialect)
        self.pipeline.assert_archived(self.pipeline.send("zz-good.csv", body), inserted=count)

    def _judge(self, one: Mutant, entry: Row, rejected: list[Row]) -> None:
        code, message = entry["error_code"], entry["error_message"]
        found = self._outcome(entry) or self._balance(entry) or _explained(entry, rejected)
        if entry["file_id"] in self.watched.ended:
            found = self.watched.ended[entry["file_id"]]
        if found:
            self.faults.append((one, f"{found}; {entry['status']} {code}: {message}"))
        self.outcomes[f"{entry['status']:18}{code or ''}"] += 1
        self.row_codes.update(row["code"] for row in rejected)
        if message:
            self.messages.append(f"{one.seed} [{one.story}] {code}: {message}")
        self.messages += [f"{one.seed} row {row['source_row']} {row['code']}: {row['message']}" for row in rejected]

    def _count_members(self, one: Mutant, entries: dict[int, Row], archive: int) -> None:
        """Check that each wanted file of an archive that is not damaged has an entry."""
        if one.members is None or archive in self.watched.ended:
            return
        pattern = self.pipeline.contract.dialect.member or "*"
        wanted = [name.replace("\n", "\ufffd") for name in one.members if fnmatchcase(Path(name).name, pattern)]
        start = f"{entries[archive]['object_key']}#"
        keys = [entry["object_key"] for entry in entries.values() if entry["parent_file_id"] == archive]
        if sorted(keys) != sorted(start + name for name in wanted):
            self.faults.append((one, f"the members {keys}, made with {one.members}"))

    def _outcome(self, entry: Row) -> str:
        if entry["status"] in {"archived", "duplicate"}:
            if entry["error_code"] not in {None, "duplicate-content"}:
                return "loaded, but with a code"
        elif entry["status"] not in {"validation_failed", "processing_failed"}:
            return "not a final status of a file"
        elif entry["error_code"] not in CODES:
            return "a code that no file has"
        elif not (entry["settled_key"] or "").startswith("failed/"):
            return "not moved to failed/"
        return ""

    def _balance(self, entry: Row) -> str:
        """Check that the counts of a loaded file add up; an archive has no rows of its own."""
        if entry["status"] != "archived":
            return ""
        parts = sum(entry[f"rows_{name}"] for name in ("inserted", "updated", "unchanged", "duplicate", "rejected"))
        has_rows = entry["file_id"] not in self.archives
        return "" if parts == entry["rows_read"] and has_rows == (parts > 0) else "the ledger does not balance"


def _explained(entry: Row, rejected: list[Row]) -> str:
    """Check that every refusal has a code and a helpful message, and every refused row of a text has its line."""
    messages = [row["message"] for row in rejected] + ([entry["error_message"]] if entry["error_code"] else [])
    for message in messages:
        if not message or len(message) < 15 or INNER_WORDS.search(message):
            return f"a message that does not help: {message!r}"
        if re.search(r"[\x00-\x08\x0a-\x1f]", message):
            return f"control characters in {message!r}"
    if strange := {row["code"] for row in rejected} - CODES:
        return f"rows with a code that no row has: {strange}"
    rows = {row["source_row"] for row in rejected}
    if len(rows) != min(entry["rows_rejected"] or 0, 1000):
        return f"{len(rows)} rows explained of {entry['rows_rejected']} refused"
    if any(not 1 <= row["source_row"] <= entry["rows_read"] for row in rejected):
        return "a refused row that is not in the file"
    if (entry["format"] or "").startswith(("csv", "ndjson", "json")) and any(
        row["source_line"] is None for row in rejected
    ):
        return "a refused row without its line"
    return ""


def batches(platform: Platform, owner: psycopg.Connection[Row], folder: Path) -> Iterator[Batch]:
    """All files, in batches of one contract each."""
    contracts = {
        "sales": read_contract(CONTRACTS_DIR / "sales.yaml"),
        "fuzzed": read_contract(Path(__file__).with_name("fuzzed.yaml")),
    }
    client = local_bucket.client(platform.s3_config)
    for number, first in enumerate(range(FIRST, FIRST + EXAMPLES, BATCH)):
        base, changes = KINDS[number % len(KINDS)]
        name = f"fuzz_{zlib.crc32(str(folder).encode()):08x}_{first}"
        bucket = name.replace("_", "-")
        client.create_bucket(Bucket=bucket)
        changed = _changed(contracts[base], name, **changes)
        pipeline = _pipeline(changed, bucket, folder / bucket, platform, owner)
        made = (mutant(base, seed) for seed in range(first, min(first + BATCH, FIRST + EXAMPLES)))
        yield Batch(pipeline, base, {pipeline.put(one.name, one.body): one for one in made})
        pipeline.sql("DROP TABLE IF EXISTS {table}")


def _changed(contract: Contract, name: str, *, nested: bool = False, **changes: Any) -> Contract:
    """The contract with changes; `nested` gives paths to columns."""
    if nested:
        changes["columns"] = tuple(
            replace(column, path=f"m.0.{column.name}") if column.name in NESTED_COLUMNS else column
            for column in contract.columns
        )
    return replace(contract, dataset=name, expectations=(), **changes)


def _pipeline(
    contract: Contract, bucket: str, spool: Path, platform: Platform, owner: psycopg.Connection[Row]
) -> Pipeline:
    settings = IngestSettings(
        landing_bucket=bucket, spool_dir=spool, max_row_bytes=200_000, max_expanded_bytes=32 * 1024**2, max_columns=200,
        batches_at_once=1,
    )  # fmt: skip
    return Pipeline(contract, settings, platform.s3_config, platform.warehouse_config(), owner, spool)


def _kept(faults: list[tuple[Mutant, str]]) -> str:
    """Write the files of the findings to a folder and describe them."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    lines = []
    for one, fault in faults:
        (folder / one.name).write_bytes(one.body)
        lines.append(f"{one.name} [{one.story}]: {fault}")
    return f"{len(faults)} findings; their files are in {folder}\n" + "\n".join(lines)


def test_every_mutant_ends_loaded_or_refused_for_a_reason(
    platform: Platform, owner: psycopg.Connection[Row], tmp_path: Path
) -> None:
    done = []
    for one in batches(platform, owner, tmp_path):
        one.run()
        done.append(one)
    outcomes = sum((one.outcomes for one in done), Counter[str]())
    rows = sum((one.row_codes for one in done), Counter[str]())
    slowest = max((seconds for one in done for seconds in one.watched.seconds.values()), default=0.0)
    growth = max(one.watched.growth_bytes for one in done) / 1024**2
    print(f"\n{'outcome of the file':44}files")
    print("\n".join(f"{outcome:44}{count:5}" for outcome, count in sorted(outcomes.items())))
    print(f"\n{'code of the row':44} rows")
    print("\n".join(f"{code:44}{count:5}" for code, count in sorted(rows.items())))
    print(f"\nslowest file {slowest:.1f} s, a worker grew by {growth:.0f} MB at most")
    if (messages_file := os.environ.get("FUZZ_MESSAGES")) is not None:
        Path(messages_file).write_text(
            "\n".join(message for one in done for message in one.messages), "utf-8", "replace"
        )
    faults = [fault for one in done for fault in one.faults]
    assert not faults, _kept(faults)
    assert sum(outcomes.values()) >= EXAMPLES  # members of archives have outcomes of their own
    # Most files must be bad, and for different reasons.
    assert len(outcomes) >= min(5, EXAMPLES // 10)
