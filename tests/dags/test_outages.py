"""Outages in the sensors and tasks of the ingest DAGs: polls are stubs, Airflow is real."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.dags

ROOT = Path(__file__).parents[2]

# Runs in a separate process, since Airflow reads its configuration at import. Prints the result of each scene.
SCENES = """
import asyncio, json, logging, sys, time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from airflow._shared.module_loading import import_string
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred
from include.errors import Code, PermanentError, RetryableError
from include.orchestration import defaults, file_sensor, polling
from include.orchestration.file_sensor import FilesWaitingTrigger, SweepTrigger, WaitForFiles, WaitToSweep

AWAY = RetryableError(Code.BUCKET_UNAVAILABLE, "away")
logged = []
class Logged(logging.Handler):
    def emit(self, record):
        logged.append(record.getMessage())

def events(answers, seconds=60, **alerting):
    remaining, polls = list(answers), []
    def poll(self):
        answer = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        polls.append(answer)
        if isinstance(answer, Exception):
            raise answer
        return answer
    kind = type("StubTrigger", (FilesWaitingTrigger,), {"poll": poll})
    one = kind("sales", 0.01, datetime.now(UTC) + timedelta(seconds=seconds), **alerting)
    one._log = logging.Logger("one")
    one._log.addHandler(Logged())
    async def run():
        return [event.payload async for event in one.run()]
    logged.clear()
    return {"events": asyncio.run(run()), "polls": len(polls), "logged": list(logged)}

notified = []
polling.notify_outage = lambda *arguments: notified.append([str(each) for each in arguments])

def outcome(act):
    notified.clear()
    try:
        return {"returns": act()}
    except TaskDeferred as deferred:
        path, given = deferred.trigger.serialize()
        again = import_string(path)(**given)
        return {"deferred": path, "arguments": {**given, "until": str(given["until"]), "began": str(given["began"])},
                "kwargs": deferred.kwargs, "notified": list(notified), "same": again.serialize() == (path, given)}
    except (AirflowFailException, AirflowSkipException, RetryableError, PermanentError) as error:
        return {type(error).__name__: str(error)}

def sensor():
    return WaitForFiles(task_id="wait", dataset="sales", poke_interval=2, timeout=3600)

def sensed(answer):
    real = FilesWaitingTrigger.poll
    def poll(self):
        if isinstance(answer, Exception):
            raise answer
        return answer
    FilesWaitingTrigger.poll = poll
    try:
        return outcome(lambda: sensor().execute({}))
    finally:
        FilesWaitingTrigger.poll = real

def skipped(error, try_number, max_tries=3):
    defaults.get_current_context = lambda: {"ti": SimpleNamespace(try_number=try_number, max_tries=max_tries)}
    def act():
        with defaults.skip_on_outage():
            raise error
    return outcome(act)

def shared_listings():
    answers, calls = [(("incoming/sales/a.csv", "incoming/x.csv"), True), ((), True), ((), False), AWAY], []
    class Store:
        def first_keys(self, bucket, prefix):
            calls.append(prefix)
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
    listing = file_sensor._SharedListing(Store())
    def held(age, dataset="sales"):
        try:
            return listing.may_hold("landing", f"incoming/{dataset}/", age)
        except RetryableError:
            return "away"
    return {
        "first": [held(60) for _ in range(20)], "others": held(60, "orders"), "later": held(0), "many": held(0),
        "failures": [held(0), held(60), held(60)], "calls": calls,
    }

def sweeps():
    polled, pauses = [], []
    class Counted(SweepTrigger):
        def poll(self):
            polled.append(len(pauses))
            return 1
    async def run():
        return [event.payload async for event in Counted(7.0, datetime.now(UTC) + timedelta(hours=1)).run()]
    async def sleep(seconds):
        pauses.append(seconds)
    real, file_sensor.asyncio.sleep = file_sensor.asyncio.sleep, sleep
    try:
        found = asyncio.run(run())
    finally:
        file_sensor.asyncio.sleep = real
    class Store:
        def first_keys(self, bucket, prefix):
            return ("incoming/",), True
    sensor = WaitToSweep(task_id="wait", poke_interval=7, timeout=300)
    folder = file_sensor._SharedListing(Store()).may_hold("landing", "incoming/", 0)
    return {
        "events": found, "pauses": pauses, "polled after": polled, "folder": folder,
        "sensor": outcome(lambda: sensor.execute({})),
        "timed out": outcome(lambda: sensor.end_of_waiting({}, {"waiting": 0}, until)),
        "refused": outcome(lambda: sensor.end_of_waiting({}, {"refusal": "no"}, until)),
    }

until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
outage = {"outage": "bucket: away", "code": "bucket-unavailable", "since": "2026-11-28T10:00:00+00:00"}
print("SCENES" + json.dumps({
    "quiet": events([0] * 50 + [1]),
    "25 failed polls": events([AWAY] * 25 + [1]),
    "long outage": events([AWAY], alert_seconds=0.1),
    "reported before": events([AWAY] * 10 + [1], alert_seconds=0.01, began=datetime.now(UTC)),
    "came back between": events([AWAY] * 5 + [0] + [AWAY] * 5 + [0, 1], alert_seconds=0.3),
    "sensor": sensed(0), "sensor finds": sensed(1), "sensor, store away": sensed(AWAY),
    "reports": outcome(lambda: sensor().end_of_waiting({}, outage, until)),
    "retries left": skipped(AWAY, 3), "last try": skipped(AWAY, 4), "no retries": skipped(AWAY, 1, 0),
    "permanent": skipped(PermanentError(Code.INTERNAL, "defect"), 4),
    "until": until, "shared": shared_listings(), "sweeps": sweeps(),
}))
"""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> dict:
    home = tmp_path_factory.mktemp("airflow")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "ALERTS_"))}
    environment = kept | {
        "AIRFLOW_HOME": str(home), "PYTHONPATH": str(ROOT), "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "ALERTS_WAITING_MINUTES": "5",
    }  # fmt: skip
    answer = subprocess.run(
        [sys.executable, "-c", SCENES],
        capture_output=True, text=True, env=environment, cwd=home, timeout=120, check=False,
    )  # fmt: skip
    line = next((line for line in answer.stdout.splitlines() if line.startswith("SCENES")), None)
    assert line is not None, answer.stderr[-3000:]
    return json.loads(line.removeprefix("SCENES"))


def test_trigger_logs_nothing_while_it_waits(scenes: dict) -> None:
    assert scenes["quiet"] == {"events": [{"waiting": 1}], "polls": 51, "logged": []}


def test_trigger_finds_the_file_after_25_failed_polls(scenes: dict) -> None:
    found = scenes["25 failed polls"]
    assert (found["events"], found["polls"]) == ([{"waiting": 1}], 26)
    assert len(found["logged"]) == 1, "an outage is logged once a minute, not with every poll"


def test_trigger_reports_a_long_outage(scenes: dict) -> None:
    (event,) = scenes["long outage"]["events"]
    assert event["code"] == "bucket-unavailable"
    assert "away" in event["outage"]
    assert event["since"]


@pytest.mark.parametrize("scene", ["reported before", "came back between"])
def test_trigger_reports_no_outage_twice_and_no_short_one(scenes: dict, scene: str) -> None:
    assert scenes[scene]["events"] == [{"waiting": 1}]


def test_sensor_notifies_of_an_outage_and_keeps_its_time_limit(scenes: dict) -> None:
    reported = scenes["reports"]
    assert reported["notified"] == [["files of sales", "bucket-unavailable", "2026-11-28 10:00:00+00:00"]]
    assert reported["kwargs"] == {"until": scenes["until"]}
    assert reported["arguments"]["began"] == "2026-11-28 10:00:00+00:00"
    assert reported["same"]


def test_sensor_defers_with_the_settings_of_alerts(scenes: dict) -> None:
    for scene in ("sensor", "sensor, store away"):
        given = scenes[scene]["arguments"]
        assert (given["dataset"], given["poke_seconds"]) == ("sales", 2)
        assert (given["alert_seconds"], given["again_seconds"], given["began"]) == (300.0, 3600.0, "None")
    assert scenes["sensor finds"] == {"returns": 1}


def test_task_is_skipped_for_an_outage_after_its_last_retry(scenes: dict) -> None:
    assert "bucket-unavailable" in scenes["retries left"]["RetryableError"]
    for scene in ("last try", "no retries"):
        assert "bucket-unavailable: away" in scenes[scene]["AirflowSkipException"]
    assert list(scenes["permanent"]) == ["PermanentError"]


def test_triggers_of_a_process_share_a_listing_and_its_failure(scenes: dict) -> None:
    shared = scenes["shared"]
    assert shared["first"] == [True] * 20
    assert (shared["others"], shared["later"]) == (False, False)
    assert shared["many"] is True, "the listing is incomplete: each dataset must check itself"
    assert shared["failures"] == ["away"] * 3
    assert shared["calls"] == ["incoming/"] * 4


def test_sweep_waits_first_then_polls_and_is_never_skipped(scenes: dict) -> None:
    sweeps = scenes["sweeps"]
    assert sweeps["events"] == [{"waiting": 1}]
    assert (sweeps["pauses"], sweeps["polled after"]) == ([7.0], [1])
    assert sweeps["sensor"]["arguments"]["poke_seconds"] == 7
    assert sweeps["sensor"]["same"]
    assert sweeps["timed out"] == {"returns": 0}
    assert sweeps["refused"] == {"AirflowFailException": "no"}


def test_folder_object_of_a_console_is_not_a_file(scenes: dict) -> None:
    assert scenes["sweeps"]["folder"] is False
