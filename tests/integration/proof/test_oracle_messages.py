"""The pipeline of a topic and the oracle agree on rows, counts and dead letters, for any messages."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from both_paths import COUNTS, table_differences
from hypothesis import given, settings
from ingest_pipeline import Row, direct
from message_cases import MessageCase, message_cases
from test_oracle import BUDGET, EXAMPLES, short
from topic_pipeline import TopicPipeline

from include.errors import Code
from include.ingestion.attempt import open_stores
from include.ingestion.engine import engine
from include.ingestion.records import AirflowRun
from include.settings import IngestSettings, KafkaConfig, MlServiceSettings, StreamSettings
from include.streams.batch_consumer import BatchConsumer
from include.streams.consume import TopicConsumer
from include.streams.decode import Decoder
from local.services import broker as local_broker
from local.supervisor.platform import KAFKA
from tests.oracle.judge import judge_messages
from tests.oracle.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.contracts.model import Contract
    from include.ingestion.attempt import Stores
    from local.supervisor.platform import Platform
    from tests.oracle.verdict import Verdict

TOPIC = "proof_oracle"
pytestmark = [pytest.mark.integration, pytest.mark.timeout(max(600, 2 * EXAMPLES))]


@dataclass
class KafkaPath:
    """One topic and one member of its group for all examples; each example has its own dataset."""

    pipeline: TopicPipeline
    stores: Stores
    consumer: BatchConsumer
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _letters: int = 0
    _messages: int = 0

    def differences(self, contract: Contract, values: tuple[bytes, ...]) -> list[str]:
        """Describe where the pipeline and the oracle differ; empty if they agree."""
        number = next(self._numbers)
        contract = replace(contract, dataset=f"proof_messages_{number}", topic=TOPIC)
        pipeline = replace(self.pipeline, contract=contract)
        table, verdict = Table(contract), judge_messages(contract, values)
        counts = table.apply(verdict).counts
        first, self._messages = self._messages, self._messages + pipeline.produce(values)
        consumer = TopicConsumer(
            contract, self.consumer, Decoder(None), self.stores, pipeline.kafka, pipeline.settings, pipeline.streams,
            AirflowRun("proof", str(number)),
        )  # fmt: skip
        try:
            consumer.consume()
            entries = pipeline.entries()
            expected = [getattr(counts, name) for name in COUNTS]
            found = _counts(entries)
            if len(entries) > 1:  # a batch with unknown columns is read again in halves, whose keys are others' updates
                expected, found = [expected[at] for at in _OF_HALVES], [found[at] for at in _OF_HALVES]
            wrong = [] if found == expected else [f"{COUNTS}: {found}, expected {expected}, {entries}"]
            return [*wrong, *self._letter_differences(pipeline, verdict, first), *table_differences(pipeline, table)]
        finally:
            pipeline.sql("DROP TABLE IF EXISTS {table}")

    def _letter_differences(self, pipeline: TopicPipeline, verdict: Verdict, first: int) -> list[str]:
        letters = pipeline.letters()
        new, self._letters = letters[self._letters :], len(letters)
        expected: dict[int, set[str]] = {}
        for fault in verdict.faults:
            expected.setdefault(fault.source_row, set()).add(fault.code.value)
        found = {int(letter.headers["dlq-source-offset"]) - first + 1: letter.code for letter in new}
        agree = found.keys() == expected.keys() and all(found[row] in expected[row] for row in found)
        return [] if agree and len(new) == len(found) else [f"dead letters {found}, expected {expected}"]


_OF_HALVES = (COUNTS.index("read"), COUNTS.index("rejected"))


def _counts(entries: list[Row]) -> list[int]:
    """The sums of the counts; a message that is refused as a batch of its own counts as a refused row."""
    alone = {"rows_read": 1, "rows_rejected": 1}
    found = [
        [alone.get(f"rows_{name}", 0) if entry["error_code"] == Code.UNKNOWN_COLUMNS else entry[f"rows_{name}"] or 0
         for name in COUNTS]
        for entry in entries
    ]  # fmt: skip
    return [sum(column) for column in zip(*found, strict=True)]


@pytest.fixture(scope="module")
def kafka_path(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaPath]:
    """Connections, a topic and a consumer that all examples share."""
    platform.up((KAFKA,))
    kafka = KafkaConfig(bootstrap_servers=local_broker.bootstrap(platform.settings))
    folder = tmp_path_factory.mktemp("messages") / "spool"
    folder.mkdir()
    ingest = IngestSettings(spool_dir=folder, lock_timeout_seconds=10)
    streams = StreamSettings(group=TOPIC, run_seconds=60).model_copy(update={"session_timeout_ms": 1000})
    s3, warehouse = platform.s3_config, platform.warehouse_config()
    with direct(platform.warehouse_config("owner")) as owner:
        placeholder = TopicPipeline(
            _placeholder_contract(), kafka, streams, ingest, MlServiceSettings(), s3, warehouse, owner
        )  # each example replaces the contract
        placeholder.make_topic()
        with (
            open_stores(s3, warehouse) as stores,
            engine(folder, ingest),
            BatchConsumer(kafka, TOPIC, TOPIC, streams) as consumer,
        ):
            yield KafkaPath(placeholder, stores, consumer)


def _placeholder_contract() -> Contract:
    """A contract with the topic that is never used for loading."""
    from pathlib import Path

    from include.contracts.model import Contract

    return Contract("nothing", "1.0.0", "", (), (), None, Path("nothing.yaml"), topic=TOPIC)


@given(case=message_cases())
@settings(BUDGET, max_examples=max(1, EXAMPLES // 10))
def test_messages_and_oracle_agree(kafka_path: KafkaPath, case: MessageCase) -> None:
    contract, values = case.contract, case.values
    parts = [short(part) for part in (contract.dialect, *contract.columns, *contract.row_rules)]
    assert not kafka_path.differences(contract, values), "\n".join([*parts, *map(repr, values)])
