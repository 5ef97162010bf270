"""`filegate dev soak`: start a platform in a temporary folder, apply a steady load, print what grew, write the JSON.

The exit code is 1 if a resource grows without a reason, or a file is not settled in the end.
"""

from __future__ import annotations

import signal
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console

from include.settings import KafkaConfig
from include.stores.warehouse import connect
from include.streams.broker import ensure_topic
from local.airflow_api import ENDED, AirflowApi
from local.services import airflow, broker
from local.settings import PlatformSettings, temporary_settings
from local.supervisor.platform import Platform
from local.temporary import patched_env, temporary_folder
from proof.soak import accounts, idle
from proof.soak.expectations import Work, expected, tolerance
from proof.soak.judge import first_and_last_fifth, judge, latency
from proof.soak.load import TOPIC, Kind, Load
from proof.soak.report import Findings, show, write
from proof.soak.samples import Sampler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from proof.soak.judge import Judgement

    Say = Callable[[str], None]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_MAINTAIN = "maintain_platform"
# In the warm-up, caches fill and pools open: its samples count for latencies, but not for growth.
_WARM_SHARE, _WARM_SECONDS = 0.2, 300.0
_SETTLE_SECONDS, _MAINTAIN_SECONDS = 600.0, 600.0


@app.command()
def soak(
    minutes: Annotated[float, typer.Option(help="minutes of load")] = 30,
    every: Annotated[float, typer.Option(help="seconds between two files")] = 4,
    sample: Annotated[float, typer.Option(help="seconds between two samples")] = 10,
    out: Annotated[Path | None, typer.Option(help="JSON of the result; soak.json in the platform's home")] = None,
    idle_only: Annotated[bool, typer.Option("--idle", help="no load: what an idle platform costs")] = False,
) -> None:
    """Apply the load, take samples, judge them."""
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    if idle_only:
        _idle(console, minutes, sample, out or PlatformSettings().platform_home / "idle.json")
    status = Console(stderr=True, highlight=False)
    with _platform(minutes) as (platform, folder), status.status("starting the platform") as spinner:

        def say(text: str) -> None:
            spinner.update(text)
            if not status.is_terminal:
                status.print(f"{time.strftime('%H:%M:%S')} {text}", soft_wrap=True)

        say("starting the platform")
        platform.up()
        findings = _run(platform, folder, _Pace(minutes, every, sample), say)
    show(findings, console)
    target = out or PlatformSettings().platform_home / "soak.json"
    write(findings, target)
    console.print(f"\nWritten to {target}")
    raise typer.Exit(1 if findings.complaints else 0)


def _idle(console: Console, minutes: float, sample: float, out: Path) -> NoReturn:
    """Start a platform with twenty datasets and measure its costs while there is nothing to do."""

    def say(text: str) -> None:
        print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)

    with temporary_folder("soak-") as folder:
        (folder / "contracts").mkdir()
        idle.write_contracts(folder / "contracts")
        with patched_env({"INGEST_CONTRACTS_DIR": str(folder / "contracts")}):
            platform = Platform(temporary_settings(folder / "home", platform_start_seconds=900))
            try:
                say("starting the platform")
                platform.up()
                if not idle.wait_until_idle(platform, _SETTLE_SECONDS, say):
                    say(f"the platform is not idle after {_SETTLE_SECONDS:.0f} s; it is measured anyway")
                found = idle.measure(platform, minutes, sample, say)
            finally:
                platform.down()
    idle.show(found, console)
    idle.write(found, out)
    console.print(f"\nWritten to {out}")
    raise typer.Exit(1 if found.complaints else 0)


@dataclass(frozen=True)
class _Pace:
    """Minutes of load, seconds between two files, and seconds between two samples."""

    minutes: float
    every: float
    sample: float


def _run(platform: Platform, folder: Path, pace: _Pace, say: Say) -> Findings:
    kafka = KafkaConfig(bootstrap_servers=broker.bootstrap(platform.settings))
    ensure_topic(kafka, TOPIC, 2)
    load = Load(platform.s3_config, kafka, folder, pace.every)
    removed: Future[dict[str, Any]] | None = None
    with (
        ThreadPoolExecutor(1) as beside,
        Sampler(platform) as sampler,
        connect(platform.warehouse_config("owner")) as connection,
    ):
        load.start()
        try:
            while (passed := time.time() - sampler.begun) < 60 * pace.minutes and load.failure is None:
                sampler.take()
                if removed is None and passed > 30 * pace.minutes:
                    say("maintain_platform is triggered")
                    removed = beside.submit(_maintain, platform)
                counts = ", ".join(f"{count} {kind}" for kind, count in load.counts.items())
                say(f"{passed / 60:.1f} of {pace.minutes:g} minutes: {counts}, {load.messages} messages")
                time.sleep(max(0.5, pace.sample - (time.time() - sampler.begun - passed)))
        finally:
            load.stop()
        lasted = time.time() - sampler.begun
        unsettled = accounts.wait_until_settled(connection, load, _SETTLE_SECONDS, say)
        sampler.take()
        first, last = first_and_last_fifth(accounts.latencies(connection, load, sampler.begun), lasted)
        judgements = list(_judgements(sampler, load, lasted))
        deleted = removed.result() if removed else {}
    return Findings(
        pace.minutes,
        judgements,
        latency(first),
        latency(last),
        {**{f"{kind} files": count for kind, count in load.counts.items()}, "messages": load.messages},
        deleted,
        unsettled if deleted.get("run") == "success" else [*unsettled, f"{_MAINTAIN} did not succeed"],
    )


def _judgements(sampler: Sampler, load: Load, lasted: float) -> Iterator[Judgement]:
    warm = min(_WARM_SECONDS, _WARM_SHARE * lasted)
    later = [one for one in load.dropped if one.at >= sampler.begun + warm - 10]
    runs = sampler.series["started [runs]"].after(warm).values
    messages = round(load.messages * (1 - warm / lasted))
    work = Work(
        seconds=lasted - warm,
        runs=runs[-1] - runs[0],
        files=len(later),
        rows=sum(one.rows for one in later if one.kind in {Kind.SMALL, Kind.LARGE}) + messages,
        bad_rows=sum(one.bad_rows for one in later),
        messages=messages,
        batches=messages // 5,  # 20 published messages may be two batches of each of two partitions
        shared_buffers_mb=sampler.shared_buffers(),
    )
    for series in sampler.series.values():
        if series.unit != "runs":
            yield judge(series.after(warm), tolerance(series.unit), expected(series.name, series.unit, work))


def _maintain(platform: Platform) -> dict[str, Any]:
    """Trigger maintain_platform, wait for its end, and return the state and what each task has deleted."""
    credentials = platform.credentials
    login = (credentials.airflow_admin_user, credentials.airflow_admin_password)
    with AirflowApi(airflow.url(platform.settings), *login) as api:
        run_id = api.trigger(_MAINTAIN)
        end = time.monotonic() + _MAINTAIN_SECONDS
        while (state := api.run(_MAINTAIN, run_id)["state"]) not in ENDED and time.monotonic() < end:
            time.sleep(1)
        deleted = {
            task["task_id"]: api.return_value(_MAINTAIN, run_id, task["task_id"]) or task["state"]
            for task in api.tasks(_MAINTAIN, run_id)
        }
        return {"run": state, **deleted}


@contextmanager
def _platform(minutes: float) -> Iterator[tuple[Platform, Path]]:
    """Yield a temporary platform and a folder for samples; its retention periods are a fifth of the load's time."""
    wait = max(60.0, 6 * minutes)  # seconds; the retention periods are twice as long
    days = str(2 * wait / 86_400)
    kinds = ("AIRFLOW", "LOG_FILES", "REJECTED_ROWS", "FILE_RESULTS", "FILE_EVENTS", "ALERTS")
    variables = {"INGEST_WAIT_HOURS": str(wait / 3600), **{f"RETENTION_{kind}_DAYS": days for kind in kinds}}
    with temporary_folder("soak-") as folder, patched_env(variables):
        # A long limit for loaded machines: the soak does not measure the start.
        platform = Platform(temporary_settings(folder / "home", platform_start_seconds=900))
        (folder / "samples").mkdir()
        try:
            yield platform, folder / "samples"
        finally:
            platform.down()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a SIGTERM stops the platform, too
    app()
