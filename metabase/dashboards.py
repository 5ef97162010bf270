"""Dashboards: one YAML file each, that places questions on Metabase's grid.

What belongs here: reading and checking the files. The server takes overlapping cards without a word, so the check is
here. What does not: how Metabase is told.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from metabase.questions import FilterType, in_words, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from metabase.questions import Question

DASHBOARDS_DIR = Path(__file__).parent / "dashboards"
GRID_COLUMNS = 24


class Filter(BaseModel):
    """A field at the head of a dashboard. It acts on every question that has a filter of its name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    label: str = Field(min_length=1)
    type: FilterType


class Card(BaseModel):
    """A question, and its rectangle on the grid."""

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
    """A dashboard. `position` is its place among the others."""

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
                raise ValueError(f"{one.question} is there twice")
        if len({each.name for each in self.filters}) < len(self.filters):
            raise ValueError("a filter is there twice")
        return self


def read_dashboards(questions: Mapping[str, Question], folder: Path = DASHBOARDS_DIR) -> list[Dashboard]:
    """Every dashboard of the folder, in their order.

    Args:
        questions: that there are, by name.
        folder: of the YAML files.

    Raises:
        PermanentError: a file is none, or does not fit the questions; the message names it and what is wrong.
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
        raise refusal(path, in_words(error)) from error
    asked = [card.question for card in dashboard.cards]
    if unknown := [name for name in asked if name not in questions]:
        raise refusal(path, f"no such question: {', '.join(unknown)}")
    for each in dashboard.filters:
        types = {questions[name].filters[each.name] for name in asked if each.name in questions[name].filters}
        if types != {each.type}:
            raise refusal(path, f"the filter {each.name} acts on no question, or on one of another type")
    return dashboard
