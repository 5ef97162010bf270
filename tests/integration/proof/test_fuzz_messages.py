"""Messages with mutations of every kind: each is loaded as a row or is a dead letter with a reason.

TEST_EXAMPLES // 5 messages. They are consumed in another process, which is killed after a timeout.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

TESTS = Path(__file__).parents[2]
sys.path[1:1] = [str(TESTS / "integration" / folder) for folder in ("transactions", "streams", "ingestion")]

from fuzz_messages import good_messages, message  # noqa: E402
from ingest_pipeline import direct  # noqa: E402
from registry_server import RegistryServer, registry_server  # noqa: E402
from test_fuzz import CODES, INNER_WORDS, documented_codes  # noqa: E402
from topic_pipeline import Letter, TopicPipeline  # noqa: E402

from include.contracts.model import UnknownColumns  # noqa: E402
from include.contracts.reader import read_contract  # noqa: E402
from include.settings import IngestSettings, KafkaConfig, MlServiceSettings, StreamSettings  # noqa: E402
from local.services import broker as local_broker  # noqa: E402
from local.supervisor.platform import KAFKA  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.supervisor.platform import Platform

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]

MESSAGES = int(os.environ.get("TEST_EXAMPLES", "100")) // 5
BATCH = 100
RUN_SECONDS = 300
GOOD = 10
MODES = (UnknownColumns.RESCUE, UnknownColumns.EVOLVE, UnknownColumns.REJECT, UnknownColumns.IGNORE)
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["include.streams.consume", "include.streams.batch_consumer"])


@pytest.fixture(scope="module")
def registry() -> Iterator[RegistryServer]:
    with registry_server() as server:
        yield server


def pipelines(platform: Platform, registry: RegistryServer, folder: Path) -> Iterator[tuple[int, TopicPipeline]]:
    """A topic and a table for every hundred messages, and the number of its first one."""
    contract = read_contract(Path(__file__).with_name("fuzzed.yaml"))
    with direct(platform.warehouse_config("owner")) as owner:
        for at, first in enumerate(range(1, MESSAGES + 1, BATCH)):
            name = f"fuzz_{zlib.crc32(str(folder).encode()):08x}_m{first}"
            streams = StreamSettings(group=name, threshold_messages=10**6, run_seconds=RUN_SECONDS)
            pipeline = TopicPipeline(
                contract=replace(contract, dataset=name, topic=name, unknown_columns=MODES[at % len(MODES)]),
                kafka=KafkaConfig(bootstrap_servers=local_broker.bootstrap(platform.settings)),
                streams=streams.model_copy(update={"session_timeout_ms": 1000}),
                settings=IngestSettings(spool_dir=folder / name, max_row_bytes=200_000, max_columns=200),
                ml_service=MlServiceSettings(),
                s3=platform.s3_config,
                warehouse=platform.warehouse_config(),
                owner=owner,
                registry_url=registry.url,
            )
            yield first, pipeline
            pipeline.sql("DROP TABLE IF EXISTS {table}")


def consume(pipeline: TopicPipeline) -> None:
    """Run once in another process, which may crash or hang without ending the tests."""
    process = _PROCESSES.Process(target=replace(pipeline, owner=None).consume)
    process.start()
    process.join(2 * RUN_SECONDS)
    process.kill()
    process.join()
    assert process.exitcode == 0, f"the consumer ended with {process.exitcode}"


def fault(letter: Letter, known: set[str]) -> str:
    """What is wrong with a dead letter, if anything."""
    if letter.code not in known:
        return "a code that no message has"
    text = letter.headers["dlq-error-message"]
    if len(text) < 15 or INNER_WORDS.search(text) or not text.isprintable():
        return "a message that does not help"
    return ""


def test_every_message_is_loaded_or_a_dead_letter_with_a_reason(
    platform: Platform, registry: RegistryServer, tmp_path: Path
) -> None:
    platform.up((KAFKA,))
    known = CODES | documented_codes("A message")
    codes: Counter[str] = Counter()
    faults, samples = [], []
    for first, pipeline in pipelines(platform, registry, tmp_path):
        numbers = range(first, min(first + BATCH, MESSAGES + 1))
        values = [message(pipeline.contract, number, registry.put) for number in numbers]
        pipeline.produce(values)
        consume(pipeline)
        letters = pipeline.letters()
        by_offset = {int(letter.headers["dlq-source-offset"]): letter for letter in letters}
        assert len(by_offset) == len(letters)
        assert pipeline.committed()[0] == len(values)
        for offset, letter in by_offset.items():
            assert letter.value == values[offset]
            if found := fault(letter, known):
                faults.append((first + offset, letter.code, found, letter.headers["dlq-error-message"], letter.value))
            samples.append(f"{first + offset} {letter.code}: {letter.headers['dlq-error-message']}")
        codes.update(letter.code for letter in letters)
        codes["(loaded)"] += len(values) - len(letters)
        archived = [entry for entry in pipeline.assert_settled() if entry["status"] == "archived"]
        counts = ("rows_inserted", "rows_updated", "rows_unchanged", "rows_duplicate", "deletes_ignored")
        seen = sum(entry[name] for entry in archived for name in counts)
        assert seen == len(values) - len(letters)
        pipeline.produce(good_messages(pipeline.contract, first, GOOD))
        consume(pipeline)
        assert pipeline.assert_settled()[-1]["rows_inserted"] == GOOD
        assert len(pipeline.letters()) == len(letters)
    print("\n" + "\n".join(f"{code:30}{count:5}" for code, count in sorted(codes.items())))
    if messages_file := os.environ.get("FUZZ_MESSAGES"):
        Path(messages_file).write_text("\n".join(samples), "utf-8", "replace")
    if faults:
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        for number, *_, value in faults:
            (folder / str(number)).write_bytes(value or b"")
        pytest.fail(f"findings, their messages are in {folder}\n" + "\n".join(str(one[:4]) for one in faults))
    assert len(codes) >= min(3, MESSAGES // 10)
