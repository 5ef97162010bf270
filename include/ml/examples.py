"""The commits to learn from: read from the warehouse, counted, told apart from other data, split for ever.

What belongs here: rows and which of them a model may train on. What does not: features and models.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.errors import Code, PermanentError
from include.stores.warehouse import connect, statement, warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import pandas as pd

    from include.settings import TrainingSettings, WarehouseConfig

STAGE = "train"
LABEL = "is_merge"

# Each fold, and the test, must see some merges and some others.
_LEAST_IN_TEST = 2


@dataclass(frozen=True)
class Examples:
    """How many commits there are to learn from, how many of them are merges, and how many were left out.

    Attributes:
        without_text: commits of which nobody wrote a word; see `with_text`.
    """

    rows: int
    merges: int
    without_text: int = 0

    def complaint(self, settings: TrainingSettings) -> str | None:
        """Why these are too few to train on, with the numbers; None when they are enough."""
        left_out = f" {self.without_text:,} more have no text of a person." if self.without_text else ""
        if self.rows < settings.min_rows:
            return (
                f"There are {self.rows:,} commits, and training needs {settings.min_rows:,} (TRAINING_MIN_ROWS)."
                f"{left_out}"
            )
        least, others = _least_of_each(settings), self.rows - self.merges
        if min(self.merges, others) < least:
            return (
                f"Of {self.rows:,} commits {self.merges:,} are merges and {others:,} are not, "
                f"and training needs {least:,} of each.{left_out}"
            )
        return None


def count(config: WarehouseConfig) -> Examples:
    """How many there are. Raises what `read` raises."""
    every = read(config)
    learnt = with_text(every)
    return Examples(len(learnt), int(learnt[LABEL].sum()), len(every) - len(learnt))


def read(config: WarehouseConfig) -> pd.DataFrame:
    """Every commit with the model's inputs in their types (`commit_features.INPUTS`), `sha` and `is_merge`, by sha.

    Raises:
        RetryableError: the warehouse does not answer.
        PermanentError: it refuses; the table is made by `transform_warehouse`.
    """
    import pandas as pd

    from include.ml.commit_features import INPUTS

    with connect(config) as connection, warehouse_errors(STAGE):
        cursor = connection.execute(statement("read_training_examples"))
        names = [column.name for column in cursor.description or ()]
        frame = pd.DataFrame(cursor.fetchall(), columns=names)
    frame["authored_at"] = pd.to_datetime(frame["authored_at"], utc=True)
    return frame.astype({**INPUTS, "author_email": "object", "sha": "str", LABEL: "bool"})


def with_text(frame: pd.DataFrame) -> pd.DataFrame:
    """The commits that a model may learn from, and is tested on: those of which a person wrote something.

    The others are merges with a generated subject alone, and rarely an ordinary commit with an empty message. A rule
    recognises them, so no model has to; and any number that stood for their missing text would tell the label.
    """
    from include.ml.commit_features import has_text

    return frame[has_text(frame["message"])]


def require_enough(frame: pd.DataFrame, settings: TrainingSettings) -> None:
    """Refuse what is too little to learn from, or to judge by.

    Raises:
        PermanentError: there are too few commits, or too few merges or others among them.
    """
    complaint = Examples(len(frame), int(frame[LABEL].sum())).complaint(settings)
    if complaint is None:
        tested = frame.loc[held_back(frame["sha"], settings.seed, settings.test_share), LABEL]
        merges, others = int(tested.sum()), int((~tested).sum())
        if min(merges, others) < _LEAST_IN_TEST:
            complaint = (
                f"Of the commits that are held back for the test {merges} are merges and {others} are not, and it "
                f"needs {_LEAST_IN_TEST} of each: more commits, or a larger TRAINING_TEST_SHARE, give them."
            )
    if complaint is not None:
        raise PermanentError(STAGE, Code.TOO_FEW_EXAMPLES, complaint)


def held_back(shas: Iterable[str], seed: int, share: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """For each commit, whether it belongs to the test.

    A commit's own hash decides, so it stays on its side as data grows: no champion was trained on what it is tested
    on later. A hash knows nothing of labels, so each class gives the test its share (stratification) but for chance;
    exact shares would need commits to change sides.

    Args:
        shas: the commits.
        seed: another seed holds others back.
        share: of the commits; a larger share contains a smaller one.
    """
    import numpy as np

    limit = share * 2**64
    digests = (hashlib.sha256(f"{seed}:{sha}".encode()).digest() for sha in shas)
    return np.fromiter((int.from_bytes(digest[:8], "big") < limit for digest in digests), dtype=np.bool_)


def fingerprint(frame: pd.DataFrame) -> str:
    """SHA-256 over every value of every commit, whatever the order of rows: two trainings saw the same or did not."""
    columns = sorted(frame.columns)
    text = frame.sort_values("sha")[columns].to_json(orient="values", date_format="iso", date_unit="us")
    return hashlib.sha256(f"{columns}{text}".encode()).hexdigest()


def _least_of_each(settings: TrainingSettings) -> int:
    """So many that each fold has one, with what the test takes, and as many again for chance."""
    return round(2 * settings.folds / (1 - settings.test_share))
