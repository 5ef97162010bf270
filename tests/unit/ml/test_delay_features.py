"""The parameters that `task_delay` keeps, and the inputs of the commit model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import skops.io

from include.features.reader import read_features
from include.ml.commit_features import INPUTS
from include.ml.delay_model import delay_subject
from include.ml.model_file import TRUSTED_TYPES
from include.ml.subject import COMMITS
from include.settings import FEATURES_DIR

if TYPE_CHECKING:
    from include.ml.delay_features import DelayFeatures

pytestmark = pytest.mark.unit

VIEW = read_features(FEATURES_DIR).views["tasks"]
PARAMETERS = {"mean": 10.0, "stddev": 4.0, "minimum": 2.0, "maximum": 7.0, "median": 6.0}
NAMES = [one.name for one in VIEW.features]


def transformer(**changes: dict[str, float | None]) -> DelayFeatures:
    return delay_subject(VIEW, dict.fromkeys(NAMES, PARAMETERS) | changes, 3).transformer()


def transformed(step: DelayFeatures, **values: object) -> dict[str, float]:
    row = dict.fromkeys(NAMES) | values
    frame = pd.DataFrame([row], dtype="float64")
    return step.fit(frame).transform(frame).to_dict("records")[0]


def test_missing_values_are_replaced_then_normalised() -> None:
    found = transformed(transformer())
    assert found["complexity_score"] == (6 - 2) / 5  # median, minmax
    assert found["estimated_hours"] == (6 - 10) / 4  # median, zscore
    assert found["priority_level"] == 2  # constant, none
    assert found["required_skills"] == (0 - 2) / 5  # zero, minmax
    assert found["reopen_count"] == (0 - 10) / 4  # zero, zscore
    assert found["needs_devops"] == 0  # keep, none: no number is left out for a model
    known = transformed(transformer(), complexity_score=7, hours_to_deadline=-6, priority_level=4, needs_devops=1)
    assert (known["complexity_score"], known["hours_to_deadline"]) == (1, -4)
    assert (known["priority_level"], known["needs_devops"]) == (4, 1)


def test_divisor_of_0_gives_0_and_absent_parameters_count_as_0() -> None:
    flat = transformed(transformer(estimated_hours=PARAMETERS | {"stddev": 0.0}), estimated_hours=99)
    assert flat["estimated_hours"] == 0
    empty = transformed(transformer(estimated_hours=dict.fromkeys(PARAMETERS)), estimated_hours=99)
    assert empty["estimated_hours"] == 0
    assert not any(map(math.isnan, transformed(transformer(complexity_score=dict.fromkeys(PARAMETERS))).values()))


def test_saved_model_keeps_its_parameters() -> None:
    step = transformer()
    loaded = skops.io.loads(skops.io.dumps(step), trusted=list(TRUSTED_TYPES))
    assert loaded.parameter_version == 3
    frame = pd.DataFrame(np.arange(2.0 * len(NAMES)).reshape(2, -1), columns=NAMES)
    assert loaded.transform(frame).equals(step.transform(frame))


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ValueError, match="reopen_count"):
        transformer().fit(pd.DataFrame({name: [1.0] for name in NAMES if name != "reopen_count"}))


def test_inputs_of_the_commit_model_are_those_of_its_features() -> None:
    assert list(INPUTS) == list(COMMITS.inputs)
