"""What a view of features says: the models of `features/<view>.yaml` and `features/shared.yaml`.

What belongs here: every key of the files, its type and its meaning. What does not: reading the files (`reader`) and
compiling them into SQL (`compiler`).

Keys are written in camelCase. Unknown keys are refused. In SQL, `:T` is the time of the features.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

NAME = r"^[a-z][a-z0-9_]{0,49}$"
TEMPLATE = r"^[a-z][a-z0-9_{}]{0,49}$"

Name = Annotated[str, Field(pattern=NAME)]
Sql = Annotated[str, Field(min_length=1, max_length=10_000)]


class FeaturePart(BaseModel):
    """The base of all parts: keys in camelCase, unknown keys are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True
    )


class FeatureDataset(FeaturePart):
    """A raw table, and which of its rows are known at T.

    Attributes:
        kind: `history` has a row for each state of an entity; `events` has one for each event.
        key: the entity's column, or the event's.
        time: since when a state holds, or when an event happened. Rows with time < T are known at T.
    """

    kind: Literal["history", "events"]
    key: Name
    time: Name


class FeatureStep(FeaturePart):
    """A named query that other steps and the rows of a view read.

    Attributes:
        name: by which it is read.
        description: what a row is.
        reads: names of datasets, steps, and of histories with `_history` behind it.
        sql: a query over them.
    """

    name: Name
    description: str = Field(min_length=1, max_length=2000)
    reads: tuple[Name, ...] = Field(min_length=1)
    sql: Sql


class FeatureRows(FeaturePart):
    """The rows of a view: one for each entity that exists at T.

    Attributes:
        reads: as of a step.
        sql: a query; its columns are the join key and what the features' expressions use.
    """

    reads: tuple[Name, ...] = Field(min_length=1)
    sql: Sql


class Constant(FeaturePart):
    """A missing value is replaced by a number.

    Attributes:
        constant: the number.
    """

    constant: float


class Feature(FeaturePart):
    """A column of a view, or several of one formula.

    Attributes:
        name: of the column; may hold names of `forEach` in braces.
        for_each: one name and its values: `{area: [backend, frontend]}` makes a feature for each.
        type: double, bigint, int or text.
        unit: of the value; empty for none.
        description: for readers of the table.
        source: the formula in words, or where it comes from.
        sql: an expression over the columns of `rows`.
        missing: what a model gets instead of null: `zero`, `mean`, `median`, `{constant: 1}`, `keep` (null), or `drop`
            (no row).
        normalize: `zscore`, `minmax` or `none`; after missing values are replaced.
    """

    name: str = Field(pattern=TEMPLATE)
    for_each: dict[Name, tuple[Name, ...]] = Field(default_factory=dict, max_length=1)
    type: Literal["double", "bigint", "int", "text"]
    unit: str = Field("", max_length=50)
    description: str = Field(min_length=1, max_length=2000)
    source: str = Field(min_length=1, max_length=2000)
    sql: Sql
    missing: Literal["zero", "mean", "median", "drop", "keep"] | Constant = "zero"
    normalize: Literal["zscore", "minmax", "none"] = "zscore"

    @property
    def is_number(self) -> bool:
        """Whether it has a mean and can be normalised."""
        return self.type != "text"

    def expanded(self) -> tuple[Feature, ...]:
        """The features that `for_each` makes, each without it; this one alone if there is none."""
        made: tuple[Feature, ...] = (self,)
        for name, values in self.for_each.items():
            made = tuple(self._with("{" + name + "}", value) for value in values)
        return made

    def _with(self, placeholder: str, value: str) -> Feature:
        texts = {
            key: getattr(self, key).replace(placeholder, value) for key in ("name", "description", "source", "sql")
        }
        return self.model_copy(update={**texts, "for_each": {}})


class FeatureFile(FeaturePart):
    """A file `features/<view>.yaml`.

    Attributes:
        view: also the file's name and the table's: `features.<view>`.
        description: for readers of the table.
        owner: who answers questions about it.
        entity: what a row describes, such as `user`.
        join_key: the column that names the entity.
        history: days before now whose midnights have rows.
        steps: queries of this view alone.
        rows: the entities and the columns that the features use.
        features: in the order of the table's columns.
    """

    view: Name
    description: str = Field(min_length=1, max_length=2000)
    owner: str = Field(min_length=1, max_length=200)
    entity: Name
    join_key: Name
    history: int = Field(90, ge=1, le=3660)
    steps: tuple[FeatureStep, ...] = ()
    rows: FeatureRows
    features: tuple[Feature, ...] = Field(min_length=1, max_length=500)


class SharedFile(FeaturePart):
    """The file `features/shared.yaml`.

    Attributes:
        datasets: raw tables by name.
        steps: queries that several views use.
    """

    datasets: dict[Name, FeatureDataset] = Field(min_length=1)
    steps: tuple[FeatureStep, ...] = ()
