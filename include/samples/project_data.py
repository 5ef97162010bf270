"""Project data as DuckDB expressions: users, tasks, projects, teams and activity that refer to each other.

What belongs here: the values of these five datasets, where `values` would draw each column alone. What does not:
other datasets.

Rows are numbered by `o`. A history has several rows of one entity: row `o` is state `o % n` of entity `o // n`. Tasks
are reopened, cancelled and blocked, wait for unknown tasks, and have nulls. Times end at the last midnight (UTC), for
features look back from today: the same seed gives the same bytes on the same day.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from include.samples.keys import bigint, sql_list

if TYPE_CHECKING:
    from include.contracts.model import Contract

# Entities that other rows refer to. With the default number of rows all of them exist.
USERS, TEAMS, PROJECTS, TASKS = 200, 20, 40, 2_000
# Rows of one entity.
STATES = {"users": 3, "tasks": 5, "projects": 4, "teams": 2, "activity": 1}
_REVISIONS = 16
_PATTERNS = (
    ("todo", "in_progress", "done", "done", "done"),
    ("todo", "in_progress", "done", "in_progress", "done"),
    ("todo", "in_progress", "done", "todo", "todo"),
    ("todo", "todo", "in_progress", "in_progress", "in_progress"),
    ("todo", "in_progress", "blocked", "blocked", "blocked"),
    ("todo", "todo", "todo", "todo", "cancelled"),
    ("todo", "in_progress", "blocked", "in_progress", "done"),
    ("todo", "todo", "todo", "todo", "todo"),
)
_PRIORITIES = ("low", "medium", "high", "critical")
_AREAS = ("backend", "frontend", "database", "devops")
_TYPES = ("work_logged", "work_logged", "comment", "review", "mention", "pair", "bug_reported")
_NAMES = ("Payments", "Search", "Billing", "Accounts", "Reports")


def project_values(contract: Contract, seed: int, version: int) -> dict[str, str]:
    """The expression of each column of a project dataset; empty for any other contract.

    Args:
        contract: the dataset's contract; columns that it does not have are not used.
        seed: other seeds give other values.
        version: rows of a later version have later times.
    """
    states = STATES.get(contract.dataset)
    if states is None or contract.newest_by not in {"updated_at", "occurred_at"}:
        return {}
    rows = _Rows(states, seed, version)
    made = {
        "users": rows.users, "tasks": rows.tasks, "projects": rows.projects, "teams": rows.teams,
        "activity": rows.activity,
    }  # fmt: skip
    return made[contract.dataset]()


class _Rows:
    """The expressions over `o` and `r`.

    Args:
        states: rows of one entity.
        seed: of the draws.
        version: of the rows.
    """

    def __init__(self, states: int, seed: int, version: int) -> None:
        self._entity, self._state = f"(o // {states})", f"(o % {states})"
        self._seed = seed
        self._minutes = f"({_REVISIONS * version} + r)"
        self._end = int(datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp())

    def users(self) -> dict[str, str]:
        """Three states of each user, 150 days apart."""
        return {
            "user_id": _name("user", self._entity, 4),
            "updated_at": self._history(days=430, step_hours=130 * 24),
            "team_id": self._maybe(_name("team", self._draw(TEAMS, "team", each_state=True), 2), 15),
            "hired_at": self._maybe(
                f"to_timestamp({self._end})::DATE - {self._draw(3000, 'hired')}::INTEGER - 440", 20
            ),
            "weekly_capacity_hours": self._maybe(self._one_of(("20", "32.5", "40", "40"), "capacity"), 25),
            "is_active": f"{self._draw(25, 'active', each_state=True)} > 0",
        }

    def teams(self) -> dict[str, str]:
        """Two states of each team."""
        name = f"{self._one_of(_NAMES, 'name')} || ' ' || ({self._entity} + 1)::VARCHAR"
        return {
            "team_id": _name("team", self._entity, 2),
            "updated_at": self._history(days=430, step_hours=100 * 24),
            "name": self._maybe(name, 30),
        }

    def projects(self) -> dict[str, str]:
        """Four states of each project, in which spending grows; one in eight ends closed."""
        budget = f"(1 + {self._draw(50, 'budget')}) * 10000"
        return {
            "project_id": _name("project", self._entity, 3),
            "updated_at": self._history(days=240, step_hours=50 * 24),
            "team_id": self._maybe(_name("team", self._draw(TEAMS, "team"), 2), 20),
            "status": f"CASE WHEN {self._state} = 3 AND {self._draw(8, 'closed')} = 0 THEN 'closed' ELSE 'active' END",
            "budget": self._maybe(budget, 20),
            "spent": self._maybe(f"({self._state} + 1) * (100 + {self._draw(240, 'spent')}) * {budget} / 1000", 20),
        }

    def tasks(self) -> dict[str, str]:
        """Five states of each task within ten days, in one of eight orders."""
        pattern = f"[{', '.join(sql_list(one) for one in _PATTERNS)}][1 + {self._draw(len(_PATTERNS), 'pattern')}]"
        other = [_name("task", self._draw(TASKS, f"other {number}"), 6) for number in range(2)]
        needed = f"[{other[0]}, {other[1]}, {_name('task', self._entity, 6)}, 'task-unknown']"
        skills = f"list_slice({sql_list((*_AREAS, *_AREAS))}, 1 + {{0}}, {{0}} + {self._draw(3, 'skills')})"
        due = f"make_timestamp(({self._created()} + {self._draw(40, 'due')} * 86400 + 3600) * 1000000)"
        return {
            "task_id": _name("task", self._entity, 6),
            "updated_at": self._history(days=200, step_hours=0),
            "project_id": self._maybe(_name("project", self._draw(PROJECTS, "project"), 3), 30),
            "assignee_id": self._maybe(_name("user", self._draw(USERS, "assignee"), 4), 12),
            "status": f"{pattern}[1 + {self._state}]",
            "priority": self._maybe(self._one_of(_PRIORITIES, "priority"), 15),
            "estimate_hours": self._maybe(f"(1 + {self._draw(160, 'estimate')}) / 4.0", 10),
            "skills": self._maybe(f"to_json({skills.format(self._draw(4, 'area'))})", 15),
            "depends_on": self._maybe(f"to_json(list_slice({needed}, 1, {self._draw(5, 'depends')}))", 15),
            "due_at": self._maybe(due, 6),
        }

    def activity(self) -> dict[str, str]:
        """Events of the last 180 days. Work is logged on tasks, in quarters of an hour."""
        at = f"{self._end} - {self._draw(180 * 86400, 'at')} - 86400 + {self._minutes} * 60"
        kind = self._one_of(_TYPES, "type")
        other = _name("user", self._draw(USERS, "other"), 4)
        hours = f"CASE WHEN {kind} = 'work_logged' THEN (1 + {self._draw(32, 'hours')}) / 4.0 END"
        return {
            "activity_id": _name("activity", self._entity, 7),
            "occurred_at": f"make_timestamp(({at}) * 1000000)",
            "type": kind,
            "user_id": _name("user", self._draw(USERS, "user"), 4),
            "target_user_id": f"CASE WHEN {kind} <> 'work_logged' THEN {other} END",
            "task_id": self._maybe(_name("task", self._draw(TASKS, "task"), 6), 8),
            "hours": hours,
        }

    def _draw(self, choices: int, salt: str, *, each_state: bool = False) -> str:
        """A number below `choices`: the same for all states of an entity, or one for each."""
        of = "o" if each_state else self._entity
        return bigint(f"hash({of}, {self._seed}, '{salt}') % {choices}")

    def _one_of(self, values: tuple[str, ...], salt: str) -> str:
        return f"{sql_list(values)}[1 + {self._draw(len(values), salt)}]"

    def _maybe(self, value: str, one_in: int) -> str:
        """The value, or null in one entity of so many."""
        return f"CASE WHEN {bigint(f'hash({self._entity}, {self._seed}, {one_in}, 7) % {one_in}')} > 0 THEN {value} END"

    def _created(self) -> str:
        """When a task was created, seconds since 1970: 10 to 200 days before the end."""
        return f"({self._end} - 10 * 86400 - {self._draw(190 * 86400, 'created')})"

    def _history(self, days: int, step_hours: int) -> str:
        """The time of a state; later revisions and versions are later. With 0 hours, those of a task."""
        start, step = f"({self._end} - {days} * 86400 + {self._draw(20 * 86400, 'start')})", str(step_hours * 3600)
        if not step_hours:
            start, step = self._created(), f"(3600 + {self._draw(44 * 3600, 'step')})"
        return f"make_timestamp(({start} + {self._state} * {step} + {self._minutes} * 60) * 1000000)"


def _name(kind: str, number: str, digits: int) -> str:
    """An id such as user-0001; larger numbers have more digits."""
    text = f"({number} + 1)::VARCHAR"
    return f"'{kind}-' || lpad({text}, greatest({digits}, length({text}))::INTEGER, '0')"
