"""Outages as the sensors and tasks of the ingest DAGs meet them: looks are made up, Airflow is real."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.dags

ROOT = Path(__file__).parents[2]

# In a process of its own, since Airflow reads its configuration at import. Prints what came of each scene.
SCENES = """
import asyncio, json, logging, sys, time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from airflow._shared.module_loading import import_string
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred
from include.errors import Code, PermanentError, RetryableError
from include.orchestration import file_sensor, outside
from include.orchestration.file_sensor import FilesWaitingTrigger, SweepTrigger, WaitForFiles, WaitToSweep

AWAY = RetryableError("bucket", Code.BUCKET_UNAVAILABLE, "away")
logged = []
class Logged(logging.Handler):
    def emit(self, record):
        logged.append(record.getMessage())

def events(answers, seconds=60, **alerting):
    left, looks = list(answers), []
    def look(self):
        answer = left.pop(0) if len(left) > 1 else left[0]
        looks.append(answer)
        if isinstance(answer, Exception):
            raise answer
        return answer
    kind = type("Made", (FilesWaitingTrigger,), {"look": look})
    one = kind("sales", 0.01, datetime.now(UTC) + timedelta(seconds=seconds), **alerting)
    one._log = logging.Logger("one")
    one._log.addHandler(Logged())
    async def run():
        return [event.payload async for event in one.run()]
    logged.clear()
    return {"events": asyncio.run(run()), "looks": len(looks), "logged": list(logged)}

notified = []
outside.notify_outage = lambda *facts: notified.append([str(fact) for fact in facts])

def outcome(act):
    notified.clear()
    try:
        return {"returns": act()}
    except TaskDeferred as deferred:
        path, facts = deferred.trigger.serialize()
        again = import_string(path)(**facts)
        return {"deferred": path, "facts": {**facts, "until": str(facts["until"]), "began": str(facts["began"])},
                "kwargs": deferred.kwargs, "notified": list(notified), "same": again.serialize() == (path, facts)}
    except (AirflowFailException, AirflowSkipException, RetryableError, PermanentError) as error:
        return {type(error).__name__: str(error)}

def sensor():
    return WaitForFiles(task_id="wait", dataset="sales", poke_interval=2, timeout=3600)

def sensed(answer):
    real = FilesWaitingTrigger.look
    def look(self):
        if isinstance(answer, Exception):
            raise answer
        return answer
    FilesWaitingTrigger.look = look
    try:
        return outcome(lambda: sensor().execute({}))
    finally:
        FilesWaitingTrigger.look = real

def skipped(error, try_number, max_tries=3):
    outside.get_current_context = lambda: {"ti": SimpleNamespace(try_number=try_number, max_tries=max_tries)}
    def act():
        with outside.skipped_for_outside_trouble():
            raise error
    return outcome(act)

def shared_looks():
    answers, calls = [(("incoming/sales/a.csv", "incoming/x.csv"), True), ((), True), ((), False), AWAY], []
    class Store:
        def first_keys(self, bucket, prefix):
            calls.append(prefix)
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
    look = file_sensor._SharedLook(Store())
    def held(age, dataset="sales"):
        try:
            return look.may_hold("landing", f"incoming/{dataset}/", age)
        except RetryableError:
            return "away"
    return {
        "first": [held(60) for _ in range(20)], "others": held(60, "orders"), "later": held(0), "many": held(0),
        "failures": [held(0), held(60), held(60)], "calls": calls,
    }

def sweeps():
    looked, pauses = [], []
    class Counted(SweepTrigger):
        def look(self):
            looked.append(len(pauses))
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
    folder = file_sensor._SharedLook(Store()).may_hold("landing", "incoming/", 0)
    return {
        "events": found, "pauses": pauses, "looked after": looked, "folder": folder,
        "sensor": outcome(lambda: sensor.execute({})),
        "nothing came": outcome(lambda: sensor.end_of_waiting({}, {"waiting": 0}, until)),
        "refused": outcome(lambda: sensor.end_of_waiting({}, {"refusal": "no"}, until)),
    }

until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
trouble = {"trouble": "bucket: away", "code": "bucket-unavailable", "since": "2026-11-28T10:00:00+00:00"}
print("SCENES" + json.dumps({
    "quiet": events([0] * 50 + [1]),
    "25 failed looks": events([AWAY] * 25 + [1]),
    "long outage": events([AWAY], alert_seconds=0.1),
    "reported before": events([AWAY] * 10 + [1], alert_seconds=0.01, began=datetime.now(UTC)),
    "came back between": events([AWAY] * 5 + [0] + [AWAY] * 5 + [0, 1], alert_seconds=0.3),
    "sensor": sensed(0), "sensor finds": sensed(1), "sensor, store away": sensed(AWAY),
    "reports": outcome(lambda: sensor().end_of_waiting({}, trouble, until)),
    "a try is left": skipped(AWAY, 3), "last try": skipped(AWAY, 4), "no retries": skipped(AWAY, 1, 0),
    "permanent": skipped(PermanentError("load", Code.INTERNAL, "defect"), 4),
    "until": until, "shared": shared_looks(), "sweeps": sweeps(),
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
    assert scenes["quiet"] == {"events": [{"waiting": 1}], "looks": 51, "logged": []}


def test_trigger_waits_through_25_failed_looks_and_finds_the_file(scenes: dict) -> None:
    found = scenes["25 failed looks"]
    assert (found["events"], found["looks"]) == ([{"waiting": 1}], 26)
    assert len(found["logged"]) == 1, "an outage is logged once a minute, not with every look"


def test_trigger_reports_a_long_outage(scenes: dict) -> None:
    (event,) = scenes["long outage"]["events"]
    assert event["code"] == "bucket-unavailable"
    assert "away" in event["trouble"]
    assert event["since"]


@pytest.mark.parametrize("scene", ["reported before", "came back between"])
def test_trigger_reports_no_outage_twice_and_no_short_one(scenes: dict, scene: str) -> None:
    assert scenes[scene]["events"] == [{"waiting": 1}]


def test_sensor_notifies_of_an_outage_and_waits_on_until_the_same_moment(scenes: dict) -> None:
    reported = scenes["reports"]
    assert reported["notified"] == [["files of sales", "bucket-unavailable", "2026-11-28 10:00:00+00:00"]]
    assert reported["kwargs"] == {"until": scenes["until"]}
    assert reported["facts"]["began"] == "2026-11-28 10:00:00+00:00"
    assert reported["same"]


def test_sensor_defers_with_the_settings_of_alerts(scenes: dict) -> None:
    for scene in ("sensor", "sensor, store away"):
        facts = scenes[scene]["facts"]
        assert (facts["dataset"], facts["poke_seconds"]) == ("sales", 2)
        assert (facts["alert_seconds"], facts["again_seconds"], facts["began"]) == (300.0, 3600.0, "None")
    assert scenes["sensor finds"] == {"returns": 1}


def test_task_is_skipped_for_outside_trouble_once_its_tries_are_used_up(scenes: dict) -> None:
    assert "bucket-unavailable" in scenes["a try is left"]["RetryableError"]
    for scene in ("last try", "no retries"):
        assert "bucket-unavailable: away" in scenes[scene]["AirflowSkipException"]
    assert list(scenes["permanent"]) == ["PermanentError"]


def test_triggers_of_a_process_share_a_listing_and_its_failure(scenes: dict) -> None:
    shared = scenes["shared"]
    assert shared["first"] == [True] * 20
    assert (shared["others"], shared["later"]) == (False, False)
    assert shared["many"] is True, "there are more than one call lists: each looks for itself"
    assert shared["failures"] == ["away"] * 3
    assert shared["calls"] == ["incoming/"] * 4


def test_sweep_waits_first_then_looks_and_is_never_skipped(scenes: dict) -> None:
    sweeps = scenes["sweeps"]
    assert sweeps["events"] == [{"waiting": 1}]
    assert (sweeps["pauses"], sweeps["looked after"]) == ([7.0], [1])
    assert sweeps["sensor"]["facts"]["poke_seconds"] == 7
    assert sweeps["sensor"]["same"]
    assert sweeps["nothing came"] == {"returns": 0}
    assert sweeps["refused"] == {"AirflowFailException": "no"}


def test_stand_in_of_a_console_for_incoming_is_no_file(scenes: dict) -> None:
    assert scenes["sweeps"]["folder"] is False
