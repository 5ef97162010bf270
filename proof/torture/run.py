"""One torture run, from the start of the platform to the last check.

What belongs here: the order of the steps. What does not: the steps, which have their own modules.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from include.contracts.reader import read_contract
from include.errors import PipelineError
from include.stores.warehouse import connect
from local.errors import PlatformError
from local.settings import temporary_settings
from local.supervisor import leftovers, processes
from local.temporary import patched_env, temporary_folder
from proof.torture import disk as disks
from proof.torture.checks import Checker, FinalCheck
from proof.torture.expectation import Judges
from proof.torture.faults import FaultInjector
from proof.torture.proxied_platform import DAGS, DATASETS, PIPELINE, SERVICES, ProxiedPlatform, write_contracts
from proof.torture.proxy import Proxy
from proof.torture.report import longest_silence
from proof.torture.schedule import schedule
from proof.torture.stream import Stream
from proof.torture.topic import Messages
from proof.torture.watch import reprocess, wait_for_services, wait_until_settled
from proof.torture.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import psutil

    from local.console import Progress
    from proof.torture.faults import FaultResult

    Say = Callable[[str], None]

_DISK_MB = 3072
_WAL = "512MB"  # of the small disk; the remaining space is for tables
_START_SECONDS = 900  # per service, for a loaded machine
_DAG_SECONDS = 300.0
_WARM_UP_SECONDS = 600.0
_CALM_SECONDS = 60.0
_SILENCE_SECONDS = 300.0  # several faults in a row, with a minute of recovery each


@dataclass
class TortureResult:
    """The result of a run. `loads` are the times of loads in seconds since the epoch, in order."""

    done: list[FaultResult] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    checks: list[FinalCheck] = field(default_factory=list)
    counts: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """How many `faults`; the `seed` of faults, files and messages; the rows of each large file.

    With `keep` the platform's folder stays, with its logs.
    """

    faults: int
    seed: int
    large_rows: int
    keep: bool = False


def torture(trial: Trial, log: Path, progress: Progress, say: Say) -> TortureResult:
    """Start a platform, inject faults under load, wait until all is settled, check, and stop the platform.

    Args:
        trial: what is done to the platform.
        log: file to which each fault is appended.
        progress: shows the start and the stop of the platform.
        say: prints the other steps.
    """
    outcome, begun = TortureResult(), time.monotonic()
    with ExitStack() as stack:
        home = stack.enter_context(temporary_folder("torture-", keep=trial.keep))
        stack.enter_context(patched_env({**PIPELINE, "INGEST_CONTRACTS_DIR": str(home / "contracts")}))
        write_contracts(home / "contracts")
        settings = temporary_settings(home / "home", platform_start_seconds=_START_SECONDS)
        warehouse = stack.enter_context(Proxy(settings.postgres_port))
        bucket = stack.enter_context(Proxy(settings.s3_port))
        platform = ProxiedPlatform(settings, warehouse, bucket, progress)
        disk, no_disk = _disk(platform, stack)
        if no_disk:
            say(f"The disk will not be filled: {no_disk}.")
        stack.callback(platform.down)
        platform.up(SERVICES)
        _prepare(platform, say)
        judges = Judges(home / "contracts")
        stack.callback(judges.close)
        contracts = {name: read_contract(home / "contracts" / f"{name}.yaml") for name in DATASETS}
        (home / "files").mkdir()
        stream = Stream(platform, Workload(trial.seed, contracts, home / "files", trial.large_rows), trial.seed)
        messages = Messages(platform.kafka, trial.seed)
        injector = FaultInjector(platform, stream, warehouse, bucket, disk, no_disk, log)
        outcome.checks += _under_load(trial, injector, messages, judges, say)
        outcome.done = injector.done
        if all(check.ok for check in outcome.checks):
            say(f"judging {judges.left} files")
            outcome.checks += Checker(platform, contracts, stream.dropped, messages, judges).run()
        outcome.loads = _loads(platform)
        outcome.checks += _standstill(platform, outcome)
        session = platform.session
        platform.down()
        outcome.checks.append(
            _none_left("processes left after the stop", processes.find(platform.settings.layout, session))
        )
        outcome.counts |= {
            "faults tried": sum(done.tried for done in injector.done),
            "files": len(stream.dropped),
            "megabytes": round(sum(drop.size for drop in stream.dropped) / 1e6),
            "uploads cut": len(stream.cut),
            "messages": messages.published,
            "seconds": round(time.monotonic() - begun),
            "the disk was not filled": no_disk,
        }
    return outcome


def _under_load(
    trial: Trial, injector: FaultInjector, messages: Messages, judges: Judges, say: Say
) -> list[FinalCheck]:
    """Run load and faults, then wait until all is settled; return checks of services and of unfinished work."""
    platform, stream, gave_up = injector.platform, injector.stream, []
    messages.start()
    stream.start()
    _warm_up(platform, say)
    for fault in schedule(trial.seed, trial.faults):
        if fault.calm and injector.done:
            _wait_for_load(platform, injector.done[-1].at)
        time.sleep(fault.pause)
        done = injector.inject(fault)
        judges.begin(list(stream.dropped))
        gave_up += [name for name in SERVICES if platform.state(name)[0] == "FATAL"]
        effect = f"{done.kind.value}: {done.target}: {done.effect}"
        say(f"{fault.number}/{trial.faults} {effect}; {len(stream.dropped)} files")
    stream.stop()
    messages.stop()
    judges.begin(stream.dropped)
    complaints = wait_for_services(platform, say)
    checks = [
        FinalCheck("services that the supervisor gave up", "0", str(len(gave_up)), not gave_up, ", ".join(gave_up)),
        FinalCheck("services that came back", "all", complaints or "all", not complaints, complaints),
    ]
    hang = wait_until_settled(platform, stream, say)
    requeued = 0
    if not hang:
        requeued, hang = reprocess(platform, stream, say)
    judges.begin(stream.dropped)
    checks.append(FinalCheck("everything is settled", "yes", "no" if hang else "yes", not hang, hang))
    say(f"{requeued} files were requeued from quarantine")
    return checks


def _disk(platform: ProxiedPlatform, stack: ExitStack) -> tuple[disks.SmallDisk | None, str]:
    """Mount a small disk for the warehouse; return it, or None and the reason."""
    data = platform.prepare_cluster()
    if reason := disks.why_not():
        return None, reason
    disk = disks.SmallDisk(data)
    if reason := disk.mount(_DISK_MB):
        return None, reason
    stack.callback(disk.unmount)
    return disk, ""


def _prepare(platform: ProxiedPlatform, say: Say) -> None:
    """Limit the WAL, so that the small disk has room for tables, and unpause the DAGs."""
    with platform.superuser() as connection:
        connection.execute(f"ALTER SYSTEM SET max_wal_size = '{_WAL}'")
        connection.execute("SELECT pg_reload_conf()")
    say("waiting for the DAGs")
    end = time.monotonic() + _DAG_SECONDS
    while missing := set(DAGS) - platform.dag_ids():
        if time.monotonic() > end:
            raise PlatformError(
                f"Airflow has no DAG {', '.join(sorted(missing))} after {_DAG_SECONDS:.0f} s", "look into its logs"
            )
        time.sleep(1)
    for dag_id in DAGS:
        platform.unpause(dag_id)


def _warm_up(platform: ProxiedPlatform, say: Say) -> None:
    """Wait until the first file is loaded: earlier faults would only delay the start."""
    say("waiting for the first file")
    end = time.monotonic() + _WARM_UP_SECONDS
    while not _loads(platform):
        if time.monotonic() > end:
            raise PlatformError(
                f"no file was loaded within {_WARM_UP_SECONDS:.0f} s before the first fault", "look into Airflow's logs"
            )
        time.sleep(0.5)


def _wait_for_load(platform: ProxiedPlatform, since: float) -> None:
    """Wait until a file is loaded after that time, at most a minute."""
    end = time.monotonic() + _CALM_SECONDS
    while time.monotonic() < end and not any(load > since for load in _loads(platform)[-1:]):
        time.sleep(0.5)


def _loads(platform: ProxiedPlatform) -> list[float]:
    query = b"SELECT extract(epoch FROM loaded_at)::float FROM ops.file_ingestion_log WHERE loaded_at > '-infinity'"
    try:
        with connect(platform.warehouse_config()) as connection:
            return sorted(row[0] for row in connection.execute(query).fetchall())
    except PipelineError:
        return []


def _standstill(platform: ProxiedPlatform, outcome: TortureResult) -> Iterator[FinalCheck]:
    """Check that files were loaded again soon after each fault, and that no process waits for a dead scheduler."""
    silence = longest_silence(outcome.done, outcome.loads)
    yield FinalCheck(
        "longest time in which no file was loaded", f"≤ {_SILENCE_SECONDS:.0f} s", f"{silence:.0f} s",
        silence <= _SILENCE_SECONDS,
    )  # fmt: skip
    left = leftovers.leaderless(platform.session.id) if platform.session else []
    yield _none_left("processes left by a killed service", left)


def _none_left(name: str, left: list[psutil.Process]) -> FinalCheck:
    names = ", ".join(f"{process.name()} (pid {process.pid})" for process in left)
    return FinalCheck(name, "0", str(len(left)), not left, names)
