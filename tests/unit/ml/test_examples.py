"""The training examples: minimum counts, the stable split into training and test set, the fingerprint."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sample_commits import sample_commits

from include.errors import Code, PermanentError
from include.ml.examples import Examples, fingerprint, held_back, require_enough, with_text
from include.settings import TrainingSettings

pytestmark = pytest.mark.unit

SETTINGS = TrainingSettings(min_rows=100, folds=5, test_share=0.2)
SHAS = [f"{number:040x}" for number in range(5000)]


@pytest.fixture
def history() -> pd.DataFrame:
    return sample_commits(300)


@pytest.mark.parametrize(
    ("rows", "merges", "words"),
    [
        pytest.param(99, 40, "There are 99 commits, and training needs 100", id="too-few"),
        pytest.param(0, 0, "There are 0 commits", id="none"),
        pytest.param(1000, 11, "11 are merges and 989 are not, and training needs 12 of each", id="few-merges"),
        pytest.param(1000, 989, "989 are merges and 11 are not", id="few-others"),
        pytest.param(1000, 0, "0 are merges", id="no-merges"),
        pytest.param(1000, 12, None, id="just-enough-merges"),
        pytest.param(100, 40, None, id="just-enough"),
    ],
)
def test_too_few_examples_are_refused_with_their_counts(rows: int, merges: int, words: str | None) -> None:
    complaint = Examples(rows, merges).complaint(SETTINGS)
    assert (complaint is None) == (words is None)
    assert (words or "") in (complaint or "")


def test_a_refusal_counts_the_commits_without_a_text() -> None:
    assert "7 more have no text" in (Examples(99, 40, 7).complaint(SETTINGS) or "")
    assert "7 more have no text" in (Examples(1000, 11, 7).complaint(SETTINGS) or "")
    assert "no text" not in (Examples(99, 40).complaint(SETTINGS) or "")


def test_commits_without_a_text_are_left_out(history: pd.DataFrame) -> None:
    history = with_text(history)
    silent = history.head(3).assign(message=["Merge branch 'main' into dev", "", "Merge pull request #1 from a/b"])
    assert with_text(pd.concat([history, silent])).equals(history)


def test_commits_of_one_kind_are_refused(history: pd.DataFrame) -> None:
    require_enough(history, SETTINGS)
    with pytest.raises(PermanentError, match="0 are merges") as caught:
        require_enough(history[~history["is_merge"]], SETTINGS)
    assert caught.value.code is Code.TOO_FEW_EXAMPLES


def test_a_test_of_one_kind_is_refused(history: pd.DataFrame) -> None:
    tested = held_back(history["sha"], SETTINGS.seed, SETTINGS.test_share)
    with pytest.raises(PermanentError, match="held back for the test 0 are merges"):
        require_enough(history[~(tested & history["is_merge"])], SETTINGS)


def test_a_commit_stays_in_its_set_as_others_are_added() -> None:
    before, after = held_back(SHAS[::3], 42, 0.2), held_back(SHAS, 42, 0.2)
    assert (before == after[::3]).all()


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_the_test_gets_its_share(share: float) -> None:
    assert held_back(SHAS, 42, share).mean() == pytest.approx(share, abs=0.03)


def test_each_class_gives_its_share() -> None:
    history = sample_commits(4000)
    tested = held_back(history["sha"], 42, 0.2)
    assert history.loc[tested, "is_merge"].mean() == pytest.approx(history["is_merge"].mean(), abs=0.05)


def test_a_larger_share_contains_a_smaller_one_and_a_seed_changes_it() -> None:
    small, large = held_back(SHAS, 42, 0.1), held_back(SHAS, 42, 0.3)
    assert (large | ~small).all()
    assert (held_back(SHAS, 43, 0.1) != small).any()


def test_the_fingerprint_does_not_depend_on_the_order(history: pd.DataFrame) -> None:
    mixed = history.sample(frac=1, random_state=3)[sorted(history.columns)]
    assert fingerprint(mixed) == fingerprint(history)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        pytest.param("message", "Something else", id="message"),
        pytest.param("is_merge", True, id="label"),
        pytest.param("comment_count", np.nan, id="number"),
        pytest.param("author_email", None, id="address"),
    ],
)
def test_any_changed_value_changes_the_fingerprint(history: pd.DataFrame, column: str, value: object) -> None:
    changed = history.copy()
    row = changed.index[~changed["is_merge"]][0]
    changed.loc[row, column] = value
    assert fingerprint(changed) != fingerprint(history)


def test_a_further_commit_changes_the_fingerprint(history: pd.DataFrame) -> None:
    assert fingerprint(history.iloc[1:]) != fingerprint(history)
