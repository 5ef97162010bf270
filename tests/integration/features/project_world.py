"""A random world of users, tasks, projects, teams and activity, with times at the boundaries of every window."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

Rows = dict[str, list[dict[str, Any]]]

T0 = datetime(2026, 3, 1, tzinfo=UTC)
AREAS = ("backend", "frontend", "database", "devops")
USERS = [f"user-{number}" for number in range(12)]
TEAMS = [f"team-{number}" for number in range(4)]
PROJECTS = [f"project-{number}" for number in range(6)]
TASKS = [f"task-{number:02}" for number in range(60)]
_EDGES = [timedelta(days=days) for days in (0, 1, 7, 28, 30, 90, 180)]
_STATES = ("todo", "in_progress", "blocked", "done", "done", "done", "cancelled")


class World:
    """Made-up rows; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.rows: Rows = {
            "users": [row for user in USERS for row in self._users(user)],
            "teams": [row for team in TEAMS for row in self._teams(team)],
            "projects": [row for project in PROJECTS for row in self._projects(project)],
            "tasks": [row for task in TASKS for row in self._tasks(task)],
            "activity": [self._event(number) for number in range(600)],
        }

    def moment(self, days: int = 200) -> datetime:
        """A time: at a boundary, a microsecond beside one, or any."""
        draw = self.random
        if draw.random() < 0.4:
            edge = T0 - draw.choice(_EDGES) - draw.choice([timedelta(0), timedelta(days=1), timedelta(hours=-5)])
            return edge + timedelta(microseconds=draw.choice([-1, 0, 0, 1]))
        return T0 - timedelta(seconds=draw.randint(-3 * 86400, days * 86400))

    def maybe(self, value: Any, share: float = 0.15) -> Any:
        """The value, or sometimes nothing."""
        return None if self.random.random() < share else value

    def _times(self, most: int) -> list[datetime]:
        return sorted({self.moment() for _ in range(self.random.randint(1, most))})

    def _users(self, user: str) -> list[dict[str, Any]]:
        draw = self.random
        hired = (T0 - timedelta(days=draw.choice([-20, 0, 100, 729, 731, 1000, 1826, 1827, 4000]))).date()
        return [
            {
                "user_id": user, "updated_at": at, "team_id": self.maybe(draw.choice([*TEAMS[:2], "team-x"])),
                "hired_at": self.maybe(hired), "is_active": draw.random() < 0.85,
                "weekly_capacity_hours": self.maybe(draw.choice([Decimal(0), Decimal("32.50"), Decimal(40)])),
            }
            for at in [T0 - timedelta(days=210), *self._times(3)]
        ]  # fmt: skip

    def _teams(self, team: str) -> list[dict[str, Any]]:
        return [{"team_id": team, "updated_at": at, "name": self.maybe("A team")} for at in self._times(2)]

    def _projects(self, project: str) -> list[dict[str, Any]]:
        draw = self.random
        return [
            {
                "project_id": project, "updated_at": at, "team_id": self.maybe(draw.choice(TEAMS)),
                "status": draw.choice(["active", "active", "closed"]),
                "budget": self.maybe(Decimal(draw.choice([0, 100, 5000]))),
                "spent": self.maybe(Decimal(draw.randint(0, 600_000)) / 100),
            }
            for at in self._times(4)
        ]  # fmt: skip

    def _tasks(self, task: str) -> list[dict[str, Any]]:
        draw = self.random
        return [
            {
                "task_id": task, "updated_at": at, "project_id": self.maybe(draw.choice(PROJECTS[:5])),
                "assignee_id": self.maybe(draw.choice(USERS)), "status": draw.choice(_STATES),
                "priority": self.maybe(draw.choice(["low", "medium", "high", "critical"])),
                "estimate_hours": self.maybe(Decimal(draw.choice([0, 150, 800, 2050, 900_000])) / 100),
                "skills": self.maybe(draw.choices([*AREAS, "design"], k=draw.randint(0, 4))),
                "depends_on": self.maybe(draw.choices([*TASKS[:20], task, "unknown"], k=draw.randint(0, 5))),
                "due_at": self.maybe(self.moment(20)),
            }
            for at in self._times(7)
        ]  # fmt: skip

    def _event(self, number: int) -> dict[str, Any]:
        draw = self.random
        return {
            "activity_id": f"activity-{number:04}", "occurred_at": self.moment(120),
            "type": draw.choice(["work_logged", "comment", "review", "mention", "pair", "bug_reported"]),
            "user_id": draw.choice(USERS), "target_user_id": self.maybe(draw.choice(USERS), 0.3),
            "task_id": self.maybe(draw.choice(TASKS)), "hours": self.maybe(Decimal(draw.randint(0, 900)) / 100),
        }  # fmt: skip


def stored(value: Any) -> Any:
    """A value as a parameter of INSERT."""
    return json.dumps(value) if isinstance(value, list) else value
