"""Loads the messages of a topic: each batch passes through the same stages as a file, then its offsets are committed.

The rows and the ledger's `loaded` are one transaction; the offsets are committed after it. After a kill in between the
messages are delivered again, and the ledger knows their content. Refused messages are published as dead letters before
the good rows are published, so every message is loaded or a dead letter.
"""

from __future__ import annotations

import csv
import logging
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import TYPE_CHECKING

from include.contracts.model import ErrorBudget, OnDuplicate
from include.errors import Code, PermanentError, RetryableError, Stage
from include.ingestion.claim import worker_died
from include.ingestion.ledger import StaleAttemptError
from include.ingestion.pipeline import ingest
from include.ingestion.records import FileFormat, FileStatus, Layout, Rejects, SpooledFile, Undecoded
from include.streams.dead_letters import DeadLetter, correct_topic, publish
from include.streams.decode import SCHEMA_ID_HEADER
from include.streams.message_ledger import MessageLedger, TopicRange, settle_messages
from include.streams.poison import BATCH_CODES, PoisonSearch, may_be_one_message
from include.streams.tombstones import write_deleted_keys

if TYPE_CHECKING:
    from pathlib import Path

    from include.contracts.model import Contract
    from include.ingestion.attempt import Stores
    from include.ingestion.records import AirflowRun, FileEntry
    from include.settings import IngestSettings, KafkaConfig, StreamSettings
    from include.streams.batch_consumer import BatchConsumer
    from include.streams.decode import Decoder
    from include.streams.messages import MessageBatch

log = logging.getLogger(__name__)

# The most dead letters of a run for errors that may not be the message's fault: a defect, a service that refuses it.
_MOST_DEFECTS = 3


@dataclass
class Consumed:
    """The result of a run: batches by outcome, counts of messages, and rows in the merges.

    `messages` includes the `deletes`, messages without a value. `deletes_ignored` are those that name no row: the
    contract does not apply them, or their key cannot be read. `removed` are the offsets that the broker removed unread.
    """

    batches: Counter[str] = field(default_factory=Counter)
    messages: int = 0
    dead_letters: int = 0
    rows: int = 0
    deletes: int = 0
    deletes_ignored: int = 0
    rows_deleted: int = 0
    removed: list[TopicRange] = field(default_factory=list)

    def __str__(self) -> str:
        batches = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.batches.items())) or "none"
        counts = f"{self.messages:,} messages, {self.rows:,} rows, {self.dead_letters:,} dead letters"
        deletes = f"{self.rows_deleted:,} rows deleted, {self.deletes_ignored:,} deletes ignored"
        return f"batches: {batches}; {counts}, {deletes}"


@dataclass
class TopicConsumer:
    """Loads a topic's messages into the table of one contract. `ignore_threshold`: bad messages never stop a batch."""

    contract: Contract
    consumer: BatchConsumer
    decoder: Decoder
    stores: Stores
    kafka: KafkaConfig
    settings: IngestSettings
    streams: StreamSettings
    run: AirflowRun
    ignore_threshold: bool = False
    result: Consumed = field(default_factory=Consumed)
    _stopped: dict[int, PermanentError] = field(default_factory=dict)
    _search: PoisonSearch = field(init=False)

    def __post_init__(self) -> None:
        """Start without a search for poison messages."""
        self._search = PoisonSearch(
            self._ledger, self.contract.topic or "", self.streams.batch_messages, self.settings.max_attempts
        )

    @property
    def _ledger(self) -> MessageLedger:
        return MessageLedger(self.stores.connection)

    def consume(self) -> Consumed:
        """Consume batches until the topic is drained, or for `run_seconds`.

        A stopped batch blocks its partition; the other partitions are consumed before the error is raised.

        Raises:
            RetryableError: the broker, the warehouse or a service does not answer; nothing of that batch is committed.
            PermanentError: a batch is stopped, or one of them refuses; nothing of that batch is committed.
        """
        end = monotonic() + self.streams.run_seconds
        correct_topic(self.kafka, self.contract.topic or "")
        self.consumer.join()
        self._note_removed()
        while batches := self.consumer.poll(self._search.batch_limit):
            self._note_removed()
            for batch in batches:
                self._consume_unless_stopped(batch)
            if monotonic() > end or all(batch.partition in self._stopped for batch in batches):
                break
        # An earlier worker may have died after the commit of offsets and before it settled the batch in the ledger.
        for partition in sorted(self.consumer.partitions):
            self._settle(partition)
        for error in self._stopped.values():
            raise error
        return self.result

    def _note_removed(self) -> None:
        """Note in the ledger the offsets that the broker removed unread: they appear nowhere else."""
        for partition, (first, last) in self.consumer.take_removed().items():
            source = TopicRange(self.contract.topic or "", partition, first, last)
            for noted in self._ledger.note_removed(self.contract.dataset, self.contract.version, source, self.run):
                self.result.removed.append(noted)
                log.error("%s, %s: these offsets were removed before they were read", noted.topic, noted)

    def _consume_unless_stopped(self, batch: MessageBatch) -> None:
        if batch.partition in self._stopped:
            self.consumer.return_batch(batch)
            return
        try:
            self._consume(batch)
        except PermanentError as error:
            log.error("%s[%s] is stopped at %s: %s", batch.topic, batch.partition, batch.first_offset, error)
            self._stopped[batch.partition] = error
            self.result.batches["stopped"] += 1

    def _consume(self, batch: MessageBatch) -> None:
        ledger = self._ledger
        # An earlier worker may have died after the load and before the commit: these messages are delivered again.
        self._settle(batch.partition)
        file_id = self._claim(batch)
        if self._search.has_killed_workers(batch):
            self._dead_letter_poison_message(batch, file_id)
            return
        entry = ledger.begin(file_id)
        try:
            # No entry: another worker has finished the batch since.
            outcome = self._ingest(batch, entry) if entry is not None else None
        except StaleAttemptError as error:
            log.warning("%s[%s] %s: %s", batch.topic, batch.partition, batch.first_offset, error.message)
            outcome = None
        if outcome is not None:
            self._done(batch, outcome)
        else:
            self.consumer.return_batch(batch)

    def _ingest(self, batch: MessageBatch, entry: FileEntry) -> str | None:
        """Ingest a batch and return its outcome; None if it is to be read again."""
        source = KafkaBatchSource(batch, self.decoder, self.kafka, self.result, self.contract)
        if not batch.records and self.contract.deletes is None:
            self._ledger.only_deletes(entry, batch.deletes)
            return "deletes ignored"
        try:
            loaded = ingest(self._contract_for(batch), entry, source, self.stores, self.settings)
        except RetryableError as error:
            # A commit may have succeeded although its answer did not arrive: the batch is loaded then.
            with self.stores.answering() as answering, suppress(StaleAttemptError):
                answering.ledger.postponed(entry, error.code, str(error))
            raise
        except PermanentError as error:
            with self.stores.answering() as answering:
                answering.ledger.failed(entry.file_id, entry.attempts, error.stage, error.code, str(error))
                settle_messages(batch.topic, batch.partition, answering, self.settings)
            if not may_be_one_message(error) or not self._search.may_bisect(batch, _MOST_DEFECTS):
                raise
            return self._bisect(batch, Stage(error.stage), error.code, _in_full(error))
        if loaded is not None:
            self.result.rows += loaded.inserted + loaded.updated + loaded.unchanged
            self.result.rows_deleted += loaded.deleted
            self.result.deletes_ignored += loaded.ignored or 0
            return "loaded"
        report = self._ledger.report(entry.file_id)
        if report["status"] == FileStatus.DUPLICATE:
            return "loaded before"
        stages = {FileStatus.PROCESSING_FAILED: Stage.PROCESS, FileStatus.LOADING_FAILED: Stage.LOAD}
        stage = stages.get(report["status"], Stage.VALIDATE)
        return self._refused(batch, stage, Code(report["code"]), report["message"], entry.file_id)

    def _claim(self, batch: MessageBatch) -> int:
        ignored = batch.deletes if self.contract.deletes is None else 0
        source = TopicRange(batch.topic, batch.partition, batch.first_offset, batch.last_offset, ignored)
        return self._ledger.claim_range(self.contract.dataset, self.contract.version, source, batch.size, self.run)

    def _contract_for(self, batch: MessageBatch) -> Contract:
        """The contract with the rules for messages. Of messages with one key, the one with the last offset wins.

        In batches below `threshold_messages` the error budget's share is not applied: bad messages become dead letters
        and never stop the batch.
        """
        contract = replace(self.contract, on_duplicate=OnDuplicate.LAST_WINS)
        if self.ignore_threshold or len(batch.records) < self.streams.threshold_messages:
            return replace(contract, budget=ErrorBudget(share=1.0))
        return contract

    # --- poison messages

    def _dead_letter_poison_message(self, batch: MessageBatch, file_id: int) -> None:
        ledger = self._ledger
        entry = ledger.read(file_id)
        if entry is None:
            raise RetryableError(Code.INTERNAL, "The batch's ledger entry is missing.", file_id=file_id)
        reason = worker_died(entry.attempts, entry.stage)
        self._dead_letter(batch, entry.stage, Code.WORKER_DIED, reason)
        ledger.failed(file_id, entry.attempts, entry.stage, Code.WORKER_DIED, reason)
        self._done(batch, "dead-lettered")

    def _refused(self, batch: MessageBatch, stage: Stage, code: Code, message: str, file_id: int) -> str | None:
        """Search the message that the whole batch is refused for; stop the batch if it cannot be one message."""
        most = sys.maxsize if self.ignore_threshold else self.streams.threshold_messages
        if code in BATCH_CODES and self._search.may_bisect(batch, most):
            return self._bisect(batch, stage, code, message)
        self._settle(batch.partition)
        raise PermanentError(
            code,
            f"The batch is stopped, and nothing of it is committed. {message} Fix the producer or the contract; to "
            "send the bad messages to the dead letter topic and continue, trigger the DAG with ignore_threshold.",
            topic=batch.topic,
            partition=batch.partition,
            first_offset=batch.first_offset,
            last_offset=batch.last_offset,
            file_id=file_id,
        ).with_stage(stage)

    def _bisect(self, batch: MessageBatch, stage: Stage, code: Code, message: str) -> str | None:
        """Read the batch again in halves, or publish its only message as a dead letter."""
        if self._search.bisect(batch):
            self._settle(batch.partition)
            return None
        self._dead_letter(batch, stage, code, message)
        return "dead-lettered"

    def _dead_letter(self, batch: MessageBatch, stage: Stage, code: Code, message: str) -> None:
        """Publish the poison message, which is alone in its batch, and end the search."""
        self.result.dead_letters += publish(self.kafka, [DeadLetter(batch.messages[0], code, message, stage)])
        self._search.end(batch.partition)

    # --- the end

    def _done(self, batch: MessageBatch, outcome: str) -> None:
        self.result.batches[outcome] += 1
        self.result.messages += len(batch)
        self.result.deletes += batch.deletes
        self.result.deletes_ignored += batch.deletes if self.contract.deletes is None else 0
        # If the partition is another consumer's by now, that consumer finds the content in the ledger.
        self.consumer.commit(batch)
        self._settle(batch.partition)
        log.info(
            "%s[%s] %s to %s: %s", batch.topic, batch.partition, batch.first_offset, batch.last_offset, self.result
        )

    def _settle(self, partition: int) -> None:
        settle_messages(self.contract.topic or "", partition, self.stores, self.settings)


@dataclass(frozen=True)
class KafkaBatchSource:
    """A batch's records as NDJSON, one line each, and the keys of its deletes. Refused records become dead letters."""

    batch: MessageBatch
    decoder: Decoder
    kafka: KafkaConfig
    result: Consumed
    contract: Contract

    def spool(self, folder: Path) -> SpooledFile:
        """Write the records, decoded, as NDJSON."""
        records = self.batch.records
        schema_ids = [record.header(SCHEMA_ID_HEADER) for record in records]
        lines, undecoded = self.decoder.decode_batch([record.value for record in records], schema_ids)
        path = folder / "raw"
        size = path.write_bytes(b"\n".join([*lines, b""]))
        deletes = folder / "deletes.parquet"
        has_deletes = bool(self.contract.deletes) and write_deleted_keys(self.contract, self.batch.messages, deletes)
        return SpooledFile(
            path,
            self.batch.sha256,
            size,
            layout=Layout(FileFormat.NDJSON),
            undecoded={at + 1: Undecoded(error.code, error.message) for at, error in undecoded.items()},
            records_alone=True,
            deletes=deletes if has_deletes else None,
        )

    def store_rejects(self, rejects: Rejects) -> None:
        """Do nothing: the messages stay in the topic."""

    def publish_rejects(self, rejects: Rejects) -> None:
        """Publish each refused record as a dead letter."""
        if rejects.path is None:
            return
        letters: dict[int, DeadLetter] = {}
        with rejects.path.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                message = self.batch.records[int(row["source_row"]) - 1]
                letter = DeadLetter(
                    message, Code(row["code"]), row["message"], Stage.VALIDATE, row["column_name"] or None
                )
                letters.setdefault(int(row["source_row"]), letter)
        self.result.dead_letters += publish(self.kafka, list(letters.values()))


def _in_full(error: PermanentError) -> str:
    """The message for a dead letter, with what PostgreSQL said of the value."""
    said = error.details.get("postgresql")
    return f"{error.message} PostgreSQL: {said}." if said else error.message
