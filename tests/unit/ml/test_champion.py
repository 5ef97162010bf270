"""The promotion rule, and when a training would repeat an earlier one."""

from __future__ import annotations

import pytest

from include.ml.champion import decide, training_key
from include.settings import TrainingSettings

pytestmark = pytest.mark.unit

GUESSING = {"roc_auc": 0.5, "f1": 0.0}


def model(roc_auc: float, f1: float) -> dict[str, float]:
    return {"roc_auc": roc_auc, "f1": f1}


@pytest.mark.parametrize(
    ("candidate", "champion", "moved", "words"),
    [
        pytest.param(model(0.8, 0.6), None, True, "the first to beat the baseline", id="first"),
        pytest.param(model(0.5, 0.0), None, False, "does not beat the baseline", id="first-as-bad-as-guessing"),
        pytest.param(model(0.4, 0.9), None, False, "does not beat the baseline", id="first-worse-than-guessing"),
        pytest.param(model(0.9, 0.5), model(0.8, 0.6), True, "beats version 3", id="better"),
        pytest.param(model(0.8, 0.7), model(0.8, 0.6), True, "beats version 3", id="equal-area-better-f1"),
        pytest.param(model(0.8, 0.6), model(0.8, 0.6), False, "does not beat version 3", id="tie"),
        pytest.param(model(0.8 + 1e-9, 0.6), model(0.8, 0.6), False, "does not beat version 3", id="noise"),
        pytest.param(model(0.7, 0.9), model(0.8, 0.6), False, "does not beat version 3", id="worse"),
        pytest.param(model(0.45, 0.9), model(0.4, 0.1), False, "the baseline", id="both-worse-than-guessing"),
    ],
)
def test_only_a_better_model_becomes_champion(
    candidate: dict[str, float], champion: dict[str, float] | None, moved: bool, words: str
) -> None:
    found, reason = decide(candidate, GUESSING, champion, 3 if champion else None)
    assert found is moved
    assert words in reason
    assert f"{candidate['roc_auc']:.4f}" in reason
    assert f"{(champion if champion and 'version' in reason else GUESSING)['roc_auc']:.4f}" in reason


@pytest.mark.parametrize("change", [{"seed": 1}, {"trees": 7}, {"folds": 3}, {"test_share": 0.3}], ids=str)
def test_other_settings_are_another_training(change: dict[str, object]) -> None:
    settings = TrainingSettings()
    assert training_key("data", settings.model_copy(update=change)) != training_key("data", settings)


def test_other_data_is_another_training() -> None:
    assert training_key("data", TrainingSettings()) != training_key("others", TrainingSettings())


@pytest.mark.parametrize("change", [{"tracking_uri": "http://other:5000"}, {"min_rows": 30}], ids=str)
def test_what_does_not_change_the_model_is_no_reason_to_train(change: dict[str, object]) -> None:
    settings = TrainingSettings()
    assert training_key("data", settings.model_copy(update=change)) == training_key("data", settings)
