"""One torture run from the first start to the last check.

What belongs here: the order. What each part does stands in its own module.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from include.contracts.reader import read_contract
from include.errors import PipelineError
from include.stores.warehouse import connect
from local import leftovers, processes
from local.errors import PlatformError
from local.settings import temporary_settings
from local.temporary import temporary_folder, told
from proof.torture import disk as disks
from proof.torture.checks import Check, Checker
from proof.torture.expectation import Judges
from proof.torture.faults import Tormentor
from proof.torture.proxy import Proxy
from proof.torture.report import longest_silence
from proof.torture.schedule import schedule
from proof.torture.stand import DAGS, DATASETS, PIPELINE, SERVICES, Stand, write_contracts
from proof.torture.stream import Stream
from proof.torture.topic import Messages
from proof.torture.watch import reprocess, wait_for_services, wait_until_settled
from proof.torture.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import psutil

    from local.console import Progress
    from proof.torture.faults import Done

    Say = Callable[[str], None]

_DISK_MB = 3072
_WAL = "512MB"  # of the three gigabytes: the rest of the disk is for tables
_START_SECONDS = 900  # of a service; the machine may be busy with something else
_DAG_SECONDS = 300.0
_WARM_UP_SECONDS = 600.0
_CALM_SECONDS = 60.0
_SILENCE_SECONDS = 300.0  # some faults in a row, of which each takes a minute to get over


@dataclass
class Outcome:
    """What a run ended with. `loads` are seconds since the epoch, in order."""

    done: list[Done] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    counts: dict[str, object] = field(default_factory=dict)


def torture(
    faults: int, seed: int, large_rows: int, log: Path, progress: Progress, say: Say, *, keep: bool = False
) -> Outcome:
    """Start a platform, torture it, wait for its rest, check, and take it down.

    Args:
        faults: how many.
        seed: of faults, files and messages.
        large_rows: rows of the files that take long.
        log: each fault is written there as it happens.
        progress: is told of the start and the stop.
        say: is told of the rest.
        keep: leave the folder where it is, for who looks into the logs.
    """
    outcome, begun = Outcome(), time.monotonic()
    with ExitStack() as stack:
        home = stack.enter_context(temporary_folder("torture-", keep=keep))
        stack.enter_context(told({**PIPELINE, "INGEST_CONTRACTS_DIR": str(home / "contracts")}))
        write_contracts(home / "contracts")
        settings = temporary_settings(home / "home", platform_start_seconds=_START_SECONDS)
        warehouse = stack.enter_context(Proxy(settings.postgres_port))
        bucket = stack.enter_context(Proxy(settings.s3_port))
        stand = Stand(settings, warehouse, bucket, progress)
        disk, no_disk = _disk(stand, stack)
        if no_disk:
            say(f"The disk will not be filled: {no_disk}.")
        stack.callback(stand.down)
        stand.up(SERVICES)
        _prepare(stand, say)
        judges = Judges(home / "contracts")
        stack.callback(judges.close)
        contracts = {name: read_contract(home / "contracts" / f"{name}.yaml") for name in DATASETS}
        (home / "files").mkdir()
        stream = Stream(stand, Workload(seed, contracts, home / "files", large_rows), seed)
        messages = Messages(stand.kafka, seed)
        tormentor = Tormentor(stand, stream, warehouse, bucket, disk, no_disk, log)
        outcome.checks += _under_load(faults, seed, tormentor, stream, messages, judges, say)
        outcome.done = tormentor.done
        if all(check.ok for check in outcome.checks):
            say(f"judging {judges.left} files")
            outcome.checks += Checker(stand, contracts, stream.dropped, messages, judges).run()
        outcome.loads = _loads(stand)
        outcome.checks += _standstill(stand, outcome)
        session = stand.session
        stand.down()
        outcome.checks.append(
            _none_left("processes left after the stop", processes.find(stand.settings.layout, session))
        )
        outcome.counts |= {
            "faults tried": sum(done.tried for done in tormentor.done),
            "files": len(stream.dropped),
            "megabytes": round(sum(drop.size for drop in stream.dropped) / 1e6),
            "uploads cut": len(stream.cut),
            "messages": messages.published,
            "seconds": round(time.monotonic() - begun),
            "the disk was not filled": no_disk,
        }
    return outcome


def _under_load(
    faults: int, seed: int, tormentor: Tormentor, stream: Stream, messages: Messages, judges: Judges, say: Say
) -> list[Check]:
    """Load and faults, then rest; what of the platform did not come back, and what hangs."""
    stand, gave_up = tormentor.stand, []
    messages.start()
    stream.start()
    _warm_up(stand, say)
    for fault in schedule(seed, faults):
        if fault.calm and tormentor.done:
            _wait_for_load(stand, tormentor.done[-1].at)
        time.sleep(fault.pause)
        done = tormentor.carry_out(fault)
        judges.begin(list(stream.dropped))
        gave_up += [name for name in SERVICES if stand.state(name)[0] == "FATAL"]
        say(f"{fault.number}/{faults} {done.kind.value}: {done.target}: {done.effect}; {len(stream.dropped)} files")
    stream.stop()
    messages.stop()
    judges.begin(stream.dropped)
    complaints = wait_for_services(stand, say)
    checks = [
        Check("services that the supervisor gave up", "0", str(len(gave_up)), not gave_up, ", ".join(gave_up)),
        Check("services that came back", "all", complaints or "all", not complaints, complaints),
    ]
    hang = wait_until_settled(stand, stream, say)
    returned = 0
    if not hang:
        returned, hang = reprocess(stand, stream, say)
    judges.begin(stream.dropped)
    checks.append(Check("everything is settled", "yes", "no" if hang else "yes", not hang, hang))
    say(f"{returned} files were put back from quarantine")
    return checks


def _disk(stand: Stand, stack: ExitStack) -> tuple[disks.SmallDisk | None, str]:
    """The warehouse on a disk of its own, or why not."""
    data = stand.prepare_cluster()
    if reason := disks.why_not():
        return None, reason
    disk = disks.SmallDisk(data)
    if reason := disk.mount(_DISK_MB):
        return None, reason
    stack.callback(disk.unmount)
    return disk, ""


def _prepare(stand: Stand, say: Say) -> None:
    """Little WAL, so that the small disk is for tables; and the DAGs that are wanted begin."""
    with stand.superuser() as connection:
        connection.execute(f"ALTER SYSTEM SET max_wal_size = '{_WAL}'")
        connection.execute("SELECT pg_reload_conf()")
    say("waiting for the DAGs")
    end = time.monotonic() + _DAG_SECONDS
    while missing := set(DAGS) - stand.dag_ids():
        if time.monotonic() > end:
            raise PlatformError(f"Airflow does not know {', '.join(sorted(missing))}", "look into its logs")
        time.sleep(1)
    for dag_id in DAGS:
        stand.unpause(dag_id)


def _warm_up(stand: Stand, say: Say) -> None:
    """Until the first file is loaded: before that, faults would only delay the start."""
    say("waiting for the first file")
    end = time.monotonic() + _WARM_UP_SECONDS
    while not _loads(stand):
        if time.monotonic() > end:
            raise PlatformError("no file was loaded before the first fault", "look into Airflow's logs")
        time.sleep(0.5)


def _wait_for_load(stand: Stand, since: float) -> None:
    """Until a file was loaded after that moment, or for a minute."""
    end = time.monotonic() + _CALM_SECONDS
    while time.monotonic() < end and not any(load > since for load in _loads(stand)[-1:]):
        time.sleep(0.5)


def _loads(stand: Stand) -> list[float]:
    query = b"SELECT extract(epoch FROM loaded_at)::float FROM ops.file_ingestion_log WHERE loaded_at > '-infinity'"
    try:
        with connect(stand.warehouse_config()) as connection:
            return sorted(row[0] for row in connection.execute(query).fetchall())
    except PipelineError:
        return []


def _standstill(stand: Stand, outcome: Outcome) -> Iterator[Check]:
    """Whatever is hit, files are loaded again before long, and nobody is left who waits for a dead scheduler."""
    silence = longest_silence(outcome.done, outcome.loads)
    yield Check(
        "longest time in which no file was loaded", f"≤ {_SILENCE_SECONDS:.0f} s", f"{silence:.0f} s",
        silence <= _SILENCE_SECONDS,
    )  # fmt: skip
    left = leftovers.leaderless(stand.session.id) if stand.session else []
    yield _none_left("processes left by a killed service", left)


def _none_left(name: str, left: list[psutil.Process]) -> Check:
    names = ", ".join(f"{process.name()} (pid {process.pid})" for process in left)
    return Check(name, "0", str(len(left)), not left, names)
