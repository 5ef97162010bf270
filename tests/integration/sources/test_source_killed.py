"""A run that kill -9 ends before any of its steps: the next run delivers what is missing, and nothing twice."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from killed_collector import kill_before
from real_broker import Broker, contents

if TYPE_CHECKING:
    from collections.abc import Iterator

    from element_world import ElementWorld, Row

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

FIRST, ALL = list(range(1, 8)), list(range(1, 10))


@pytest.mark.parametrize("is_loaded", [False, True], ids=["file in incoming", "file loaded meanwhile"])
def test_file_of_a_run_killed_at_any_step_has_each_record_once(element_world: ElementWorld, is_loaded: bool) -> None:
    world, elements = element_world, []
    for step, element in killed_runs(world, deliver="file"):
        elements.append(element)
        if is_loaded:
            world.load()
        collect_again(world, step, deliver="file")
        assert world.delivered(element) == ALL, f"step {step}"
        assert_closed(world, element, step)
        assert raw_records(world, step) == set(ALL), f"step {step}"
    assert len(elements) > 20, "there are more steps in a run"

    entries = world.load()
    assert {entry["status"] for entry in entries} == {"archived"}
    rows = world.owner.execute(f'SELECT id FROM raw."{world.name}"'.encode()).fetchall()
    # The last element's run has not been killed.
    wanted = [f"{element}:{n}" for element in elements for n in ALL]
    wanted += [f"{element_of(len(elements) + 1)}:{n}" for n in FIRST]
    assert sorted(row["id"] for row in rows) == sorted(wanted)
    assert sum(entry["rows_inserted"] for entry in entries) == sum(entry["rows_read"] for entry in entries) == len(rows)


def test_messages_of_a_run_killed_at_any_step_have_each_record(element_world: ElementWorld, broker: Broker) -> None:
    world, steps, repeated = element_world, 0, 0
    world.kafka, world.changes = broker.config, {"topic": element_world.name}
    for step, element in killed_runs(world, deliver="topic"):
        collect_again(world, step, deliver="topic")
        own = [
            message
            for message in contents(broker, world.name)
            if (message.key or b"").startswith(f"{element}:".encode())
        ]
        # Messages may be there twice: the key of the contract merges them.
        assert {message.key: message.value for message in own} == {
            f"{element}:{n}".encode(): world.line(element, n) for n in ALL
        }, f"step {step}"
        assert_closed(world, element, step)
        assert world.incoming == []
        steps, repeated = step, repeated + (len(own) > len(ALL))
    assert steps > 20, "there are more steps in a run"
    assert repeated, "a run that dies between its messages and its commit sends them again"


def element_of(step: int) -> str:
    return f"/shops/{step}/orders"


def run_of(world: ElementWorld, step: int) -> dict[str, Any]:
    """Arguments of a run that keeps its answers under its name."""
    return {"run_id": f"step_{step}", "keepRaw": {"bucket": world.raw_bucket, "key": "{run}/{page}.json"}}


def killed_runs(world: ElementWorld, **options: Any) -> Iterator[tuple[int, str]]:
    """Kill a run of an element of its own before each step, until a run has no more of them.

    Yields:
        The step, and the element.
    """
    for step in count(1):
        world.records = FIRST
        if not kill_before(step, world, element_of(step), **run_of(world, step), **options):
            return
        yield step, element_of(step)


def collect_again(world: ElementWorld, step: int, **options: Any) -> None:
    """Run once more, as the schedule does, when the API has two more records."""
    world.records = ALL
    world.collect(element_of(step), **run_of(world, step), **options)


def assert_closed(world: ElementWorld, element: str, step: int) -> None:
    """Check the position, and that the killed run counts as failed unless its file has arrived."""
    row = world.row(element)
    assert (row["watermark"], row["pending_key"], row["pending_results"]) == ("9", None, []), f"step {step}"
    *killed, last = world.runs(element)
    assert last["status"] == "success", f"step {step}"
    if not killed:
        assert last["records_written"] == 9, f"step {step}"
        return
    [dead] = killed
    assert summary(dead, last) in {("failed", "worker-died", 0, 9), ("success", None, 7, 2)}, f"step {step}"
    assert dead["ended_at"] is not None


def summary(dead: Row, last: Row) -> tuple[str, str | None, int, int]:
    return dead["status"], dead["error_code"], dead["records_written"], last["records_written"]


def raw_records(world: ElementWorld, step: int) -> set[int]:
    """The numbers of the records in the raw copies."""
    keys = [item.key for item in world.objects.list(world.raw_bucket, f"step_{step}/")]
    return {record["n"] for key in keys for record in json.loads(world.body(world.raw_bucket, key))}
