"""The final checks: the state of warehouse, bucket, topic and processes against the expected state.

What belongs here: one check per guarantee, with the expected and the found value. What does not: waiting (`watch`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import sql
from psycopg.rows import dict_row

from include.stores.object_store import ObjectStore
from include.stores.warehouse import connect
from proof.torture.expectation import Key, Row, from_warehouse, merge, messages_rows, row_of
from proof.torture.proxied_platform import BUCKET, TOPIC
from proof.torture.topic import consumer_lag, dead_letters, last_stable_total
from proof.torture.workload import Drop, Sort
from tests.oracle.judge import RESCUED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from include.contracts.model import Contract
    from include.stores.warehouse import Connection
    from proof.torture.expectation import Judges
    from proof.torture.proxied_platform import ProxiedPlatform
    from proof.torture.topic import Messages

_COMPANIONS = (".report.json", ".rejects.csv")
_FETCH = 5_000
_EXAMPLES = 4


@dataclass(frozen=True)
class FinalCheck:
    """The result of one check. `detail` names the first violations."""

    name: str
    expected: str
    found: str
    ok: bool
    detail: str = ""


@dataclass
class Checker:
    """Compares the platform's state with what was dropped and published."""

    platform: ProxiedPlatform
    contracts: Mapping[str, Contract]
    drops: list[Drop]
    messages: Messages
    judges: Judges

    def run(self) -> Iterator[FinalCheck]:
        """Run all checks that need the running platform."""
        objects = [item.key for item in ObjectStore(self.platform.s3_config).list(BUCKET, "")]
        with connect(self.platform.warehouse_config()) as connection:
            entries = self._entries(connection)
            self.drops = self._not_replaced(entries)
            yield from self._files(entries)
            yield from self._bucket(objects, entries)
            yield from self._tables(connection)
            yield from self._ledger(connection)
        yield from self._topic()
        left = [path.name for path in self.platform.settings.layout.spool.glob("*")]
        yield _none("spool folders that were not removed", left)

    # --- files

    @staticmethod
    def _entries(connection: Connection) -> list[dict[str, Any]]:
        with connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute("SELECT * FROM ops.file_ingestion_log ORDER BY file_id").fetchall()

    def _not_replaced(self, entries: list[dict[str, Any]]) -> list[Drop]:
        """Return the drops without those that were overwritten before they were claimed: these have no entry."""
        claimed = {(entry["object_key"], entry["etag"]) for entry in entries}
        newest = {drop.key: drop for drop in self.drops}
        return [drop for drop in self.drops if drop is newest[drop.key] or (drop.key, drop.etag) in claimed]

    def _files(self, entries: list[dict[str, Any]]) -> Iterator[FinalCheck]:
        of_files = [entry for entry in entries if entry["object_key"] is not None]
        by_version = defaultdict(list)
        for entry in of_files:
            by_version[entry["object_key"], entry["etag"]].append(entry)
        versions = Counter((drop.key, drop.etag) for drop in self.drops)
        wrong = [f"{key} {len(by_version[key, etag])}" for key, etag in versions if len(by_version[key, etag]) != 1]
        yield FinalCheck(
            "files with exactly one ledger entry", f"{len(versions):,}", f"{len(versions) - len(wrong):,}",
            not wrong, _some(wrong),
        )  # fmt: skip
        yield _none(
            "entries of files that were not dropped",
            [f"{entry['object_key']} {entry['status']} {entry['error_code']}" for entry in of_files
             if (entry["object_key"], entry["etag"]) not in versions],
        )  # fmt: skip
        yield _none(
            "entries that are not settled", [str(entry["file_id"]) for entry in entries if not entry["settled_at"]]
        )
        wrong = list(self._outcomes(by_version))
        yield FinalCheck(
            "files that ended as the oracle says", f"{len(self.drops):,}", f"{len(self.drops) - len(wrong):,}",
            not wrong, _some(wrong),
        )  # fmt: skip

    def _outcomes(self, by_version: Mapping[tuple[str, str], list[dict[str, Any]]]) -> Iterator[str]:
        """Yield files with an unexpected outcome. One file of each good content is loaded, others are duplicates."""
        loaded: Counter[tuple[str, str]] = Counter()
        good: dict[tuple[str, str], Drop] = {}
        for drop in self.drops:
            entry = next(iter(by_version[drop.key, drop.etag]), None)
            if entry is None:
                yield f"{drop.key}: no entry"
                continue
            found = f"{entry['status']} {entry['error_code'] or ''}".strip()
            if drop.sort is Sort.UNMATCHED:
                if entry["error_code"] != "unknown-dataset":
                    yield f"{drop.key}: {found}, not unknown-dataset"
                continue
            judged = self.judges.of(drop)
            if judged.code:
                if entry["error_code"] != judged.code or not entry["status"].endswith("failed"):
                    yield f"{drop.key}: {found}, not {judged.code}"
                continue
            good[drop.dataset, drop.etag] = drop
            if entry["status"] == "archived":
                loaded[drop.dataset, drop.etag] += 1
                if (entry["rows_read"], entry["rows_rejected"]) != (judged.read, judged.rejected):
                    yield f"{drop.key}: {entry['rows_read']} rows, {entry['rows_rejected']} refused, {judged.read=}"
            elif entry["status"] != "duplicate":
                yield f"{drop.key}: {found}, not archived"
        for content, drop in good.items():
            if loaded[content] != 1:
                yield f"{drop.key}: content loaded {loaded[content]} times"

    def _bucket(self, objects: list[str], entries: list[dict[str, Any]]) -> Iterator[FinalCheck]:
        for prefix in ("incoming/", "staging/"):
            yield _none(f"objects under {prefix}", [key for key in objects if key.startswith(prefix)])
        keys = set(objects)
        of_files = [entry for entry in entries if entry["object_key"] is not None]
        wanted = {str(entry["settled_key"]) for entry in of_files if entry["settled_key"]}
        missing = [
            f"{entry['object_key']} ({entry['status']})" for entry in of_files if entry["settled_key"] not in keys
        ]
        yield FinalCheck(
            "files under the key of their entry",
            f"{len(of_files):,}",
            f"{len(of_files) - len(missing):,}",
            not missing,
            _some(missing),
        )
        companions = {key + ending for key in wanted for ending in _COMPANIONS}
        yield _none("objects without an entry", sorted(keys - wanted - companions))
        reports = [
            key for entry in of_files
            if str(entry["status"]).endswith("failed") and (key := f"{entry['settled_key']}.report.json") not in keys
        ]  # fmt: skip
        yield _none("refused files without a report", reports)

    # --- tables

    def _tables(self, connection: Connection) -> Iterator[FinalCheck]:
        for dataset, contract in self.contracts.items():
            expected: dict[Key, Row] = {}
            seen = set()
            for drop in self.drops:
                if drop.dataset == dataset and drop.sort is not Sort.UNMATCHED and drop.etag not in seen:
                    seen.add(drop.etag)
                    judged = self.judges.of(drop)
                    merge(expected, {} if judged.code else judged.rows)
            if dataset == TOPIC:
                merge(expected, messages_rows(contract, self.messages.good))
            yield _compare(dataset, expected, _rows(connection, contract))

    def _ledger(self, connection: Connection) -> Iterator[FinalCheck]:
        unbalanced = connection.execute(
            "SELECT file_id FROM ops.file_ingestion_log WHERE status = 'archived' AND rows_read IS DISTINCT FROM "
            "rows_inserted + rows_updated + rows_unchanged + rows_duplicate + rows_rejected"
        ).fetchall()
        yield _none("entries whose counts do not balance", [str(row[0]) for row in unbalanced])
        for dataset in self.contracts:
            inserted = _number(connection, "SELECT coalesce(sum(rows_inserted), 0) FROM ops.file_ingestion_log "
                               "WHERE status = 'archived' AND dataset = %s", dataset)  # fmt: skip
            counted = sql.SQL("SELECT count(*) FROM raw.{}").format(sql.Identifier(dataset))
            [rows] = connection.execute(counted).fetchall()
            yield FinalCheck(
                f"rows inserted, by the ledger: {dataset}", f"{rows[0]:,}", f"{inserted:,}", inserted == rows[0]
            )
        left = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'load'").fetchall()
        yield _none("staging tables that were not dropped", [str(row[0]) for row in left])

    # --- messages

    def _topic(self) -> Iterator[FinalCheck]:
        kafka, messages = self.platform.kafka, self.messages
        end = last_stable_total(kafka)
        yield FinalCheck("messages in the topic", f"{messages.published:,}", f"{end:,}", end == messages.published)
        behind = consumer_lag(kafka)
        yield FinalCheck("messages that are not committed", "0", f"{behind:,}", behind == 0)
        letters = dead_letters(kafka)
        wrong = [*(f"missing {number}" for number in messages.bad - letters.numbers),
                 *(f"not bad {number}" for number in letters.numbers - messages.bad)]  # fmt: skip
        yield FinalCheck(
            "bad messages among the dead letters", f"{len(messages.bad):,}",
            f"{len(letters.positions):,} in {letters.letters:,} letters",
            not wrong and len(letters.positions) == len(messages.bad), _some(wrong),
        )  # fmt: skip


def _rows(connection: Connection, contract: Contract) -> Iterator[tuple[Key, Row]]:
    """Yield the table's rows, with documents read as text, in batches of `_FETCH`."""
    documents = {column.name for column in contract.columns if column.type.is_document} | {RESCUED}
    names = [*(column.name for column in contract.columns if column.enriched is None), RESCUED]
    columns = sql.SQL(", ").join(
        sql.SQL("{0}::text AS {0}" if name in documents else "{0}").format(sql.Identifier(name)) for name in names
    )
    query = sql.SQL("SELECT {} FROM raw.{}").format(columns, sql.Identifier(contract.dataset))
    with connection.transaction(), connection.cursor("rows", row_factory=dict_row) as cursor:
        cursor.itersize = _FETCH
        for row in cursor.execute(query):
            yield row_of(contract, from_warehouse(contract, row))


def _compare(dataset: str, expected: Mapping[Key, Row], rows: Iterable[tuple[Key, Row]]) -> FinalCheck:
    found, wrong, keys = 0, [], set()
    for key, row in rows:
        found += 1
        keys.add(key)
        if expected.get(key) != row:
            wrong.append(f"{' '.join(key)} {'differs' if key in expected else 'is not expected'}")
    missing = expected.keys() - keys
    wrong += [f"{' '.join(key)} is missing" for key in missing]
    return FinalCheck(
        f"rows of raw.{dataset}", f"{len(expected):,}", f"{found:,}, {len(wrong):,} wrong", not wrong, _some(wrong)
    )


def _number(connection: Connection, query: str, value: object) -> int:
    [row] = connection.execute(query.encode(), [value]).fetchall()
    return int(row[0])


def _none(name: str, found: list[str]) -> FinalCheck:
    return FinalCheck(name, "0", f"{len(found):,}", not found, _some(found))


def _some(found: list[str]) -> str:
    return "; ".join(found[:_EXAMPLES]) + (f"; and {len(found) - _EXAMPLES:,} more" if len(found) > _EXAMPLES else "")
