"""The model `task_delay`: will a task miss its deadline? Its examples, and the parameters that it keeps.

What belongs here: which rows it is trained on, and how Feast gives their features. What does not: training
(`training`), comparing and promoting (`champion`).

An example is the first row of a task in `features.tasks` with T < due_at < now; the answer is yes if the task is not
done by due_at. Its features are those that Feast says were known at T.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.errors import Code, PermanentError
from include.feature_store import calls
from include.features.definition import Constant
from include.ml.examples import held_back, least_of_each
from include.ml.model_file import DELAY_MODEL
from include.ml.subject import Subject
from include.stores.sql_text import statement
from include.stores.warehouse import connect, warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from include.feature_store.config import FeatureStoreConfig
    from include.features.compiler import FeatureView
    from include.features.definition import Feature
    from include.settings import TrainingSettings, WarehouseConfig

VIEW, LABEL = "tasks", "is_late"
_LEAST_IN_TEST = 2


@dataclass(frozen=True)
class DelayExamples:
    """The tasks whose deadline has passed.

    Attributes:
        config: the warehouse, of the role `transform`.
        store: the feature store.
        view: the view `tasks`.
        subject: with the newest parameters of the view.
    """

    config: WarehouseConfig
    store: FeatureStoreConfig
    view: FeatureView
    subject: Subject

    def read(self) -> tuple[pd.DataFrame, Mapping[str, int]]:
        """The examples with raw features, sorted by task; no other count.

        Raises:
            RetryableError: the warehouse does not respond.
            PermanentError: it refuses.
            CommandError: Feast is not installed, or failed.
        """
        frame = self.labels()
        if frame.empty:
            return frame.assign(**dict.fromkeys(self.subject.inputs, 0.0)), {}
        found = self._features(frame[["task_id", "event_timestamp"]])
        return frame.merge(found, on=["task_id", "event_timestamp"], validate="one_to_one"), {}

    def labels(self) -> pd.DataFrame:
        """The examples without features: task_id, event_timestamp, due_at, is_late. Raises the errors of `read`."""
        import pandas as pd

        with connect(self.config) as connection, warehouse_errors():
            cursor = connection.execute(statement("read_delay_examples"))
            names = [column.name for column in cursor.description or ()]
            frame = pd.DataFrame(cursor.fetchall(), columns=names)
        times = {name: pd.to_datetime(frame[name], utc=True) for name in ("event_timestamp", "due_at")}
        return frame.assign(**times).astype({"task_id": "str", LABEL: "bool"})

    def require_enough(self, frame: pd.DataFrame, settings: TrainingSettings) -> None:
        """Check the number of tasks, and of late ones and others.

        Raises:
            PermanentError: there are too few.
        """
        if (complaint := too_few(frame, settings)) is not None:
            raise PermanentError(Code.TOO_FEW_EXAMPLES, complaint)

    def _features(self, entities: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        features = [f"{VIEW}:{name}" for name in self.subject.inputs]
        asked = [(task, time.to_pydatetime()) for task, time in entities.itertuples(index=False)]
        with tempfile.TemporaryDirectory(prefix="feast-") as folder:
            # A repository of its own: the DAG materialize_features may write the common one at the same time.
            repository = calls.prepare([self.view], Path(folder))
            found = calls.historical(self.store, repository, features, "task_id", asked).to_pandas()
        times = pd.to_datetime(found["event_timestamp"], utc=True)
        numbers = dict.fromkeys(self.subject.inputs, "float64")
        return found.assign(event_timestamp=times).astype({**numbers, "task_id": "str"})


def delay_examples(config: WarehouseConfig, store: FeatureStoreConfig, view: FeatureView) -> DelayExamples:
    """The examples, with the newest version of the view's parameters.

    Args:
        config: the warehouse, of the role `transform`.
        store: the feature store.
        view: the view `tasks`.

    Raises:
        PermanentError: there are no parameters: the view was never built.
    """
    with connect(config) as connection, warehouse_errors():
        rows = connection.execute(
            b"SELECT feature, version, mean, stddev, minimum, maximum, median FROM features.parameters "
            b"WHERE view = %(view)s AND version = (SELECT max(version) FROM features.parameters WHERE view = %(view)s)",
            {"view": view.name},
        ).fetchall()
    if not rows:
        raise PermanentError(Code.TOO_FEW_EXAMPLES, f"features.{view.name} was never built, so it has no parameters.")
    names = ("mean", "stddev", "minimum", "maximum", "median")
    parameters = {row[0]: dict(zip(names, row[2:], strict=True)) for row in rows}
    return DelayExamples(config, store, view, delay_subject(view, parameters, int(rows[0][1])))


def delay_subject(view: FeatureView, parameters: Mapping[str, Mapping[str, float | None]], version: int) -> Subject:
    """What the model is about.

    Args:
        view: the view `tasks`.
        parameters: of each feature: mean, stddev, minimum, maximum, median.
        version: of these parameters.
    """
    chosen = [one for one in view.features if one.is_number]
    steps = [_step(one, parameters[one.name]) for one in chosen]
    inputs = tuple(one.name for one in chosen)

    def transformer() -> Any:
        from include.ml.delay_features import DelayFeatures

        fills, bases, divisors = (list(column) for column in zip(*steps, strict=True))
        return DelayFeatures(list(inputs), fills, bases, divisors, version)

    return Subject(
        model=DELAY_MODEL, experiment="task-delay", examples="tasks", positives="late", kinds=("in time", "late"),
        key="task_id", label=LABEL, time="event_timestamp", inputs=inputs, data_source=f"features.{view.name}",
        transformer=transformer, modules=("include.ml.delay_features", "include.ml.training"),
        parameters={"parameter_version": version},
    )  # fmt: skip


def too_few(frame: pd.DataFrame, settings: TrainingSettings) -> str | None:
    """Why there are too few examples, with the counts; None if there are enough."""
    rows, late = len(frame), int(frame[LABEL].sum())
    if rows < settings.min_rows:
        return f"There are {rows:,} tasks with a passed deadline; training needs {settings.min_rows:,}."
    least = least_of_each(settings)
    if min(late, rows - late) < least:
        return f"Of {rows:,} tasks {late:,} are late and {rows - late:,} are not; training needs {least:,} of each."
    tested = frame.loc[held_back(frame["task_id"], settings.seed, settings.test_share), LABEL]
    if min(int(tested.sum()), int((~tested).sum())) < _LEAST_IN_TEST:
        return f"The test needs {_LEAST_IN_TEST} late tasks and {_LEAST_IN_TEST} others: load more tasks."
    return None


def _step(feature: Feature, parameters: Mapping[str, float | None]) -> tuple[float | None, float, float]:
    """What replaces null, what is subtracted, and what divides. A parameter without values counts as 0."""
    match feature.missing:
        case Constant(constant=number):
            fill: float | None = number
        case "zero":
            fill = 0.0
        case "mean" | "median":
            fill = parameters[feature.missing]
        case _:
            fill = None
    known = {name: float(value or 0) for name, value in parameters.items()}
    match feature.normalize:
        case "zscore":
            return fill, known["mean"], known["stddev"]
        case "minmax":
            return fill, known["minimum"], known["maximum"] - known["minimum"]
        case _:
            return fill, 0.0, 1.0
