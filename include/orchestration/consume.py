"""The DAG that a contract's topic implies: wait for messages, bring them to the table, tell who waits for the rows."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from include.contracts.describe import describe
from include.orchestration.alerts import telling_of_bad_messages
from include.orchestration.assets import rows_of
from include.orchestration.defaults import START, default_args, no_retry_of_permanent_errors
from include.orchestration.message_sensor import WaitForMessages
from include.orchestration.outside import notify_waiting_files, skipped_for_outside_trouble
from include.orchestration.stores import EVENTS
from include.settings import ingest_settings, stream_settings

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from include.contracts.model import Contract

RUNBOOK = """
**Purpose**: bring every message of the topic `{topic}` to `raw.{dataset}`, once.

**Trigger**: continuous; a sensor looks for messages without a worker slot and without joining the group.

**Reads**: the topic `{topic}`, as the group `{group}`. **Writes**: `raw.{dataset}`, `ops.file_ingestion_log`,
`{topic}.dlq`.

**When it fails**: a bad message does not fail the run; it is in `{topic}.dlq`, with the reason in its headers. A failed
run means that a batch has more bad messages than the contract allows (nothing of it is committed; the task's log and
the ledger say why), or that the broker or a store refuses our login. Where one of them does not answer, the task is
skipped once its retries are used up, and the messages wait; they are tried again once a minute, from the committed
offsets. After {failures} failed runs in a row the DAG is paused.

**How to rerun**: after an outage there is nothing to do. A stopped batch: mend the producer or the contract, or trigger
this DAG with `ignore_threshold` to set its bad messages aside; unpause the DAG if it was paused. `make replay-dlq
TOPIC={topic}` puts dead letters back.
"""

# Under this name `consume` leaves a note, also when it fails: whether there may be new rows.
_NEWS = "news"


def consume_dag_id(contract: Contract) -> str:
    """The DAG's name. What a contract may call a topic, Airflow may call a DAG."""
    return f"consume_{contract.topic}"


def consume_dag(contract: Contract) -> DAG:
    """The DAG `consume_<topic>` of a contract that has a topic."""
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
        default_args=default_args(),
        tags=["ingestion", "streams", contract.dataset],
        params={
            "ignore_threshold": Param(
                default=False,
                type="boolean",
                description="Set all bad messages of this run aside as dead letters, however many they are",
            )
        },
    )
    def consume_topic() -> None:
        wait_for_messages = WaitForMessages(
            task_id="wait_for_messages",
            connection_id=EVENTS,
            topic=topic,
            group=streams.group_of(topic),
            poke_interval=streams.poke_seconds,
            timeout=timedelta(hours=settings.wait_hours).total_seconds(),
        )

        @task
        def consume() -> dict[str, int]:
            """Bring batch after batch to the table, and commit each after it."""
            from include.ingestion.claim import Run
            from include.orchestration.stores import connected_consumer

            context: Any = get_current_context()
            run = Run(context["dag"].dag_id, context["run_id"])
            ignore_threshold = bool(context["params"]["ignore_threshold"])
            # What an earlier try loaded before it failed or died, this one does not see.
            news = context["ti"].try_number > 1
            with (
                telling_of_bad_messages(contract) as watched,
                no_retry_of_permanent_errors(),
                skipped_for_outside_trouble(),
                connected_consumer(contract, run, ignore_threshold=ignore_threshold) as consumer,
            ):
                watched.consumed = consumer.result
                try:
                    done = consumer.consume()
                finally:
                    result = consumer.result
                    news = news or bool(result.rows or result.batches["loaded before"])
                    context["ti"].xcom_push(_NEWS, news)
                    notify_waiting_files(contract.dataset)
            return {
                **done.batches, "messages": done.messages, "rows": done.rows, "dead letters": done.dead_letters
            }  # fmt: skip

        @task(outlets=[rows_of(contract.dataset)])
        def announce_rows() -> None:
            """Tell who waits for this table, if there is news."""
            context: Any = get_current_context()
            if not context["ti"].xcom_pull(task_ids="consume", key=_NEWS):
                raise AirflowSkipException("No rows came.")

        # A teardown runs whatever became of `consume`, and has no say in whether the run has failed: rows that came
        # before a batch that was stopped are news too.
        wait_for_messages >> consume() >> announce_rows().as_teardown()

    return consume_topic()
