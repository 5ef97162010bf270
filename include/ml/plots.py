"""Plots of a model for its MLflow run, as PNG bytes. They are drawn without a display."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from include.ml.subject import COMMITS, Subject
from include.ml.training import importances, probabilities

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_MOST_BARS = 15


def plots(model: Any, test: pd.DataFrame, subject: Subject = COMMITS) -> dict[str, bytes]:
    """Return the PNG of each plot by file name.

    Args:
        model: a fitted pipeline whose last step is a forest.
        test: the test set with its labels.
        subject: what the model is about.
    """
    truth, found = test[subject.label].to_numpy(), probabilities(model, test, subject)
    return {
        "confusion_matrix.png": _confusion(truth, found >= 0.5, subject),
        "roc_curve.png": _roc(truth, found, subject),
        "feature_importance.png": _importance(importances(model)),
    }


def _confusion(truth: Any, predicted: Any, subject: Subject) -> bytes:
    import numpy as np

    canvas, axes = _canvas(f"Confusion matrix of the test set: {len(truth):,} {subject.examples}")
    labels = (False, True)
    counts = np.array([[np.sum((truth == row) & (predicted == column)) for column in labels] for row in labels])
    shares = counts / counts.sum(axis=1, keepdims=True)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(2):
        for column in range(2):
            text = f"{counts[row, column]:,}\n{shares[row, column]:.0%}"
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=14)
    axes.set_xticks([0, 1], subject.kinds)
    axes.set_yticks([0, 1], subject.kinds, rotation=90, va="center")
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual")
    return _png(canvas)


def _roc(truth: Any, found: Any, subject: Subject) -> bytes:
    from sklearn.metrics import roc_auc_score, roc_curve

    canvas, axes = _canvas("ROC curve of the test set")
    false_rate, true_rate, _ = roc_curve(truth, found)
    axes.plot(false_rate, true_rate, linewidth=2, label=f"model (area {roc_auc_score(truth, found):.3f})")
    axes.plot([0, 1], [0, 1], linestyle="--", color="grey", label="random (area 0.5)")
    axes.set_xlabel(f"false positive rate ({subject.kinds[0]} classified as {subject.kinds[1]})")
    axes.set_ylabel(f"true positive rate ({subject.positives} found)")
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)
    return _png(canvas)


def _importance(found: dict[str, float]) -> bytes:
    top = list(found.items())[:_MOST_BARS][::-1]
    canvas, axes = _canvas("Feature importance")
    axes.barh([name.replace("_", " ") for name, _ in top], [value for _, value in top])
    axes.set_xlabel("importance (mean decrease in impurity; all features together: 1)")
    axes.grid(axis="x", alpha=0.3)
    return _png(canvas)


def _canvas(title: str) -> tuple[Any, Axes]:
    """Create a figure without pyplot, which keeps figures in memory and looks for a display."""
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
