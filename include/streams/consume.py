"""From a topic to the table: batch after batch through the same stages as files, committed after the warehouse.

The order is the promise. The rows and the ledger's `loaded` are one transaction; only then does the broker hear that
the messages are done. Killed in between, the messages come again, and the ledger knows their content. Refused
messages are dead letters before the good ones are published, so none is neither loaded nor set aside.
"""

from __future__ import annotations

import csv
import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import TYPE_CHECKING

from include.contracts.model import ErrorBudget
from include.errors import Code, PermanentError, RetryableError, Stage
from include.ingestion.claim import Run, worker_died
from include.ingestion.records import FileFormat, Layout, Rejects, SpooledFile, Status, TopicRange
from include.ingestion.road import Stores, ingest
from include.streams.dead_letters import DeadLetter, publish

if TYPE_CHECKING:
    from pathlib import Path

    from include.contracts.model import Contract
    from include.ingestion.records import FileEntry
    from include.settings import IngestSettings, KafkaConfig, StreamSettings
    from include.streams.decode import Decoder
    from include.streams.intake import Intake
    from include.streams.messages import MessageBatch

log = logging.getLogger(__name__)

# What one message can do to a whole batch: it is looked for by halving the batch.
_OF_ONE_MESSAGE = {Code.UNKNOWN_COLUMNS, Code.TOO_MANY_COLUMNS, Code.DUPLICATE_COLUMNS, Code.DERIVATION_FAILED}


@dataclass
class Consumed:
    """What became of the messages of a run, and how many rows the merges saw."""

    batches: Counter[str] = field(default_factory=Counter)
    messages: int = 0
    dead_letters: int = 0
    rows: int = 0

    def __str__(self) -> str:
        batches = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.batches.items())) or "none"
        return f"batches: {batches}; {self.messages:,} messages, {self.rows:,} rows, {self.dead_letters:,} dead letters"


@dataclass
class TopicConsumer:
    """Brings a topic's messages to the table of one contract. `ignore_threshold`: bad messages never stop a batch."""

    contract: Contract
    intake: Intake
    decoder: Decoder
    stores: Stores
    kafka: KafkaConfig
    settings: IngestSettings
    streams: StreamSettings
    run: Run
    ignore_threshold: bool = False
    result: Consumed = field(default_factory=Consumed)
    _limits: dict[tuple[int, int], int] = field(default_factory=dict)

    def consume(self) -> Consumed:
        """Take batches until the topic is drained, or for `run_seconds`.

        Raises:
            RetryableError: the broker, the warehouse or a service does not answer; nothing of that batch is committed.
            PermanentError: a batch is stopped, or somebody refuses; nothing of that batch is committed.
        """
        end = monotonic() + self.streams.run_seconds
        while batches := self.intake.take(self._limit):
            for batch in batches:
                self._consume(batch)
            if monotonic() > end:
                break
        return self.result

    def _limit(self, partition: int, first_offset: int) -> int:
        """How many messages to take from there: fewer of those that a worker died with, down to a single one."""
        place = (partition, first_offset)
        if place not in self._limits:
            attempts = self.stores.ledger.batch_attempts(self.contract.topic or "", partition, first_offset)
            self._limits[place] = max(1, self.streams.batch_messages >> (4 * attempts))
        return self._limits[place]

    def _consume(self, batch: MessageBatch) -> None:
        ledger = self.stores.ledger
        # What an earlier worker loaded, and died before it could say so to the broker: these messages come again.
        ledger.settle_messages(batch.topic, batch.partition)
        entry = self._claim(batch)
        if entry.attempts > self.settings.max_attempts and len(batch) == 1:
            reason = worker_died(entry.attempts - 1, entry.stage)
            self._set_aside(batch, entry, Code.WORKER_DIED, reason)
            return
        door = _MessageDoor(batch, self.decoder, self.kafka, self.result)
        try:
            loaded = ingest(self._contract_for(batch), entry, door, self.stores, self.settings)
        except RetryableError as error:
            if not ledger.connection.closed:
                ledger.postponed(entry, error.code, str(error))
            raise
        except PermanentError as error:
            ledger.failed(entry.file_id, entry.attempts, error.stage, error.code, str(error))
            ledger.settle_messages(batch.topic, batch.partition)
            raise
        if loaded is not None:
            self.result.rows += loaded.inserted + loaded.updated + loaded.unchanged
            self._done(batch, "loaded")
            return
        decided = ledger.report(entry.file_id)
        if decided["status"] == Status.DUPLICATE:
            self._done(batch, "loaded before")
        else:
            self._refused(batch, entry, Code(decided["code"]), decided["message"])

    def _claim(self, batch: MessageBatch) -> FileEntry:
        ledger = self.stores.ledger
        source = TopicRange(batch.topic, batch.partition, batch.first_offset, batch.last_offset)
        file_id = ledger.claim_messages(
            self.contract.dataset, self.contract.version, source, batch.size, self.run.dag_id, self.run.run_id
        )
        entry = ledger.begin(file_id)
        if entry is None:
            raise RetryableError(Stage.CLAIM, Code.INTERNAL, "Another consumer has this batch.", **vars(source))
        return entry

    def _contract_for(self, batch: MessageBatch) -> Contract:
        """A share means nothing in a handful of messages: there, each bad one is a dead letter and no more."""
        if self.ignore_threshold or len(batch) < self.streams.threshold_messages:
            return replace(self.contract, budget=ErrorBudget(share=1.0))
        return self.contract

    def _refused(self, batch: MessageBatch, entry: FileEntry, code: Code, message: str) -> None:
        """Find the message that the whole batch is refused for; where it is not one, stop."""
        if code in _OF_ONE_MESSAGE and len(batch) == 1 and self.result.dead_letters < self.streams.threshold_messages:
            self._set_aside(batch, entry, code, message)
            return
        self.stores.ledger.settle_messages(batch.topic, batch.partition)
        if code in _OF_ONE_MESSAGE and len(batch) > 1:
            self._limits[batch.partition, batch.first_offset] = len(batch) // 2
            self.intake.rewind(batch)
            return
        raise PermanentError(
            Stage.VALIDATE,
            code,
            f"The batch is stopped, and nothing of it is committed. {message} Mend the producer or the contract; to "
            "set its bad messages aside and go on, trigger the DAG with ignore_threshold.",
            topic=batch.topic,
            partition=batch.partition,
            first_offset=batch.first_offset,
            last_offset=batch.last_offset,
            file_id=entry.file_id,
        )

    def _set_aside(self, batch: MessageBatch, entry: FileEntry, code: Code, message: str) -> None:
        """One message, alone in its batch, that no retry helps."""
        publish(self.kafka, [DeadLetter(batch.messages[0], code, message, entry.stage)])
        self.result.dead_letters += 1
        ledger = self.stores.ledger
        current = ledger.read(entry.file_id)
        if current is not None and not current.decided:
            ledger.failed(entry.file_id, current.attempts, entry.stage, code, message)
        self._done(batch, "set aside")

    def _done(self, batch: MessageBatch, outcome: str) -> None:
        self.result.batches[outcome] += 1
        self.result.messages += len(batch)
        # Not committed means that the partition is another consumer's: it finds the content in the ledger.
        self.intake.commit(batch)
        self.stores.ledger.settle_messages(batch.topic, batch.partition)
        log.info(
            "%s[%s] %s to %s: %s", batch.topic, batch.partition, batch.first_offset, batch.last_offset, self.result
        )


@dataclass(frozen=True)
class _MessageDoor:
    """A batch of messages, written down as one line each; the refused ones become dead letters."""

    batch: MessageBatch
    decoder: Decoder
    kafka: KafkaConfig
    result: Consumed

    def spool(self, folder: Path) -> SpooledFile:
        lines, undecoded = self.decoder.decode_batch([message.value for message in self.batch.messages])
        path = folder / "raw"
        size = path.write_bytes(b"\n".join([*lines, b""]))
        return SpooledFile(
            path,
            self.batch.sha256,
            size,
            layout=Layout(FileFormat.NDJSON),
            undecoded={at + 1: (error.code, error.message) for at, error in undecoded.items()},
            records_alone=True,
        )

    def keep(self, rejects: Rejects) -> None:
        """Nothing: the messages are where they were."""

    def before_load(self, rejects: Rejects) -> None:
        if rejects.path is None:
            return
        letters: dict[int, DeadLetter] = {}
        with rejects.path.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                message = self.batch.messages[int(row["source_row"]) - 1]
                letter = DeadLetter(
                    message, Code(row["code"]), row["message"], Stage.VALIDATE, row["column_name"] or None
                )
                letters.setdefault(int(row["source_row"]), letter)
        self.result.dead_letters += publish(self.kafka, list(letters.values()))
