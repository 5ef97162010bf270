"""The schedule of faults: drawn from the seed before the start, so that a run can be repeated.

What belongs here: kinds, order, pauses, draws. What does not: processes, sockets, disks (`faults` and beside it).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Every kind of fault. Lasting ones are ended by the injector."""

    KILL_TASK = "kill-task"
    KILL_ALL_TASKS = "kill-all-tasks"
    KILL_SCHEDULER = "kill-scheduler"
    KILL_TRIGGERER = "kill-triggerer"
    KILL_API_SERVER = "kill-api-server"
    KILL_DAG_PROCESSOR = "kill-dag-processor"
    KILL_POSTGRES = "kill-postgres"
    KILL_BACKEND = "kill-backend"
    STOP_POSTGRES = "stop-postgres-immediately"
    KILL_POSTGRES_AFTER_SWEEP = "kill-postgres-after-sweep"
    KILL_S3 = "kill-s3"
    KILL_S3_IN_PUTS = "kill-s3-during-puts"
    RESET_WAREHOUSE = "reset-warehouse"
    STALL_WAREHOUSE = "stall-warehouse"
    DRIP_WAREHOUSE = "drip-warehouse"
    CUT_WAREHOUSE = "cut-warehouse"
    RESET_BUCKET = "reset-bucket"
    STALL_BUCKET = "stall-bucket"
    DRIP_BUCKET = "drip-bucket"
    CUT_BUCKET = "cut-bucket"
    FILL_DISK = "fill-disk"
    TWO_SCHEDULERS = "two-schedulers"


_SHORTEST_PAUSE, _LONGEST_PAUSE = 1.0, 8.0
_SHORTEST, _LONGEST = 2.0, 8.0


@dataclass(frozen=True)
class ScheduledFault:
    """One fault: `pause` seconds after the end of the one before, for `lasts` seconds if the kind lasts.

    Attributes:
        draw: from 0 to 1; chooses the target among the candidates, and amounts.
        calm: wait until a file was loaded after the fault before, at most a minute; others may hit services that are
            still down.
    """

    number: int
    kind: Kind
    pause: float
    lasts: float
    draw: float
    calm: bool


def schedule(seed: int, faults: int) -> list[ScheduledFault]:
    """Return the faults. Every kind occurs once before any occurs twice; the same seed gives the same schedule."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    kinds: list[Kind] = []
    while len(kinds) < faults:
        round_of_all = list(Kind)
        chance.shuffle(round_of_all)
        kinds += round_of_all
    return [
        ScheduledFault(
            number=number,
            kind=kind,
            pause=round(chance.uniform(_SHORTEST_PAUSE, _LONGEST_PAUSE), 2),
            lasts=round(chance.uniform(_SHORTEST, _LONGEST), 2),
            draw=round(chance.random(), 4),
            calm=chance.random() < 0.5,
        )
        for number, kind in enumerate(kinds[:faults], start=1)
    ]
