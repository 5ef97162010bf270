"""The Kafka door and the independent reference agree on rows, counts and dead letters, whatever is sent."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from both_roads import COUNTS, table_differences
from file_cases import message_cases
from hypothesis import given, settings
from ingest_pipeline import direct
from test_oracle import BUDGET, EXAMPLES, short
from topic_pipeline import TopicPipeline

from include.ingestion.claim import Run
from include.ingestion.engine import engine
from include.ingestion.road import open_stores
from include.settings import IngestSettings, KafkaConfig, MlServiceSettings, StreamSettings
from include.streams.consume import TopicConsumer
from include.streams.decode import Decoder
from include.streams.intake import Intake
from local import broker as local_broker
from local.platform import KAFKA
from tests.oracle.judge import judge_messages
from tests.oracle.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.contracts.model import Contract
    from include.ingestion.road import Stores
    from local.platform import Platform
    from tests.oracle.verdict import Verdict

TOPIC = "proof_oracle"
pytestmark = [pytest.mark.integration, pytest.mark.timeout(max(600, 2 * EXAMPLES))]


@dataclass
class Door:
    """One topic and one member of its group for all examples; each example has a dataset of its own."""

    pipeline: TopicPipeline
    stores: Stores
    intake: Intake
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _letters: int = 0
    _messages: int = 0

    def differences(self, contract: Contract, values: tuple[bytes, ...]) -> list[str]:
        """Where the pipeline and the oracle disagree, in words; nothing if they agree."""
        number = next(self._numbers)
        contract = replace(contract, dataset=f"proof_messages_{number}", topic=TOPIC)
        pipeline = replace(self.pipeline, contract=contract)
        table, verdict = Table(contract), judge_messages(contract, values)
        counts = table.apply(verdict).counts
        first, self._messages = self._messages, self._messages + pipeline.produce(values)
        consumer = TopicConsumer(
            contract, self.intake, Decoder(None), self.stores, pipeline.kafka, pipeline.settings, pipeline.streams,
            Run("proof", str(number)),
        )  # fmt: skip
        try:
            consumer.consume()
            (entry,) = pipeline.entries()
            expected = [getattr(counts, name) for name in COUNTS]
            found = [entry[f"rows_{name}"] for name in COUNTS]
            told = [] if found == expected else [f"{COUNTS}: {found}, expected {expected}, {entry['error_message']}"]
            return [*told, *self._letter_differences(pipeline, verdict, first), *table_differences(pipeline, table)]
        finally:
            pipeline.sql("DROP TABLE IF EXISTS {table}")

    def _letter_differences(self, pipeline: TopicPipeline, verdict: Verdict, first: int) -> list[str]:
        letters = pipeline.letters()
        fresh, self._letters = letters[self._letters :], len(letters)
        expected: dict[int, set[str]] = {}
        for fault in verdict.faults:
            expected.setdefault(fault.source_row, set()).add(fault.code.value)
        found = {int(letter.headers["dlq-source-offset"]) - first + 1: letter.code for letter in fresh}
        agree = found.keys() == expected.keys() and all(found[row] in expected[row] for row in found)
        return [] if agree and len(fresh) == len(found) else [f"dead letters {found}, expected {expected}"]


@pytest.fixture(scope="module")
def door(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """Connections, a topic and a consumer that all examples share."""
    platform.up((KAFKA,))
    kafka = KafkaConfig(bootstrap_servers=local_broker.bootstrap(platform.settings))
    folder = tmp_path_factory.mktemp("messages") / "spool"
    folder.mkdir()
    how = IngestSettings(spool_dir=folder, lock_timeout_seconds=10)
    streams = StreamSettings(group=TOPIC, run_seconds=60).model_copy(update={"session_timeout_ms": 1000})
    s3, warehouse = platform.s3_config, platform.warehouse_config()
    with direct(platform.warehouse_config("owner")) as owner:
        placeholder = TopicPipeline(
            _nothing(), kafka, streams, how, MlServiceSettings(), s3, warehouse, owner
        )  # each example puts its own contract there
        placeholder.make_topic()
        with open_stores(s3, warehouse) as stores, engine(folder, how), Intake(kafka, TOPIC, TOPIC, streams) as intake:
            yield Door(placeholder, stores, intake)


def _nothing() -> Contract:
    """A contract that has a topic and is never used."""
    from pathlib import Path

    from include.contracts.model import Contract

    return Contract("nothing", "1.0.0", "", (), (), None, Path("nothing.yaml"), topic=TOPIC)


@given(case=message_cases())
@settings(BUDGET, max_examples=max(1, EXAMPLES // 10))
def test_messages_and_oracle_agree(door: Door, case: tuple[Contract, tuple[bytes, ...]]) -> None:
    contract, values = case
    told = [short(part) for part in (contract, *contract.columns, *contract.row_rules)]
    assert not door.differences(contract, values), "\n".join([*told, *map(repr, values)])
