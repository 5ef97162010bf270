"""The training examples: read commits from the warehouse, select and count them, fingerprint and split them.

What belongs here: rows, and which of them a model is trained on. What does not: features and models.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.errors import Code, PermanentError
from include.stores.sql_text import statement
from include.stores.warehouse import connect, warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import pandas as pd

    from include.settings import TrainingSettings, WarehouseConfig

LABEL = "is_merge"

# The test set must have at least this many merges and this many other commits.
_LEAST_IN_TEST = 2


@dataclass(frozen=True)
class Examples:
    """Number of commits to train on, number of merges among them, and number of commits left out.

    Attributes:
        without_text: commits without text written by a person; see `with_text`.
    """

    rows: int
    merges: int
    without_text: int = 0

    def complaint(self, settings: TrainingSettings) -> str | None:
        """Return why there are too few examples, with the counts; None if there are enough."""
        left_out = f" {self.without_text:,} more have no text written by a person." if self.without_text else ""
        if self.rows < settings.min_rows:
            return (
                f"There are {self.rows:,} commits, and training needs {settings.min_rows:,} (TRAINING_MIN_ROWS)."
                f"{left_out}"
            )
        least, others = least_of_each(settings), self.rows - self.merges
        if min(self.merges, others) < least:
            return (
                f"Of {self.rows:,} commits {self.merges:,} are merges and {others:,} are not, "
                f"and training needs {least:,} of each.{left_out}"
            )
        return None


def count(config: WarehouseConfig) -> Examples:
    """Count the examples. Raises the errors of `read`."""
    commits = read(config)
    usable = with_text(commits)
    return Examples(len(usable), int(usable[LABEL].sum()), len(commits) - len(usable))


def read(config: WarehouseConfig) -> pd.DataFrame:
    """Read all commits with `sha`, `is_merge` and the model's inputs in their types (`commit_features.INPUTS`).

    The rows are sorted by sha.

    Raises:
        RetryableError: the warehouse does not respond.
        PermanentError: it refuses; the DAG `transform_warehouse` creates the table.
    """
    import pandas as pd

    from include.ml.commit_features import INPUTS

    with connect(config) as connection, warehouse_errors():
        cursor = connection.execute(statement("read_training_examples"))
        names = [column.name for column in cursor.description or ()]
        frame = pd.DataFrame(cursor.fetchall(), columns=names)
    frame["authored_at"] = pd.to_datetime(frame["authored_at"], utc=True)
    return frame.astype({**INPUTS, "author_email": "object", "sha": "str", LABEL: "bool"})


def with_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the commits with text written by a person; models are trained and tested on these only.

    The others are merges with only a generated subject, and a few ordinary commits with an empty message. A rule
    recognises them without a model, and any value in place of their missing text would reveal the label.
    """
    from include.ml.commit_features import has_text

    return frame[has_text(frame["message"])]


def require_enough(frame: pd.DataFrame, settings: TrainingSettings) -> None:
    """Check that there are enough examples to train and to test a model.

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
                f"needs {_LEAST_IN_TEST} of each: load more commits."
            )
    if complaint is not None:
        raise PermanentError(Code.TOO_FEW_EXAMPLES, complaint)


def held_back(shas: Iterable[str], seed: int, share: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return for each commit whether it belongs to the test set.

    The hash of the sha decides, so a commit never moves between training and test set as data grows: no champion is
    tested on a commit that it was trained on. The hash is independent of the label, so each class has about the same
    share in the test set; exact stratification would require moving commits.

    Args:
        shas: the commits.
        seed: another seed selects other commits.
        share: share of the commits in the test set; a larger share includes the commits of a smaller one.
    """
    import numpy as np

    limit = share * 2**64
    digests = (hashlib.sha256(f"{seed}:{sha}".encode()).digest() for sha in shas)
    return np.fromiter((int.from_bytes(digest[:8], "big") < limit for digest in digests), dtype=np.bool_)


def fingerprint(frame: pd.DataFrame, key: str = "sha") -> str:
    """Return a SHA-256 over all values of all examples, independent of the row order: equal means same data."""
    columns = sorted(frame.columns)
    text = frame.sort_values(key)[columns].to_json(orient="values", date_format="iso", date_unit="us")
    return hashlib.sha256(f"{columns}{text}".encode()).hexdigest()


def least_of_each(settings: TrainingSettings) -> int:
    """Return the least count per class: one per fold plus the share of the test set, times two for random variation."""
    return round(2 * settings.folds / (1 - settings.test_share))
