"""The registry's codes of the work itself: what stops a stage or a task for a reason outside the data."""

from __future__ import annotations

from functools import partial

from include.errors.codes import Code
from include.errors.reason import Kind, Reason, Variant

_YES, _NO, _NOT_A_FAILURE = "yes", "no", "-"
_again = partial(Reason, Kind.WORK, retried=_YES)
_stopped = partial(Reason, Kind.WORK, retried=_NO)

WORK = {
    Code.CONTRACT_INVALID: Reason(
        Kind.WORK,
        "Contract invalid",
        "A contract cannot be used: its DAG is missing.",
        "Correct it; Airflow's import error has the place and remedy.",
        retried=_NOT_A_FAILURE,
    ),
    Code.SOURCE_INVALID: Reason(
        Kind.WORK,
        "Source definition invalid",
        "The definition of a source cannot be used: its DAG is missing.",
        "Correct it; Airflow's import error and `filegate source check` have the place and remedy.",
        retried=_NOT_A_FAILURE,
    ),
    Code.FEATURES_INVALID: Reason(
        Kind.WORK,
        "Features invalid",
        "The definition of features cannot be used: its view is not built.",
        "Correct it; `filegate features describe` has the place and remedy.",
        retried=_NOT_A_FAILURE,
    ),
    Code.WORKER_DIED: Reason(
        Kind.WORK,
        "Worker died",
        "The process died with this file each time.",
        "Read the task's log: memory, disk, a crash?",
        "The worker died {attempts} times with this file, last in stage {stage}. Look into the task's log: memory, "
        "disk, or a crash in a library. Then reprocess the file.",
        {"source": Variant("The process ended before its run did. The next run reads the same again.")},
        retried="`INGEST_MAX_ATTEMPTS` times",
    ),
    # An event of ops.file_event.
    Code.WAITING_FOR_LOADER: Reason(
        Kind.WORK,
        "Waits for another file",
        "An event of `ops.file_event`: names the file that loads into the same table, after 5 seconds and every "
        "minute.",
        "Nothing, unless it lasts.",
        "Has waited {seconds:.0f} s for file {file_id} ({key}), which loads into raw.{dataset}.",
        retried=_NOT_A_FAILURE,
    ),
    Code.EARLIER_FILE_WAITS: _again(
        "Waits for an earlier file",
        "Without `newestBy`, a file written earlier has no outcome yet.",
        "See why that file waits.",
        "File {file_id} was written before this one and must be loaded before it.",
    ),
    Code.TARGET_LOCKED: _again(
        "Table locked",
        "Another session holds a lock on the table, or a statement took too long.",
        "Find it in `pg_stat_activity`.",
        "Another session holds a lock on what this one needs.",
        {
            "load": Variant("A load into raw.{dataset} runs. Nothing was removed; try again when it has ended."),
            "file": Variant(
                "A worker has begun file {file_id} of {dataset} and not finished it. Nothing was removed; try again "
                "when the file has an outcome. A file of a dead worker gets one at the next sweep without its contract."
            ),
            "element": Variant("Another run reads {element} of the source {source}; try again when it has ended."),
        },
    ),
    Code.WAREHOUSE_UNAVAILABLE: _again(
        "Warehouse away",
        "PostgreSQL does not answer.",
        "`filegate status`; log of postgres.",
        "The warehouse does not answer.",
    ),
    Code.WAREHOUSE_REFUSED: _stopped(
        "Warehouse refuses",
        "PostgreSQL refuses: password, rights, table.",
        "Check address, password and rights of the role; the message has PostgreSQL's words.",
        "The warehouse refused; check the role's rights.",
        {
            "password": Variant("The warehouse refused the password."),
            "statement": Variant("The warehouse refused a statement: {condition}."),
            "dependents": Variant(
                "Other objects depend on raw.{dataset}, and nothing was removed: {detail}. Drop them as the owner, or "
                "remove their dbt models, then try again."
            ),
        },
    ),
    Code.BUCKET_UNAVAILABLE: _again(
        "Bucket away",
        "The S3 server does not answer.",
        "`filegate status`; log of s3.",
        "The store does not answer: {reason}",
    ),
    Code.BUCKET_REFUSED: _stopped(
        "Bucket refuses",
        "The S3 server refuses: key, rights, no such bucket.",
        "Check them.",
        "The store refused; check key, secret and rights.",
    ),
    Code.DISK_FULL: _again(
        "Disk full",
        "The spool folder or the warehouse's disk is full.",
        "[Make room](retention.md#when-the-disk-is-full).",
        "The warehouse's disk is full.",
        {"spool": Variant("The worker's spool folder is full.")},
    ),
    Code.SERVICE_UNAVAILABLE: _again(
        "Service away",
        "The ML service does not answer.",
        "`filegate status`; log of ml-api.",
    ),
    Code.CIRCUIT_OPEN: _again(
        "Circuit open",
        "The ML service failed repeatedly and is not called for a while.",
        "`filegate status`; log of ml-api.",
        "{service} failed {failures} times in a row, so no requests are sent to it. It is tried again at "
        "{next_try:%Y-%m-%d %H:%M:%S} UTC.",
    ),
    Code.SERVICE_REFUSED: _stopped(
        "Service refuses",
        "The ML service refuses the request: versions differ.",
        "Read its answer in the message.",
    ),
    Code.BROKER_UNAVAILABLE: _again(
        "Broker away",
        "The Kafka broker does not answer.",
        "`filegate status`; log of kafka.",
    ),
    Code.BROKER_REFUSED: _stopped(
        "Broker refuses",
        "The broker refuses: rights, no such topic, message too large.",
        "Read its reason in the message.",
    ),
    Code.REGISTRY_UNAVAILABLE: _again(
        "Schema registry away",
        "The schema registry does not answer.",
        "Check `SCHEMA_REGISTRY_URL`.",
    ),
    Code.SOURCE_UNAVAILABLE: _again(
        "Source away",
        "A source does not answer or fails.",
        "Nothing, unless it lasts.",
    ),
    Code.SOURCE_REFUSED: _stopped(
        "Source refuses",
        "The source refuses: token, login, rights, no such repository or table.",
        "Check connection and names.",
    ),
    Code.RATE_LIMITED: Reason(
        Kind.WORK,
        "Rate limit used up",
        "The API's limit is used up. The task is skipped; it fails if that lasts over a day. The next run continues.",
        "Set a token, or wait.",
        retried="next run",
    ),
    Code.TRACKING_UNAVAILABLE: _again(
        "Tracking server away",
        "MLflow does not answer.",
        "`filegate status`; log of mlflow.",
    ),
    Code.TRACKING_REFUSED: _stopped(
        "Tracking server refuses",
        "MLflow refuses: rights, name, no such model.",
        "Read its answer in the message.",
    ),
    Code.MODEL_REFUSED: _stopped(
        "Model refused",
        "A model has no valid signature, was changed, is a pickle, or holds untrusted types.",
        "Train again (`train_commit_model`); `MODEL_SIGNING_KEY` must be the same for training and ML service: "
        "[security](security.md#models).",
    ),
    Code.TOO_FEW_EXAMPLES: _stopped(
        "Too few examples",
        "Too few commits, or too few merges, for training.",
        "Wait, or lower `TRAINING_MIN_ROWS`.",
    ),
    Code.TRANSFORMATION_FAILED: _stopped(
        "dbt project unusable",
        "The dbt project cannot be used.",
        "Read dbt's words in the message.",
    ),
    Code.QUALITY_CRITICAL: _stopped(
        "Critical check failed",
        "A critical check of the warehouse failed.",
        "`ops.quality_result` and the quality pages.",
        "Critical checks of the warehouse failed: {checks}.",
    ),
    Code.INTERNAL: _stopped(
        "Defect of FileGate",
        "A defect of FileGate.",
        "Report it, with the task's log.",
        "The pipeline itself failed ({error}); the task's log has more.",
        {"stale attempt": Variant("Another worker has this file.")},
    ),
}
