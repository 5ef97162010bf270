"""A worker process that consumes a topic until it is empty and prints seconds, rows and memory as JSON.

The clock starts when the group has assigned partitions to this consumer: a DAG run needs that once, for any number of
messages. It stops when the last batch is committed and the topic has no more messages.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from pydantic import SecretStr

from include.contracts.reader import read_contract
from include.ingestion.attempt import open_stores
from include.ingestion.records import AirflowRun
from include.settings import (
    CONTRACTS_DIR,
    KafkaConfig,
    S3Config,
    WarehouseConfig,
    ingest_settings,
    ml_service_settings,
    stream_settings,
)
from include.stores.expectations import load_library
from include.streams.batch_consumer import BatchConsumer
from include.streams.consume import TopicConsumer
from include.streams.decode import Decoder
from proof.bench.memory import peak_mb


def main() -> None:
    """Read the task (dataset and connections) from standard input and consume the topic."""
    task = json.load(sys.stdin)
    contract = read_contract(CONTRACTS_DIR / f"{task['dataset']}.yaml")
    load_library()
    settings = ingest_settings().model_copy(update={"spool_dir": Path(task["spool"])})
    ml_service = ml_service_settings().model_copy(
        update={"url": task["ml_service"]["url"], "token": SecretStr(task["ml_service"]["token"])}
    )
    kafka, streams = KafkaConfig(**task["kafka"]), stream_settings().model_copy(update={"run_seconds": 3600.0})
    with (
        open_stores(S3Config(**task["s3"]), WarehouseConfig(**task["warehouse"]), ml_service) as stores,
        BatchConsumer(kafka, contract.topic or "", "bench", streams) as messages,
    ):
        consumer = TopicConsumer(
            contract,
            messages,
            Decoder(None),
            stores,
            kafka,
            settings,
            streams,
            AirflowRun("bench", f"bench-{time.time()}"),
        )
        begun = time.perf_counter()
        messages.join()
        joined = time.perf_counter()
        result = consumer.consume()
        seconds = time.perf_counter() - joined
    print(json.dumps({"seconds": seconds, "joining": joined - begun, "rows": result.rows, "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main()
