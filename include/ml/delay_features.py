"""The first step of a pipeline of `task_delay`: missing values replaced, then normalised, by stored parameters.

What belongs here: applying the parameters. What does not: imports of the project. The image of the ML service contains
this module without the rest of the repository.

The parameters are those of one version of `features.parameters`, which the model keeps: a later version changes neither
its inputs nor its predictions.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

# At module level, because the transformer derives from a class of scikit-learn. No DAG file imports this module.
from sklearn.base import BaseEstimator, TransformerMixin  # noqa: TID253


class DelayFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Transforms raw features, as Feast serves them, into numbers without gaps. Fitting learns nothing.

    Args:
        names: the features, which are columns of the input; others are ignored.
        fills: what replaces null, for each; None: null becomes 0 after the normalisation.
        bases: is subtracted.
        divisors: divides the difference; where it is 0, the result is 0.
        parameter_version: of `features.parameters`.
    """

    def __init__(
        self,
        names: list[str],
        fills: list[float | None],
        bases: list[float],
        divisors: list[float],
        parameter_version: int,
    ) -> None:
        self.names, self.fills, self.bases, self.divisors = names, fills, bases, divisors
        self.parameter_version = parameter_version

    def fit(self, inputs: pd.DataFrame, labels: object = None) -> DelayFeatures:  # noqa: ARG002 - scikit-learn's signature
        """Check the columns.

        Raises:
            ValueError: one is missing.
        """
        self._check(inputs)
        self.n_features_in_ = len(self.names)
        return self

    def transform(self, inputs: pd.DataFrame) -> pd.DataFrame:
        """Return a column of finite numbers for each feature."""
        self._check(inputs)
        made = {}
        for name, fill, base, divisor in zip(self.names, self.fills, self.bases, self.divisors, strict=True):
            values = pd.to_numeric(inputs[name]).astype("float64")
            if fill is not None:
                values = values.fillna(fill)
            values = (values - base) / divisor if divisor else values * 0.0
            made[name] = values.fillna(0.0)
        return pd.DataFrame(made, index=inputs.index)

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:  # noqa: ARG002
        """The names of the columns."""
        return np.array(self.names, dtype=object)

    def _check(self, inputs: pd.DataFrame) -> None:
        if missing := [name for name in self.names if name not in inputs]:
            raise ValueError(f"the inputs lack the features {', '.join(missing)}")
