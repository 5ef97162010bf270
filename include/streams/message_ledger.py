"""The ledger of messages: an entry is one batch of one partition, from its first offset to its last.

What belongs here: the statements on ops.* that only batches of messages need, and settling them. What does not: the
states that batches share with files (`include.ingestion.ledger`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from include.errors import Code, Stage, in_stage
from include.ingestion.ledger import Ledger
from include.ingestion.object_keys import clear_spool
from include.ingestion.records import file_entry
from include.ingestion.settle import drop_staging_of
from include.ingestion.target import staging_left
from include.stores.warehouse import warehouse_errors

if TYPE_CHECKING:
    from include.ingestion.attempt import Stores
    from include.ingestion.records import AirflowRun, FileEntry
    from include.settings import IngestSettings


@dataclass(frozen=True)
class TopicRange:
    """The messages of a batch: of one partition, from the first offset to the last, both included.

    `deletes_ignored` counts those without a value.
    """

    topic: str
    partition: int
    first_offset: int
    last_offset: int
    deletes_ignored: int = 0

    def __str__(self) -> str:
        return f"partition {self.partition}: {self.first_offset} to {self.last_offset}"


@dataclass(frozen=True)
class UnfinishedMessages:
    """A batch that was begun `attempts` times and not finished; the last attempt had so many `messages`.

    `died` is False where the last attempt was stopped for a reason outside the batch.
    """

    attempts: int
    messages: int
    died: bool


class MessageLedger(Ledger):
    """The ledger, with the statements for batches of messages."""

    def claim_range(
        self, dataset: str, contract_version: str, source: TopicRange, size_bytes: int, run: AirflowRun
    ) -> int:
        """Enter a batch of messages, or reuse the entry of an earlier attempt; its file_id."""
        values = {
            "dataset": dataset,
            "contract_version": contract_version,
            **asdict(source),
            "size_bytes": size_bytes,
            **asdict(run),
        }
        return int(self._rows("claim_messages", values)[0][0])

    def note_removed(
        self, dataset: str, contract_version: str, source: TopicRange, run: AirflowRun
    ) -> list[TopicRange]:
        """Enter messages that the broker removed before they were read, as a settled failure.

        Returns:
            The range that was entered; none where an earlier run has entered it and failed before its offset commit.
        """
        values = {
            **asdict(source),
            "dataset": dataset,
            "contract_version": contract_version,
            "code": Code.MESSAGES_REMOVED,
            **asdict(run),
        }
        return [TopicRange(*row) for row in self._rows("record_removed_messages", values)]

    def only_deletes(self, entry: FileEntry, deletes: int) -> None:
        """Note a batch of messages that are all deletes as loaded: it has no row."""
        with warehouse_errors():
            self._advance("mark_only_deletes", entry.file_id, entry.attempts, {"deletes_ignored": deletes})

    def unfinished(self, topic: str, partition: int, first_offset: int) -> UnfinishedMessages | None:
        """The batch that starts at this offset, if workers have begun it and died."""
        values = {"topic": topic, "partition": partition, "first_offset": first_offset}
        rows = self._rows("unfinished_messages", values)
        return UnfinishedMessages(*rows[0]) if rows else None

    def settle(self, topic: str, partition: int) -> list[FileEntry]:
        """Note a partition's batches that have an outcome as settled; their entries."""
        return [file_entry(row) for row in self._rows("settle_messages", {"topic": topic, "partition": partition})]


@in_stage(Stage.SETTLE)
def settle_messages(topic: str, partition: int, stores: Stores, settings: IngestSettings) -> None:
    """Settle a partition's batches that have an outcome. Nothing is moved; leftovers of dead workers are removed."""
    with warehouse_errors(), stores.connection.transaction():
        entries = MessageLedger(stores.connection).settle(topic, partition)
        left = staging_left(stores.connection) if entries else []
        for entry in entries:
            clear_spool(settings.spool_dir, entry)
            drop_staging_of(entry, left, stores.connection)
