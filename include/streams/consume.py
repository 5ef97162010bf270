"""From a topic to the table: batch after batch through the same stages as files, committed after the warehouse.

The order is the promise. The rows and the ledger's `loaded` are one transaction; only then does the broker hear that
the messages are done. Killed in between, the messages come again, and the ledger knows their content. Refused
messages are dead letters before the good ones are published, so none is neither loaded nor set aside.
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
from include.ingestion.claim import Run, worker_died
from include.ingestion.ledger import FileLostError
from include.ingestion.records import FileFormat, Layout, Rejects, SpooledFile, Status, TopicRange
from include.ingestion.road import Stores, ingest
from include.ingestion.settle import settle_messages
from include.streams.dead_letters import DeadLetter, correct_topic, publish
from include.streams.decode import SCHEMA_ID_HEADER

if TYPE_CHECKING:
    from pathlib import Path

    from include.contracts.model import Contract
    from include.ingestion.ledger import UnfinishedMessages
    from include.ingestion.records import FileEntry
    from include.settings import IngestSettings, KafkaConfig, StreamSettings
    from include.streams.decode import Decoder
    from include.streams.intake import Intake
    from include.streams.messages import MessageBatch

log = logging.getLogger(__name__)

# What one message can do to a whole batch: it is looked for by halving the batch.
_OF_ONE_MESSAGE = {Code.UNKNOWN_COLUMNS, Code.TOO_MANY_COLUMNS, Code.DUPLICATE_COLUMNS}
# So many messages of a run are set aside for what may as well be wrong with us: a defect, a service that refuses them.
_MOST_DEFECTS = 3
_UNPROCESSABLE = 422
_DATA_EXCEPTION = "22"  # the class of PostgreSQL's errors that are about a value
# A batch that its worker died with is taken again in parts of this share.
_NARROWED_BY = 16


@dataclass
class Consumed:
    """What became of the messages of a run, and how many rows the merges saw.

    `messages` includes the deletes that were ignored. `removed` are the offsets that the broker removed unread.
    """

    batches: Counter[str] = field(default_factory=Counter)
    messages: int = 0
    dead_letters: int = 0
    rows: int = 0
    deletes_ignored: int = 0
    removed: list[TopicRange] = field(default_factory=list)

    def __str__(self) -> str:
        batches = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.batches.items())) or "none"
        counts = f"{self.messages:,} messages, {self.rows:,} rows, {self.dead_letters:,} dead letters"
        return f"batches: {batches}; {counts}, {self.deletes_ignored:,} deletes ignored"


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
    _unfinished: dict[tuple[int, int], UnfinishedMessages | None] = field(default_factory=dict)
    _suspects: dict[int, _Suspect] = field(default_factory=dict)
    _stopped: dict[int, PermanentError] = field(default_factory=dict)
    _refused_alone: int = 0

    def consume(self) -> Consumed:
        """Take batches until the topic is drained, or for `run_seconds`.

        A batch that is stopped holds its partition up; the other ones go on before the error is raised.

        Raises:
            RetryableError: the broker, the warehouse or a service does not answer; nothing of that batch is committed.
            PermanentError: a batch is stopped, or somebody refuses; nothing of that batch is committed.
        """
        end = monotonic() + self.streams.run_seconds
        correct_topic(self.kafka, self.contract.topic or "")
        self.intake.join()
        self._note_removed()
        while batches := self.intake.take(self._limit):
            self._note_removed()
            for batch in batches:
                self._consume_unless_stopped(batch)
            if monotonic() > end or all(batch.partition in self._stopped for batch in batches):
                break
        # What an earlier worker loaded and committed, and died before it could note the end: nothing comes again.
        for partition in sorted(self.intake.partitions):
            self._settle(partition)
        for error in self._stopped.values():
            raise error
        return self.result

    def _note_removed(self) -> None:
        """Enter into the ledger what the broker removed before it was read: nothing else will ever say so."""
        for partition, (first, last) in self.intake.take_removed().items():
            source = TopicRange(self.contract.topic or "", partition, first, last)
            for noted in self.stores.ledger.note_removed_messages(
                self.contract.dataset, self.contract.version, source, self.run.dag_id, self.run.run_id
            ):
                self.result.removed.append(noted)
                log.error("%s, %s: these offsets were removed before they were read", noted.topic, noted)

    def _consume_unless_stopped(self, batch: MessageBatch) -> None:
        if batch.partition in self._stopped:
            self.intake.rewind(batch)
            return
        try:
            self._consume(batch)
        except PermanentError as error:
            log.error("%s[%s] is stopped at %s: %s", batch.topic, batch.partition, batch.first_offset, error)
            self._stopped[batch.partition] = error
            self.result.batches["stopped"] += 1

    def _consume(self, batch: MessageBatch) -> None:
        ledger = self.stores.ledger
        # What an earlier worker loaded, and died before it could say so to the broker: these messages come again.
        self._settle(batch.partition)
        file_id = self._claim(batch)
        if self._died_alone(batch):
            self._set_aside_killer(batch, file_id)
            return
        entry = ledger.begin(file_id)
        try:
            # Without an entry: another worker has decided it since.
            outcome = self._ingest(batch, entry) if entry is not None else None
        except FileLostError as error:
            log.warning("%s[%s] %s: %s", batch.topic, batch.partition, batch.first_offset, error.message)
            outcome = None
        if outcome is not None:
            self._done(batch, outcome)
        else:
            self.intake.rewind(batch)

    def _ingest(self, batch: MessageBatch, entry: FileEntry) -> str | None:
        """Bring a batch to its outcome; None where it is to be taken again."""
        door = _MessageDoor(batch, self.decoder, self.kafka, self.result)
        if not batch.records:
            self.stores.ledger.only_deletes(entry, batch.deletes)
            return "deletes ignored"
        try:
            loaded = ingest(self._contract_for(batch), entry, door, self.stores, self.settings)
        except RetryableError as error:
            # A commit whose answer was lost has decided the batch: the error stays.
            with self.stores.answering_ledger() as ledger, suppress(FileLostError):
                ledger.postponed(entry, error.code, str(error))
            raise
        except PermanentError as error:
            with self.stores.answering_ledger() as ledger:
                ledger.failed(entry.file_id, entry.attempts, error.stage, error.code, str(error))
                settle_messages(batch.topic, batch.partition, ledger, self.settings)
            if not _may_be_of_one_message(error) or not self._may_look_for_one(batch, _MOST_DEFECTS):
                raise
            return self._narrowed(batch, Stage(error.stage), error.code, error.message)
        if loaded is not None:
            self.result.rows += loaded.inserted + loaded.updated + loaded.unchanged
            return "loaded"
        decided = self.stores.ledger.report(entry.file_id)
        if decided["status"] == Status.DUPLICATE:
            return "loaded before"
        stages = {Status.PROCESSING_FAILED: Stage.PROCESS, Status.LOADING_FAILED: Stage.LOAD}
        stage = stages.get(decided["status"], Stage.VALIDATE)
        return self._refused(batch, stage, Code(decided["code"]), decided["message"], entry.file_id)

    def _claim(self, batch: MessageBatch) -> int:
        source = TopicRange(batch.topic, batch.partition, batch.first_offset, batch.last_offset, batch.deletes)
        return self.stores.ledger.claim_messages(
            self.contract.dataset, self.contract.version, source, batch.size, self.run.dag_id, self.run.run_id
        )

    def _contract_for(self, batch: MessageBatch) -> Contract:
        """The contract as it holds for messages. Of messages with one key, the one with the last offset wins.

        A share means nothing in a handful of messages: there, each bad one is a dead letter and no more.
        """
        contract = replace(self.contract, on_duplicate=OnDuplicate.LAST_WINS)
        if self.ignore_threshold or len(batch.records) < self.streams.threshold_messages:
            return replace(contract, budget=ErrorBudget(share=1.0))
        return contract

    # --- one message that takes a whole batch down

    def _limit(self, partition: int, first_offset: int) -> int:
        """How many messages to take from there: few where one is looked for that takes its batch down."""
        place = (partition, first_offset)
        if place not in self._unfinished:
            found = self.stores.ledger.unfinished_messages(self.contract.topic or "", partition, first_offset)
            self._unfinished[place] = found
            if found is not None:
                self._suspects[partition] = _Suspect(
                    first_offset, first_offset + found.messages - 1, max(1, found.messages // _NARROWED_BY)
                )
        suspect = self._suspects.get(partition)
        if suspect is None or not suspect.first_offset <= first_offset <= suspect.last_offset:
            return self.streams.batch_messages
        return suspect.at_once

    def _died_alone(self, batch: MessageBatch) -> bool:
        """Whether workers have died with these messages too often, the last one with the first message alone."""
        found = self._unfinished.get((batch.partition, batch.first_offset))
        return (
            found is not None
            and found.died
            and found.attempts >= self.settings.max_attempts
            and (found.messages, len(batch)) == (1, 1)
        )

    def _set_aside_killer(self, batch: MessageBatch, file_id: int) -> None:
        ledger = self.stores.ledger
        entry = ledger.read(file_id)
        if entry is None:
            raise RetryableError(Stage.CLAIM, Code.INTERNAL, "The batch's entry has vanished.", file_id=file_id)
        reason = worker_died(entry.attempts, entry.stage)
        self._set_aside(batch, entry.stage, Code.WORKER_DIED, reason)
        ledger.failed(file_id, entry.attempts, entry.stage, Code.WORKER_DIED, reason)
        self._done(batch, "set aside")

    def _refused(self, batch: MessageBatch, stage: Stage, code: Code, message: str, file_id: int) -> str | None:
        """Find the message that the whole batch is refused for; where it is not one, stop."""
        most = sys.maxsize if self.ignore_threshold else self.streams.threshold_messages
        if code in _OF_ONE_MESSAGE and self._may_look_for_one(batch, most):
            return self._narrowed(batch, stage, code, message)
        self._settle(batch.partition)
        raise PermanentError(
            stage,
            code,
            f"The batch is stopped, and nothing of it is committed. {message} Mend the producer or the contract; to "
            "set its bad messages aside and go on, trigger the DAG with ignore_threshold.",
            topic=batch.topic,
            partition=batch.partition,
            first_offset=batch.first_offset,
            last_offset=batch.last_offset,
            file_id=file_id,
        )

    def _may_look_for_one(self, batch: MessageBatch, most: int) -> bool:
        return len(batch) > 1 or self._refused_alone < most

    def _narrowed(self, batch: MessageBatch, stage: Stage, code: Code, message: str) -> str | None:
        """Take half of the batch next, or set aside the one message that is left of it."""
        if len(batch) > 1:
            self._settle(batch.partition)
            self._suspects[batch.partition] = _Suspect(batch.first_offset, batch.last_offset, len(batch) // 2)
            return None
        self._refused_alone += 1
        self._set_aside(batch, stage, code, message)
        return "set aside"

    def _set_aside(self, batch: MessageBatch, stage: Stage, code: Code, message: str) -> None:
        """One message, alone in its batch, that no retry helps. It was the one that was looked for."""
        self.result.dead_letters += publish(self.kafka, [DeadLetter(batch.messages[0], code, message, stage)])
        self._suspects.pop(batch.partition, None)

    # --- the end

    def _done(self, batch: MessageBatch, outcome: str) -> None:
        self.result.batches[outcome] += 1
        self.result.messages += len(batch)
        self.result.deletes_ignored += batch.deletes
        # Not committed means that the partition is another consumer's: it finds the content in the ledger.
        self.intake.commit(batch)
        self._settle(batch.partition)
        log.info(
            "%s[%s] %s to %s: %s", batch.topic, batch.partition, batch.first_offset, batch.last_offset, self.result
        )

    def _settle(self, partition: int) -> None:
        settle_messages(self.contract.topic or "", partition, self.stores.ledger, self.settings)


@dataclass(frozen=True)
class _Suspect:
    """Offsets, both included, among which a message takes its batch down: so few are taken there at once."""

    first_offset: int
    last_offset: int
    at_once: int


@dataclass(frozen=True)
class _MessageDoor:
    """A batch's records, written down as one line each; the refused ones become dead letters. Deletes are no lines."""

    batch: MessageBatch
    decoder: Decoder
    kafka: KafkaConfig
    result: Consumed

    def spool(self, folder: Path) -> SpooledFile:
        records = self.batch.records
        schema_ids = [record.header(SCHEMA_ID_HEADER) for record in records]
        lines, undecoded = self.decoder.decode_batch([record.value for record in records], schema_ids)
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
                message = self.batch.records[int(row["source_row"]) - 1]
                letter = DeadLetter(
                    message, Code(row["code"]), row["message"], Stage.VALIDATE, row["column_name"] or None
                )
                letters.setdefault(int(row["source_row"]), letter)
        self.result.dead_letters += publish(self.kafka, list(letters.values()))


def _may_be_of_one_message(error: PermanentError) -> bool:
    """Whether a single message may be the cause: a defect, a value that a service or the table refuses."""
    if error.code is Code.SERVICE_REFUSED:
        return error.facts.get("status") == _UNPROCESSABLE
    return error.code is Code.INTERNAL or str(error.facts.get("sqlstate")).startswith(_DATA_EXCEPTION)
