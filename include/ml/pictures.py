"""Pictures of a model for who looks at its run: PNG files' bytes, drawn without a screen."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from include.ml.examples import LABEL
from include.ml.training import importances, probabilities

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_KINDS = ("ordinary commit", "merge")
_MOST_BARS = 15


def pictures(model: Any, test: pd.DataFrame) -> dict[str, bytes]:
    """A file name and its content for each picture.

    Args:
        model: a fitted pipeline with a forest at its end.
        test: the commits that were held back, with their labels.
    """
    truth, chances = test[LABEL].to_numpy(), probabilities(model, test)
    return {
        "confusion_matrix.png": _confusion(truth, chances >= 0.5),
        "roc_curve.png": _roc(truth, chances),
        "feature_importance.png": _importance(importances(model)),
    }


def _confusion(truth: Any, guess: Any) -> bytes:
    import numpy as np

    canvas, axes = _canvas(f"Confusion matrix: {len(truth):,} commits held back")
    sides = (False, True)
    counts = np.array([[np.sum((truth == it) & (guess == said)) for said in sides] for it in sides])
    shares = counts / counts.sum(axis=1, keepdims=True)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(2):
        for column in range(2):
            text = f"{counts[row, column]:,}\n{shares[row, column]:.0%}"
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=14)
    axes.set_xticks([0, 1], _KINDS)
    axes.set_yticks([0, 1], _KINDS, rotation=90, va="center")
    axes.set_xlabel("the model says")
    axes.set_ylabel("it is")
    return _png(canvas)


def _roc(truth: Any, chances: Any) -> bytes:
    from sklearn.metrics import roc_auc_score, roc_curve

    canvas, axes = _canvas("ROC curve of the commits held back")
    false_rate, true_rate, _ = roc_curve(truth, chances)
    axes.plot(false_rate, true_rate, linewidth=2, label=f"model (area {roc_auc_score(truth, chances):.3f})")
    axes.plot([0, 1], [0, 1], linestyle="--", color="grey", label="guessing (area 0.5)")
    axes.set_xlabel("ordinary commits taken for merges (share)")
    axes.set_ylabel("merges found (share)")
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)
    return _png(canvas)


def _importance(found: dict[str, float]) -> bytes:
    top = list(found.items())[:_MOST_BARS][::-1]
    canvas, axes = _canvas("What the forest goes by")
    axes.barh([name.replace("_", " ") for name, _ in top], [value for _, value in top])
    axes.set_xlabel("importance (mean decrease in impurity; all features together: 1)")
    axes.grid(axis="x", alpha=0.3)
    return _png(canvas)


def _canvas(title: str) -> tuple[Any, Axes]:
    """Without pyplot, which keeps figures and looks for a screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5.2), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title)
    return FigureCanvasAgg(figure), axes


def _png(canvas: Any) -> bytes:
    file = io.BytesIO()
    canvas.print_png(file)
    return file.getvalue()
