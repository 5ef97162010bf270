"""Dashboards: one YAML file each, which arranges questions on Metabase's grid.

What belongs here: reading and checking the files. The server accepts overlapping cards silently, so they are checked
here. What does not: requests to Metabase.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from metabase.questions import FilterType, problem_of, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from metabase.questions import Question

DASHBOARDS_DIR = Path(__file__).parent / "dashboards"
GRID_COLUMNS = 24


class Filter(BaseModel):
    """A filter of a dashboard. It applies to every question that has a filter of its name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    label: str = Field(min_length=1)
    type: FilterType


class Card(BaseModel):
    """A question with its rectangle on the grid."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str
    row: int = Field(ge=0)
    col: int = Field(ge=0, lt=GRID_COLUMNS)
    width: int = Field(ge=1, le=GRID_COLUMNS)
    height: int = Field(ge=1)

    @model_validator(mode="after")
    def _is_on_the_grid(self) -> Self:
        if self.col + self.width > GRID_COLUMNS:
            raise ValueError(f"{self.question} ends at column {self.col + self.width}; the grid has {GRID_COLUMNS}")
        return self

    def overlaps(self, other: Card) -> bool:
        """Whether the two rectangles share a cell."""
        return (
            self.col < other.col + other.width
            and other.col < self.col + self.width
            and self.row < other.row + other.height
            and other.row < self.row + self.height
        )


class Dashboard(BaseModel):
    """A dashboard. `position` orders the dashboards."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str = Field(min_length=1)
    description: str = Field(min_length=1)
    position: int
    filters: tuple[Filter, ...] = ()
    cards: tuple[Card, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _cards_have_room(self) -> Self:
        for one, other in combinations(self.cards, 2):
            if one.overlaps(other):
                raise ValueError(f"{one.question} and {other.question} overlap on the grid")
            if one.question == other.question:
                raise ValueError(f"question {one.question} occurs twice")
        if len({each.name for each in self.filters}) < len(self.filters):
            raise ValueError("a filter occurs twice")
        return self


def read_dashboards(questions: Mapping[str, Question], folder: Path = DASHBOARDS_DIR) -> list[Dashboard]:
    """Return the dashboards of a folder, in their order.

    Args:
        questions: all questions, by name.
        folder: of the YAML files.

    Raises:
        PermanentError: a file is no valid dashboard, or does not fit the questions; the message has file and problem.
    """
    found = [_read(path, questions) for path in sorted(folder.glob("*.yaml"))]
    return sorted(found, key=lambda dashboard: (dashboard.position, dashboard.name))


def _read(path: Path, questions: Mapping[str, Question]) -> Dashboard:
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(settings, dict):
            raise refusal(path, "not a list of names and values")
        dashboard = Dashboard.model_validate(settings | {"name": path.stem})
    except (yaml.YAMLError, ValidationError) as error:
        raise refusal(path, problem_of(error)) from error
    asked = [card.question for card in dashboard.cards]
    if unknown := [name for name in asked if name not in questions]:
        raise refusal(path, f"no such question: {', '.join(unknown)}")
    for each in dashboard.filters:
        types = {questions[name].filters[each.name] for name in asked if each.name in questions[name].filters}
        if types != {each.type}:
            raise refusal(path, f"the filter {each.name} applies to no question, or to one with another type")
    return dashboard
