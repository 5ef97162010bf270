"""Every feature by its formula, in plain Python over lists of rows: the independent computation."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from datetime import UTC, datetime, time, timedelta
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from project_world import Rows

Row = dict[str, Any]
AREAS = ("backend", "frontend", "database", "devops")
OPEN = {"todo", "in_progress", "blocked"}
DAY = timedelta(days=1)


def ratio(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else float(part) / float(whole)


def number(value: Any) -> float | None:
    return None if value is None else float(value)


class Expected:
    """The features of a world at T.

    Args:
        rows: all rows, later ones too.
        at: T.
    """

    def __init__(self, rows: Rows, at: datetime) -> None:
        self.at = at
        self.history = {
            name: self._by_entity(rows[name], f"{name[:-1]}_id") for name in ("users", "tasks", "projects", "teams")
        }
        self.state = {
            name: {key: states[-1] for key, states in histories.items()} for name, histories in self.history.items()
        }
        self.events = [event for event in rows["activity"] if event["occurred_at"] < at]
        self.done = [self._done(task) for task, state in self.state["tasks"].items() if state["status"] == "done"]
        self.open = [state for state in self.state["tasks"].values() if state["status"] in OPEN]
        self.members: dict[str, list[str]] = defaultdict(list)
        for user, state in self.state["users"].items():
            if state["is_active"] and state["team_id"] is not None:
                self.members[state["team_id"]].append(user)
        self.pairs = {
            frozenset((event["user_id"], event["target_user_id"]))
            for event in self._since(30)
            if event["type"] in {"comment", "review", "mention", "pair"}
            and event["target_user_id"] not in {None, event["user_id"]}
        }

    def view(self, name: str) -> dict[str, Row]:
        made: dict[str, Callable[[], dict[str, Row]]] = {
            "users": self._users, "tasks": self._tasks, "projects": self._projects, "teams": self._teams
        }  # fmt: skip
        return made[name]()

    def _by_entity(self, rows: Iterable[Row], key: str) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = defaultdict(list)
        for row in sorted(rows, key=lambda one: one["updated_at"]):
            if row["updated_at"] < self.at:
                found[row[key]].append(row)
        return found

    def _since(self, days: int) -> list[Row]:
        return [event for event in self.events if event["occurred_at"] >= self.at - days * DAY]

    def _done(self, task: str) -> Row:
        states = self.history["tasks"][task]
        first = len(states) - 1
        while first > 0 and states[first - 1]["status"] == "done":
            first -= 1
        completed = states[first]
        started = [one["updated_at"] for one in states[: first + 1] if one["status"] == "in_progress"]
        return {
            "task": states[-1], "completer": completed["assignee_id"], "completed_at": completed["updated_at"],
            "hours": (completed["updated_at"] - (started or [states[0]["updated_at"]])[0]) / timedelta(hours=1),
        }  # fmt: skip

    def _remaining(self, task: Row) -> float | None:
        if task["estimate_hours"] is None:
            return None
        logged = sum(
            event["hours"] or 0
            for event in self.events
            if event["type"] == "work_logged" and event["task_id"] == task["task_id"]
        )
        return float(max(0, task["estimate_hours"] - logged))

    def _workload(self, user: str) -> float:
        return sum((self._remaining(task) or 0.0 for task in self.open if task["assignee_id"] == user), 0.0)

    def _points(self, user: str, area: str) -> float | None:
        ages = [(self.at - done["completed_at"]) / DAY for done in self._completed(user, 180, area)]
        return sum(0.5 ** (age / 90) for age in ages) if ages else None

    def _completed(self, user: str, days: int, area: str | None = None) -> list[Row]:
        return [
            done
            for done in self.done
            if done["completer"] == user
            and done["completed_at"] >= self.at - days * DAY
            and (area is None or area in (done["task"]["skills"] or []))
        ]

    def _years(self, user: str) -> float | None:
        hired = self.state["users"][user]["hired_at"]
        if hired is None:
            return None
        years = (self.at - datetime.combine(hired, time(), UTC)) / (365.25 * DAY)
        return years if years >= 0 else None

    def _users(self) -> dict[str, Row]:
        return {user: self._user(user, state) for user, state in self.state["users"].items() if state["is_active"]}

    def _user(self, user: str, state: Row) -> Row:
        row: Row = {}
        for area in AREAS:
            points = self._points(user, area)
            row[f"skill_score_{area}"] = None if points is None else 100 * points / (points + 5)
        workload, capacity = self._workload(user), number(state["weekly_capacity_hours"])
        bugs = [e for e in self._since(90) if e["type"] == "bug_reported" and e["target_user_id"] == user]
        hours = [done["hours"] for done in self._completed(user, 90)]
        years = self._years(user)
        return row | {
            "current_workload_hours": workload,
            "workload_capacity_pct": ratio(100 * workload, capacity),
            "tasks_completed_7d": len(self._completed(user, 7)),
            "velocity_tasks_per_week": len(self._completed(user, 28)) / 4,
            "avg_completion_hours": statistics.fmean(hours) if hours else None,
            "collaborators_30d": sum(user in pair for pair in self.pairs),
            "bug_rate_90d": ratio(len(bugs), len(self._completed(user, 90))),
            "experience_years": years,
            "experience_level": None if years is None else "junior" if years < 2 else "mid" if years < 5 else "senior",
        }

    def _tasks(self) -> dict[str, Row]:
        return {task["task_id"]: self._task(task) for task in self.open}

    def _task(self, task: Row) -> Row:
        skills, needed = set(task["skills"] or []), set(task["depends_on"] or []) - {task["task_id"]}
        estimate = number(task["estimate_hours"])
        states = self.state["tasks"]
        unfinished = [one for one in needed if one not in states or states[one]["status"] in OPEN]
        hours = None if task["due_at"] is None else (task["due_at"] - self.at) / timedelta(hours=1)
        history = [one["status"] for one in self.history["tasks"][task["task_id"]]]
        complexity = None if estimate is None else 1 + math.log(1 + estimate) + (len(skills) + len(needed)) / 2
        return {
            "complexity_score": None if complexity is None else min(10.0, complexity),
            "priority_level": {None: None, "low": 1, "medium": 2, "high": 3, "critical": 4}[task["priority"]],
            "estimated_hours": estimate,
            "remaining_hours": self._remaining(task),
            "required_skills": len(skills),
            **{f"needs_{area}": int(area in skills) for area in AREAS},
            "dependencies": len(needed),
            "open_dependencies": len(unfinished),
            "hours_to_deadline": hours,
            "deadline_urgency": 0.0 if hours is None else 1.0 if hours <= 0 else 1 / (1 + hours / 168),
            "reopen_count": sum(a == "done" != b for a, b in pairwise(history)),
        }

    def _projects(self) -> dict[str, Row]:
        states = self.state["projects"]
        return {name: self._project(name, state) for name, state in states.items() if state["status"] == "active"}

    def _project(self, name: str, state: Row) -> Row:
        tasks = [
            one for one in self.state["tasks"].values() if one["project_id"] == name and one["status"] != "cancelled"
        ]
        open_ = [one for one in tasks if one["status"] in OPEN]
        completed = len(tasks) - len(open_)
        blocked = sum(one["status"] == "blocked" for one in tasks)
        overdue = sum(one["due_at"] is not None and one["due_at"] < self.at for one in open_)
        used = ratio(state["spent"], state["budget"])
        ahead = 0.0 if used is None else min(1.0, max(0.0, used - (ratio(completed, len(tasks)) or 0)))
        recent = [
            done
            for done in self.done
            if done["task"]["project_id"] == name and done["completed_at"] >= self.at - 28 * DAY
        ]
        parts = (0.4 * (ratio(overdue, len(open_)) or 0), 0.3 * (ratio(blocked, len(open_)) or 0), 0.3 * ahead)
        return {
            "tasks_total": len(tasks),
            "tasks_completed": completed,
            "tasks_blocked": blocked,
            "progress_pct": ratio(100 * completed, len(tasks)),
            "velocity_tasks_per_week": len(recent) / 4,
            "risk_score": 100 * sum(parts),
            "team_size": len(self.members.get(state["team_id"], [])),
            "budget_used_pct": None if used is None else 100 * used,
        }

    def _teams(self) -> dict[str, Row]:
        return {name: self._team(self.members.get(name, [])) for name in self.state["teams"]}

    def _team(self, members: list[str]) -> Row:
        by_area = {area: sum(self._points(user, area) or 0.0 for user in members) for area in AREAS}
        total = sum(by_area.values())
        shares = [points / total for points in by_area.values() if points] if total else []
        years = [found for user in members if (found := self._years(user)) is not None]
        work = [self._workload(user) for user in members]
        size = len(members)
        mean = sum(work) / size if size else None
        linked = sum(frozenset(pair) in self.pairs for pair in combinations(members, 2))
        gini = sum(abs(a - b) for a in work for b in work) / (2 * size**2 * mean) if mean else 0.0
        return {
            "team_size": size,
            "skill_diversity": -sum(share * math.log(share) for share in shares) if shares else None,
            "experience_mean_years": statistics.fmean(years) if years else None,
            "experience_spread_years": statistics.pstdev(years) if years else None,
            "workload_balance": None if mean is None else 1 - gini,
            "collaboration_score": ratio(linked, size * (size - 1) / 2),
        }
