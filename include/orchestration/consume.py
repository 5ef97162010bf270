"""The DAG `consume_<topic>` of a contract with a topic: wait for messages, load them, create an asset event."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from include.contracts.describe import describe
from include.errors import Stage, in_stage
from include.orchestration.alerts import alert_on_bad_messages, notify_waiting_files
from include.orchestration.defaults import START, default_args, no_retry_of_permanent_errors, skip_on_outage
from include.orchestration.message_sensor import WaitForMessages
from include.orchestration.scheduling import rows_of
from include.orchestration.stores import EVENTS
from include.settings import ingest_settings, stream_settings

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from include.contracts.model import Contract

RUNBOOK = """
**Purpose**: load every message of the topic `{topic}` into `raw.{dataset}` exactly once.

**Trigger**: continuous; a sensor checks for messages without a worker slot and without joining the consumer group.

**Reads**: the topic `{topic}`, as the consumer group `{group}`. **Writes**: `raw.{dataset}`, `ops.file_ingestion_log`,
`{topic}.dlq`.

**On failure**: a bad message does not fail the run; it is written to `{topic}.dlq`, with the reason in its headers. A
failed run means that a batch has more bad messages than the contract allows (nothing of the batch is committed; the
task log and the ledger give the reason), or that the broker or a store refused the login. If one of them does not
respond, the task is skipped after its last retry and the messages wait; they are tried again once a minute, from the
committed offsets. After {failures} failed runs in a row the DAG is paused.

**How to rerun**: after an outage no action is needed. After a stopped batch, fix the producer or the contract, or
trigger this DAG with `ignore_threshold` to write its bad messages to the dead-letter topic; unpause the DAG if it was
paused. `filegate replay-dlq --topic {topic}` sends dead letters to the topic again.
"""

# XCom key under which `consume` stores, also when it fails, whether there may be new rows.
_HAS_NEW_ROWS = "has_new_rows"
# Pause between two checks for new messages.
POKE_SECONDS = 2.0


def consume_dag_id(contract: Contract) -> str:
    """Return the DAG id. Every topic name that a contract allows is valid in a DAG id."""
    return f"consume_{contract.topic}"


def consume_dag(contract: Contract) -> DAG:
    """Return the DAG `consume_<topic>` of a contract that has a topic."""
    settings, streams, topic = ingest_settings(), stream_settings(), contract.topic or ""
    runbook = RUNBOOK.format(
        topic=topic, dataset=contract.dataset, group=streams.group_of(topic), failures=settings.max_consecutive_failures
    )

    @dag(
        dag_id=consume_dag_id(contract),
        description=f"Messages of {topic} become rows of raw.{contract.dataset}",
        doc_md=runbook + "\n" + describe(contract),
        schedule="@continuous",
        start_date=START,
        catchup=False,
        max_active_runs=1,
        max_consecutive_failed_dag_runs=settings.max_consecutive_failures,
        default_args=default_args(contract.owner or "platform"),
        tags=["ingestion", "streams", contract.dataset],
        params={
            "ignore_threshold": Param(
                default=False,
                type="boolean",
                description="Write all bad messages of this run as dead letters, however many there are",
            )
        },
    )
    def consume_topic() -> None:
        wait_for_messages = WaitForMessages(
            task_id="wait_for_messages",
            connection_id=EVENTS,
            topic=topic,
            group=streams.group_of(topic),
            poke_interval=POKE_SECONDS,
            timeout=timedelta(hours=settings.wait_hours).total_seconds(),
        )

        @task
        def consume() -> dict[str, int]:
            """Load batch after batch into the table, and commit the offsets after each batch."""
            from include.ingestion.records import AirflowRun
            from include.orchestration.stores import connected_consumer

            context: Any = get_current_context()
            run = AirflowRun(context["dag"].dag_id, context["run_id"])
            ignore_threshold = bool(context["params"]["ignore_threshold"])
            # An earlier try may have loaded rows before it failed; this try does not know.
            has_new_rows = context["ti"].try_number > 1
            with (
                alert_on_bad_messages(contract) as watched,
                no_retry_of_permanent_errors(),
                skip_on_outage(),
                in_stage(Stage.CLAIM),
                connected_consumer(contract, run, ignore_threshold=ignore_threshold) as consumer,
            ):
                watched.consumed = consumer.result
                try:
                    done = consumer.consume()
                finally:
                    result = consumer.result
                    has_new_rows = has_new_rows or bool(
                        result.rows or result.rows_deleted or result.batches["loaded before"]
                    )
                    context["ti"].xcom_push(_HAS_NEW_ROWS, has_new_rows)
                    notify_waiting_files(contract.dataset)
            return {
                **done.batches, "messages": done.messages, "rows": done.rows, "dead letters": done.dead_letters
            }  # fmt: skip

        @task(outlets=[rows_of(contract.dataset)])
        def announce_rows() -> None:
            """Create the asset event of this table if it has new rows."""
            context: Any = get_current_context()
            if not context["ti"].xcom_pull(task_ids="consume", key=_HAS_NEW_ROWS):
                raise AirflowSkipException("No rows were loaded.")

        # A teardown task also runs after a failed `consume` and does not change the state of the run: rows that were
        # loaded before a stopped batch need the asset event too.
        wait_for_messages >> consume() >> announce_rows().as_teardown()

    return consume_topic()
