"""The DAG `collect_<source>` of a definition in sources/: list its elements, read the new records of each.

DAG files import this module, so the engine that reads and delivers is imported inside the tasks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Param, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from include.errors import Code, PermanentError, in_stage
from include.errors.nearest import did_you_mean
from include.orchestration.alerts import notify_failed_source
from include.orchestration.bucket_sources import collect_from_bucket
from include.orchestration.defaults import (
    START,
    default_args,
    no_retry_of_permanent_errors,
    no_retry_within_the_limit,
)
from include.orchestration.source_readers import open_reader
from include.orchestration.sources import is_stand_in, source_connection, stand_in_note
from include.orchestration.stores import kafka_config, s3_config, warehouse_ingest_config
from include.settings import ingest_settings, stream_settings
from include.sources.describe import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import DAG

    from include.contracts.model import Contract
    from include.sources.kinds import AnySource
    from include.sources.listing import Element, Listing, Position
    from include.sources.run import CollectedElement
    from include.sources.runs import AirflowAttempt

# Airflow stores no longer one: the task would fail behind its delivery.
_LONGEST_LABEL = 250

RUNBOOK = """
**Purpose**: collect new records of the source `{name}` for the dataset `{dataset}`, as `sources/{name}.yaml` says. The
definition is below in words.

**Trigger**: {trigger}, or manually. The parameter `elements` limits the run to some of them. The parameter `full` reads
all records again, whatever was read before.{paused}

**Reads**: {reads} of the connection `{connection}`, `ops.source_position`.

**Writes**: {writes}, `ops.source_position`, `ops.source_run`. If there is nothing new, nothing is delivered.

**On failure**: the failed task names its element, and the last line of its log the reason; the other elements are read.
What came before the error is delivered; of a table, all rows or none. `source-unavailable`: the retry or the next run
continues from there. `source-refused`: the connection, the login or a name is wrong, or an object is not served. A
*skipped* task reached the rate limit of the API (`rate-limited`; it fails if the limit lasts over a day), or the API
asks for a later request (X-Poll-Interval): its log gives the time; the next run continues.

**How to rerun**: clear the failed task, or wait for the next run. Records that are read twice are merged by their key.
`filegate sources` shows the last run of every source.
"""

READS = {
    "rest": "the API (host: address; password: token or key)",
    "bucket": "`ops.source_object`, the bucket (login: access key; password: secret; host: address)",
    "database": "the table or query (host, port, login, password; schema: the database)",
}


def collect_dag_id(source: AnySource) -> str:
    """Return the DAG id."""
    return f"collect_{source.name}"


def collect_dag(source: AnySource, contract: Contract) -> DAG:
    """Return the DAG `collect_<source>`, which delivers records for the dataset of the contract."""
    files = f"`incoming/{source.dataset}/`"
    runbook = RUNBOOK.format(
        name=source.name,
        dataset=source.dataset,
        connection=source.connection,
        reads=READS[source.kind],
        paused=" A new DAG is paused; unpausing it starts a run." if source.paused else "",
        trigger=f"on the schedule `{source.schedule}`" if source.schedule else "no schedule",
        writes=f"the topic `{contract.topic}`" if source.deliver == "topic" else files,
    )

    @dag(
        dag_id=collect_dag_id(source),
        description=f"New records of {source.name} for raw.{source.dataset}",
        doc_md=stand_in_note(source.connection) + runbook + "\n" + describe(source, contract),
        schedule=source.schedule,
        start_date=START,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=source.paused,
        default_args=default_args(contract.owner or "platform"),
        on_failure_callback=notify_failed_source,
        tags=["sources", source.name, source.dataset],
        params={
            "elements": Param(
                [],
                type="array",
                items={"type": "string"},
                description="Names of elements, one per line, such as /shops/north/orders; empty: all",
            ),
            "full": Param(default=False, type="boolean", description="Read all records, not only new ones"),
        },
    )
    def collect_source() -> None:
        @task
        def list_elements() -> list[str]:
            """Return the names of the elements that the run reads, each once."""
            context: Any = get_current_context()
            with no_retry_of_permanent_errors(), in_stage("collect"):
                return chosen(context["params"]["elements"], element_names(source))

        # One at a time: many APIs ask for serial requests, and all elements share one rate limit.
        @task(map_index_template="{{ element_label }}", max_active_tis_per_dagrun=1)
        def collect(element: str) -> dict[str, Any]:
            """Deliver the new records of one element, and return their counts.

            Raises:
                AirflowSkipException: the rate limit of the API is used up, or it asks for a later request.
            """
            from include.ingestion.records import AirflowRun
            from include.sources.runs import failures_recorded

            context: Any = get_current_context()
            context["element_label"] = label(element)
            run = AirflowRun(context["dag"].dag_id, context["run_id"])
            recorded = failures_recorded(warehouse_ingest_config, source.name, element, run)
            full = bool(context["params"]["full"])
            with no_retry_of_permanent_errors(), no_retry_within_the_limit(), recorded as attempt, in_stage("collect"):
                done = collect_element(source, contract, element, attempt, full=full)
            if done.skipped_until is not None:
                raise AirflowSkipException(str(done))
            what = "objects" if source.kind == "bucket" else "records"
            by = " of a stand-in" if done.is_stand_in else ""
            context["element_label"] = label(element, f": {done.records_read:,} {what}{by}")
            return done.summary()

        collect.expand(element=list_elements())

    return collect_source()


def chosen(wanted: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the wanted names, each once; all names if none is wanted.

    Raises:
        PermanentError: there is no element of a wanted name.
    """
    found = list(dict.fromkeys(name.strip() for name in wanted)) or list(names)
    for name in found:
        if name not in names:
            message = f"There is no element {name!r}. {did_you_mean(name, names).capitalize()}Elements: "
            raise PermanentError(Code.SOURCE_REFUSED, message + ", ".join(names))
    return found


def label(element: str, result: str = "") -> str:
    """Return the label of a task: the element and its result, without the middle of a long name."""
    most = _LONGEST_LABEL - len(result)
    name = element if len(element) <= most else f"{element[: most // 2]}…{element[-(most - most // 2 - 1) :]}"
    return name + result


def element_names(source: AnySource) -> list[str]:
    """Return the names of all elements of a source."""
    from include.sources.elements import elements

    return [element.name for element in elements(source)]


def collect_element(
    source: AnySource, contract: Contract, name: str, attempt: AirflowAttempt, *, full: bool
) -> CollectedElement:
    """Read an element and deliver its new records. Here the engine gets the connections of Airflow.

    Args:
        source: the definition.
        contract: of its dataset.
        name: of the element.
        attempt: of Airflow.
        full: read everything again. A retry continues the listing that an earlier try of its run has begun.

    Raises:
        PermanentError: the definition has changed since the run began, and has no such element any more.
    """
    from include.sources.elements import elements
    from include.sources.listing import Traffic
    from include.sources.run import ElementTask, SourceStores, collect
    from include.stores.object_store import ObjectStore

    element = next((one for one in elements(source) if one.name == name), None)
    if element is None:
        message = (
            f"sources/{source.name}.yaml has changed since this run began: it has no element {name!r} any more. Start "
            "another run for the present elements."
        )
        raise PermanentError(Code.SOURCE_REFUSED, message)
    if source.kind == "bucket":
        return collect_from_bucket(source, contract, attempt, full=full)
    task_of_run = ElementTask(source, contract, element, attempt)
    connection, settings = source_connection(source.connection, source.kind), ingest_settings()
    traffic = Traffic(is_stand_in=is_stand_in(connection))
    kafka = kafka_config() if source.deliver == "topic" else None
    stores = SourceStores(
        ObjectStore(s3_config()), warehouse_ingest_config(), settings.landing_bucket, settings.spool_dir, kafka,
        stream_settings(),
    )  # fmt: skip
    with open_reader(source, contract, connection, traffic) as reader:

        def read(element: Element, position: Position, sink: Any) -> Listing:
            return reader.read(element, position, sink, attempt.run.run_id if full else "")

        return collect(task_of_run, read, traffic, stores)
