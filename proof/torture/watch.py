"""Waiting, with a limit, until everything is settled; otherwise a description of the unfinished work.

What belongs here: reading the state and waiting. What does not: whether the final state is right (`checks`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from include.errors import PipelineError
from include.stores.object_store import ObjectStore
from include.stores.warehouse import connect
from local.errors import PlatformError
from proof.torture.proxied_platform import BUCKET, DATASETS, SERVICES
from proof.torture.topic import consumer_lag

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from proof.torture.proxied_platform import ProxiedPlatform
    from proof.torture.stream import Stream

# Codes of failures that are not caused by the file: its owner requeues it with `reprocess_failed`.
OUTSIDE = (
    "worker-died", "target-locked", "warehouse-unavailable", "bucket-unavailable", "disk-full", "object-vanished",
)  # fmt: skip
_TIMEOUT_SECONDS = 420.0  # without any change; a task of a killed scheduler is retried after some tens of seconds
_LOOK_SECONDS = 1.0
_ROUNDS = 5
_RUN_SECONDS = 300.0


@dataclass(frozen=True)
class Open:
    """The amount of unfinished work."""

    held: int
    incoming: int
    entries: int
    steps: int
    messages: int

    @property
    def is_settled(self) -> bool:
        """Whether everything is settled."""
        return not (self.held or self.incoming or self.entries or self.messages)

    def __str__(self) -> str:
        return (
            f"{self.incoming} files in incoming/, {self.entries} unsettled entries, {self.messages} messages, "
            f"{self.held} files held back"
        )


def wait_for_services(platform: ProxiedPlatform, say: Callable[[str], None]) -> str:
    """Wait until every service is healthy; return the complaints of those that are not, or an empty text."""
    end = time.monotonic() + _TIMEOUT_SECONDS
    complaints: dict[str, str] = {}
    reported: Collection[str] = ()
    while time.monotonic() < end:
        try:
            complaints = platform.complaints()
        except PlatformError as error:
            complaints = {"supervisor": str(error)}
        if not complaints:
            return ""
        if complaints.keys() != reported:
            say(f"waiting for {', '.join(complaints)}")
            reported = complaints.keys()
        time.sleep(_LOOK_SECONDS)
    return "; ".join(f"{name}: {complaint}" for name, complaint in complaints.items())


def wait_until_settled(platform: ProxiedPlatform, stream: Stream, say: Callable[[str], None]) -> str:
    """Wait until everything is settled; return a description of the unfinished work if nothing changes for minutes."""
    changed, last = time.monotonic(), None
    while time.monotonic() - changed < _TIMEOUT_SECONDS:
        try:
            stream.drop_held()
            now = look(platform, stream)
        except (PipelineError, PlatformError, psycopg.Error) as error:
            say(f"the state cannot be read: {error}")
            time.sleep(_LOOK_SECONDS)
            continue
        if now.is_settled:
            return ""
        if now != last:
            if str(now) != str(last):
                say(str(now))
            last, changed = now, time.monotonic()
        time.sleep(_LOOK_SECONDS)
    return unfinished_work(platform)


def look(platform: ProxiedPlatform, stream: Stream) -> Open:
    """Return the unfinished work. `steps` only grows; while it grows, the work is not stuck."""
    incoming = sum(1 for _ in ObjectStore(platform.s3_config).list(BUCKET, "incoming/"))
    with connect(platform.warehouse_config()) as connection:
        [[entries, steps]] = connection.execute(
            "SELECT (SELECT count(*) FROM ops.file_ingestion_log WHERE settled_at IS NULL), "
            "(SELECT coalesce(max(event_id), 0) FROM ops.file_event)"
        ).fetchall()
    return Open(stream.held, incoming, int(entries), int(steps), consumer_lag(platform.kafka))


def reprocess(platform: ProxiedPlatform, stream: Stream, say: Callable[[str], None]) -> tuple[int, str]:
    """Requeue files that were quarantined because of an outage, until all are loaded.

    Returns:
        How many files were requeued, and a description of unfinished work, empty if there is none.
    """
    requeued = 0
    for _ in range(_ROUNDS):
        quarantined = _quarantined(platform)
        if not any(quarantined.values()):
            return requeued, ""
        say(f"requeueing {quarantined}")
        requeued += sum(quarantined.values())
        for dataset in quarantined:
            if error := _run(platform, dataset):
                return requeued, error
        if hang := wait_until_settled(platform, stream, say):
            return requeued, hang
    return requeued, f"still quarantined after {_ROUNDS} rounds: {_quarantined(platform)}"


def unfinished_work(platform: ProxiedPlatform) -> str:
    """Describe the unfinished work: services, entries, runs with their tasks, sessions of the warehouse."""
    lines = ["services: " + ", ".join(f"{name} {platform.state(name)[0]}" for name in SERVICES)]
    try:
        lines += [f"complaint: {name}: {complaint}" for name, complaint in platform.complaints().items()]
        with platform.superuser("warehouse") as connection:
            for what, query in _UNFINISHED.items():
                lines += [f"{what}: {row[0]}" for row in connection.execute(query).fetchall()]
        lines += [f"incoming: {item.key}" for item in ObjectStore(platform.s3_config).list(BUCKET, "incoming/")][:20]
        lines += [f"run: {line}" for line in platform.unfinished()]
    except (PipelineError, PlatformError, psycopg.Error) as error:
        lines.append(f"the state cannot be read further: {error}")
    return "\n".join(lines)


_UNFINISHED = {
    "entry": (
        "SELECT concat_ws(' ', file_id, coalesce(object_key, topic), status, stage, attempts, error_code, run_id) "
        "FROM ops.file_ingestion_log WHERE settled_at IS NULL LIMIT 20"
    ),
    "session": (
        "SELECT concat_ws(' ', pid, usename, state, wait_event_type, wait_event, now() - query_start, left(query, 80)) "
        "FROM pg_stat_activity WHERE datname = 'warehouse' AND pid <> pg_backend_pid()"
    ),
    "staging table": "SELECT tablename FROM pg_tables WHERE schemaname = 'load'",
}


def _quarantined(platform: ProxiedPlatform) -> dict[str, int]:
    with connect(platform.warehouse_config()) as connection:
        rows = connection.execute(
            "SELECT dataset, count(*) FROM ops.file_ingestion_log WHERE status LIKE '%%failed' "
            "AND error_code = ANY(%s) AND object_key IS NOT NULL AND dataset = ANY(%s) GROUP BY 1",
            [list(OUTSIDE), list(DATASETS)],
        ).fetchall()
    return {str(dataset): int(count) for dataset, count in rows}


def _run(platform: ProxiedPlatform, dataset: str) -> str:
    """Trigger `reprocess_failed` and wait for its end; return an error if it does not end in time."""
    conf = {"dataset": dataset, "stage": None, "name": "*"}
    run_id = platform.trigger("reprocess_failed", conf)
    end = time.monotonic() + _RUN_SECONDS
    while time.monotonic() < end:
        if platform.run_state("reprocess_failed", run_id) in {"success", "failed"}:
            return ""
        time.sleep(_LOOK_SECONDS)
    return f"reprocess_failed of {dataset} did not end within {_RUN_SECONDS:.0f} s\n{unfinished_work(platform)}"
