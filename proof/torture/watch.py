"""Waiting for the end, with a bound: everything settled, or what is open.

What belongs here: looking and waiting. What does not: whether the end is the right one (`checks`).
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
from proof.torture.stand import BUCKET, DATASETS, SERVICES
from proof.torture.topic import waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from proof.torture.stand import Stand
    from proof.torture.stream import Stream

# What ends a file for a reason outside of it. The file is sound: its owner puts it back with `reprocess_failed`.
OUTSIDE = (
    "worker-died", "target-locked", "warehouse-unavailable", "bucket-unavailable", "disk-full", "object-vanished",
)  # fmt: skip
_PATIENCE = 420.0  # without any change; a task whose scheduler died is tried again after some tens of seconds
_LOOK_SECONDS = 1.0
_ROUNDS = 5
_RUN_SECONDS = 300.0


@dataclass(frozen=True)
class Open:
    """What is not at its end yet."""

    held: int
    incoming: int
    entries: int
    steps: int
    messages: int

    @property
    def nothing(self) -> bool:
        """Whether everything is settled."""
        return not (self.held or self.incoming or self.entries or self.messages)

    def __str__(self) -> str:
        return (
            f"{self.incoming} files in incoming/, {self.entries} entries under way, {self.messages} messages, "
            f"{self.held} files held back"
        )


def wait_for_services(stand: Stand, say: Callable[[str], None]) -> str:
    """Wait until every service is well again; what some complain of if they do not come back."""
    end = time.monotonic() + _PATIENCE
    complaints: dict[str, str] = {}
    told: Collection[str] = ()
    while time.monotonic() < end:
        try:
            complaints = stand.complaints()
        except PlatformError as error:
            complaints = {"supervisor": str(error)}
        if not complaints:
            return ""
        if complaints.keys() != told:
            say(f"waiting for {', '.join(complaints)}")
            told = complaints.keys()
        time.sleep(_LOOK_SECONDS)
    return "; ".join(f"{name}: {said}" for name, said in complaints.items())


def wait_until_settled(stand: Stand, stream: Stream, say: Callable[[str], None]) -> str:
    """Wait until nothing is under way; an account of what hangs if nothing changes for minutes."""
    changed, last = time.monotonic(), None
    while time.monotonic() - changed < _PATIENCE:
        try:
            stream.drop_held()
            now = look(stand, stream)
        except (PipelineError, PlatformError, psycopg.Error) as error:
            say(f"cannot look: {error}")
            time.sleep(_LOOK_SECONDS)
            continue
        if now.nothing:
            return ""
        if now != last:
            if str(now) != str(last):
                say(str(now))
            last, changed = now, time.monotonic()
        time.sleep(_LOOK_SECONDS)
    return account(stand)


def look(stand: Stand, stream: Stream) -> Open:
    """What is open now. `steps` only grows: it tells work that goes on from work that hangs."""
    incoming = sum(1 for _ in ObjectStore(stand.s3_config).list(BUCKET, "incoming/"))
    with connect(stand.warehouse_config()) as connection:
        [[entries, steps]] = connection.execute(
            "SELECT (SELECT count(*) FROM ops.file_ingestion_log WHERE settled_at IS NULL), "
            "(SELECT coalesce(max(event_id), 0) FROM ops.file_event)"
        ).fetchall()
    return Open(stream.held, incoming, int(entries), int(steps), waiting(stand.kafka))


def reprocess(stand: Stand, stream: Stream, say: Callable[[str], None]) -> tuple[int, str]:
    """Put back what an outage has quarantined, as its owner would, until all has loaded.

    Returns:
        How many files were put back, and what hangs.
    """
    returned = 0
    for _ in range(_ROUNDS):
        quarantined = _quarantined(stand)
        if not any(quarantined.values()):
            return returned, ""
        say(f"putting back {quarantined}")
        returned += sum(quarantined.values())
        for dataset in quarantined:
            if error := _run(stand, dataset):
                return returned, error
        if hang := wait_until_settled(stand, stream, say):
            return returned, hang
    return returned, f"still quarantined after {_ROUNDS} rounds: {_quarantined(stand)}"


def account(stand: Stand) -> str:
    """What a person would look at first: services, entries, runs with their tasks, sessions that wait."""
    lines = ["services: " + ", ".join(f"{name} {stand.state(name)[0]}" for name in SERVICES)]
    try:
        lines += [f"complaint: {name}: {said}" for name, said in stand.complaints().items()]
        with stand.superuser("warehouse") as connection:
            for what, query in _ACCOUNT.items():
                lines += [f"{what}: {row[0]}" for row in connection.execute(query).fetchall()]
        lines += [f"incoming: {item.key}" for item in ObjectStore(stand.s3_config).list(BUCKET, "incoming/")][:20]
        lines += [f"run: {line}" for line in stand.unfinished()]
    except (PipelineError, PlatformError, psycopg.Error) as error:
        lines.append(f"cannot look further: {error}")
    return "\n".join(lines)


_ACCOUNT = {
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


def _quarantined(stand: Stand) -> dict[str, int]:
    with connect(stand.warehouse_config()) as connection:
        rows = connection.execute(
            "SELECT dataset, count(*) FROM ops.file_ingestion_log WHERE status LIKE '%%failed' "
            "AND error_code = ANY(%s) AND object_key IS NOT NULL AND dataset = ANY(%s) GROUP BY 1",
            [list(OUTSIDE), list(DATASETS)],
        ).fetchall()
    return {str(dataset): int(count) for dataset, count in rows}


def _run(stand: Stand, dataset: str) -> str:
    """Trigger `reprocess_failed` and wait for its end; why it did not come."""
    conf = {"dataset": dataset, "stage": None, "name": "*"}
    run_id = stand.trigger("reprocess_failed", conf)
    end = time.monotonic() + _RUN_SECONDS
    while time.monotonic() < end:
        if stand.run_state("reprocess_failed", run_id) in {"success", "failed"}:
            return ""
        time.sleep(_LOOK_SECONDS)
    return f"reprocess_failed of {dataset} did not end\n{account(stand)}"
