"""The sensor and the trigger that wait for messages, without an Airflow server; polls of the broker are stubs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.dags

ROOT = Path(__file__).parents[2]
SECRET = "never-in-a-message"

# Runs in a separate process, since Airflow reads its configuration at import. Prints the result of each scene.
SCENES = f"""
import asyncio, json, logging, os, threading, time
from datetime import UTC, datetime, timedelta
from airflow._shared.module_loading import import_string
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred
from include.errors import Code, PermanentError, RetryableError
from include.orchestration.message_sensor import MessagesWaitingTrigger, WaitForMessages
from include.orchestration.stores import kafka_config

AWAY = RetryableError(Code.BROKER_UNAVAILABLE, "away")
REFUSED = PermanentError(Code.BROKER_REFUSED, "wrong password")
logged, polls = [], []
class Logged(logging.Handler):
    def emit(self, record):
        logged.append(record.getMessage())

def trigger(answers, seconds=60, blocks=0):
    remaining = list(answers)
    def poll(self):
        polls.append(threading.current_thread() is threading.main_thread())
        time.sleep(blocks)
        answer = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        if isinstance(answer, Exception):
            raise answer
        return answer
    kind = type("StubTrigger", (MessagesWaitingTrigger,), {{"poll": poll}})
    one = kind("events_kafka", "orders", "shop", 0.01, datetime.now(UTC) + timedelta(seconds=seconds))
    one._log = logging.Logger("logged")
    one._log.addHandler(Logged())
    return one

def events(one):
    async def run():
        ticks = 0
        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1
        ticking = asyncio.create_task(tick())
        found = [event.payload async for event in one.run()]
        ticking.cancel()
        return found, ticks
    logged.clear(), polls.clear()
    found, ticks = asyncio.run(run())
    return {{"events": found, "ticks": ticks, "logged": list(logged), "polls": len(polls), "in_loop": any(polls)}}

def outcome(act):
    try:
        return act()
    except TaskDeferred as deferred:
        path, arguments = deferred.trigger.serialize()
        arguments["until"] = (arguments["until"] - datetime.now(UTC)).total_seconds()
        return {{"deferred": path, "arguments": arguments, "method": deferred.method_name,
                "same": import_string(path) is MessagesWaitingTrigger}}
    except (AirflowFailException, AirflowSkipException, PermanentError, RetryableError) as error:
        return {{type(error).__name__: str(error)}}

def sensed(answer):
    one = WaitForMessages(task_id="wait", connection_id="events_kafka", topic="orders", group="shop",
                          poke_interval=2, timeout=3600)
    real = MessagesWaitingTrigger.poll
    def poll(self):
        if isinstance(answer, Exception):
            raise answer
        return answer
    MessagesWaitingTrigger.poll = poll
    try:
        return outcome(lambda: one.execute({{}}))
    finally:
        MessagesWaitingTrigger.poll = real

def ended(event):
    one = WaitForMessages(task_id="wait", connection_id="events_kafka", topic="orders", group="shop")
    return outcome(lambda: one.end_of_waiting({{}}, event))

def configured(extra):
    os.environ["AIRFLOW_CONN_EVENTS_KAFKA"] = json.dumps({{"conn_type": "kafka", "extra": extra}})
    return outcome(lambda: kafka_config().model_dump())

away = {{"bootstrap.servers": "127.0.0.1:1", "sasl.password": "{SECRET}"}}
print("SCENES" + json.dumps({{
    "found later": events(trigger([0, 0, 5])),
    "away, then found": events(trigger([AWAY, AWAY, AWAY, 7])),
    "time is up": events(trigger([0], seconds=0.1)),
    "away until time is up": events(trigger([AWAY], seconds=0.1)),
    "refused": events(trigger([REFUSED])),
    "blocked poll": events(trigger([3], blocks=0.5)),
    "sensor finds": sensed(4), "sensor waits": sensed(0), "sensor, broker away": sensed(AWAY),
    "sensor is refused": sensed(REFUSED),
    "end found": ended({{"waiting": 9}}), "end timed out": ended({{"waiting": 0}}),
    "end refused": ended({{"refusal": "no"}}),
    "options": configured({{"bootstrap.servers": "a:1,b:2", "sasl.username": "me", "socket.timeout.ms": 7}}),
    "no broker": configured({{"sasl.password": "{SECRET}"}}),
    "no option": configured({{"bootstrap.servers": "a:1", "sasl.password": ["{SECRET}"]}}),
    "real poll": configured(away) and outcome(
        lambda: MessagesWaitingTrigger("events_kafka", "orders", "shop", 1.0, datetime.now(UTC)).poll()),
}}))
"""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> dict:
    home = tmp_path_factory.mktemp("airflow")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment = kept | {"AIRFLOW_HOME": str(home), "PYTHONPATH": str(ROOT), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    answer = subprocess.run(
        [sys.executable, "-c", SCENES],
        capture_output=True, text=True, env=environment, cwd=home, timeout=120, check=False,
    )  # fmt: skip
    line = next((line for line in answer.stdout.splitlines() if line.startswith("SCENES")), None)
    assert line is not None, answer.stderr[-3000:]
    assert SECRET not in answer.stdout + answer.stderr
    return json.loads(line.removeprefix("SCENES"))


@pytest.mark.parametrize(
    ("scene", "events", "polls"),
    [
        ("found later", [{"waiting": 5}], 3),
        ("away, then found", [{"waiting": 7}], 4),
        ("blocked poll", [{"waiting": 3}], 1),
    ],
)
def test_trigger_polls_until_there_are_messages(scenes: dict, scene: str, events: list, polls: int) -> None:
    assert (scenes[scene]["events"], scenes[scene]["polls"]) == (events, polls)


@pytest.mark.parametrize("scene", ["time is up", "away until time is up"])
def test_trigger_ends_when_its_time_is_up(scenes: dict, scene: str) -> None:
    assert scenes[scene]["events"] == [{"waiting": 0}]
    assert scenes[scene]["polls"] > 1


def test_trigger_logs_an_unavailable_broker_once_and_not_with_every_poll(scenes: dict) -> None:
    [line] = scenes["away, then found"]["logged"]
    assert "broker-unavailable: away" in line


def test_trigger_reports_a_refusal_and_stops(scenes: dict) -> None:
    assert scenes["refused"]["events"] == [{"refusal": "claim: broker-refused: wrong password"}]
    assert scenes["refused"]["polls"] == 1


def test_blocked_poll_does_not_block_the_event_loop(scenes: dict) -> None:
    assert scenes["blocked poll"]["ticks"] > 5
    assert not scenes["blocked poll"]["in_loop"]


def test_sensor_that_finds_messages_succeeds_at_once(scenes: dict) -> None:
    assert (scenes["sensor finds"], scenes["end found"]) == (4, 9)


@pytest.mark.parametrize("scene", ["sensor waits", "sensor, broker away"])
def test_sensor_defers_to_a_trigger_that_another_process_can_make(scenes: dict, scene: str) -> None:
    deferred = scenes[scene]
    assert deferred["same"]
    assert deferred["method"] == "end_of_waiting"
    until = deferred["arguments"].pop("until")
    assert 3500 < until <= 3600
    assert deferred["arguments"] == {
        "connection_id": "events_kafka", "topic": "orders", "group": "shop", "poke_seconds": 2.0,
        "alert_seconds": 600.0, "began": None, "again_seconds": 3600.0,
    }  # fmt: skip


def test_sensor_fails_at_once_if_the_broker_refuses(scenes: dict) -> None:
    assert scenes["sensor is refused"] == {"AirflowFailException": "claim: broker-refused: wrong password"}
    assert scenes["end refused"] == {"AirflowFailException": "no"}


def test_sensor_is_skipped_if_it_times_out(scenes: dict) -> None:
    assert list(scenes["end timed out"]) == ["AirflowSkipException"]


def test_connection_gives_the_broker_and_its_options(scenes: dict) -> None:
    assert scenes["options"] == {
        "bootstrap_servers": "a:1,b:2",
        "options": {"sasl.username": "me", "socket.timeout.ms": 7},
    }


@pytest.mark.parametrize(("scene", "part"), [("no broker", "names no broker"), ("no option", "holds sasl.password")])
def test_unusable_connection_is_a_permanent_error(scenes: dict, scene: str, part: str) -> None:
    assert part in scenes[scene]["PermanentError"]
    assert "events_kafka" in scenes[scene]["PermanentError"]


def test_poll_of_an_unavailable_broker_is_retryable(scenes: dict) -> None:
    assert "broker-unavailable" in scenes["real poll"]["RetryableError"]
