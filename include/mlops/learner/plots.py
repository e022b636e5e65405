"""Pictures of a model on its holdout, under the names of `spec/tasks.py`: one page each, as PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from include.mlops.learner.metrics import confusion, roc_auc
from include.mlops.spec.tasks import TASKS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
_SHOWN = 5_000  # points of a cloud; the rest would hide behind them
_BINS = 10
_BLUE, _GREY = "#1f6fb4", "#8a8a8a"


def draw(task: str, labels: Floats, predictions: Floats, classes: Sequence[str] = ()) -> dict[str, bytes]:
    """{file name: PNG} of the task's plots. `predictions` are (rows,) or (rows, classes), as a predictor gives them."""
    return {f"{name}.png": _png(name, labels, predictions, classes) for name in TASKS[task].plots}


def roc_curve(axes: Axes, labels: Floats, scores: Floats, classes: Sequence[str]) -> None:
    """Positives found by false alarms, over all thresholds."""
    del classes
    order = np.argsort(-scores, kind="stable")
    last_of_ties = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    positive = labels[order] > 0
    found, alarms = (
        np.concatenate([[0], np.cumsum(of)[last_of_ties] / max(of.sum(), 1)]) for of in (positive, ~positive)
    )
    axes.plot(alarms, found, color=_BLUE)
    _diagonal(axes, 0, 1)
    area = roc_auc(labels, scores)(np.ones(len(labels)))
    _say(axes, f"ROC curve, area {area:.3f}", "share of negatives above the threshold", "share of positives above it")


def calibration(axes: Axes, labels: Floats, scores: Floats, classes: Sequence[str]) -> None:
    """What happened by what was said, in tenths of the rows."""
    del classes
    tenths = np.array_split(np.argsort(scores, kind="stable"), min(_BINS, len(scores)))
    said, happened = (np.array([of[rows].mean() for rows in tenths]) for of in (scores, labels))
    axes.plot(said, happened, marker="o", color=_BLUE)
    _diagonal(axes, 0, max(said.max(), happened.max()) * 1.05)
    _say(axes, "Calibration, a point for each tenth of the rows", "mean score", "share of positives")


def predicted_and_observed(axes: Axes, labels: Floats, scores: Floats, classes: Sequence[str]) -> None:
    del classes
    shown = np.random.default_rng(7).permutation(np.flatnonzero(labels <= np.quantile(labels, 0.99)))[:_SHOWN]
    axes.scatter(scores[shown], labels[shown], s=4, alpha=0.3, color=_BLUE, linewidths=0)
    _diagonal(axes, *np.quantile(scores, [0, 1]))
    _say(axes, "Observed by predicted (the highest 1% cut off)", "predicted", "observed")


def residuals(axes: Axes, labels: Floats, scores: Floats, classes: Sequence[str]) -> None:
    del classes
    errors = labels - scores
    axes.hist(errors[errors <= np.quantile(errors, 0.99)], bins=60, color=_BLUE)
    axes.axvline(0, color=_GREY, linestyle="--", linewidth=1)
    _say(axes, f"Residuals, median {np.median(errors):.2f} (the highest 1% cut off)", "observed - predicted", "rows")


def confusion_matrix(axes: Axes, labels: Floats, scores: Floats, classes: Sequence[str]) -> None:
    """Rows are what happened; a cell says its share of the row, and how many rows of the holdout."""
    counts = confusion(labels, scores)(np.ones(len(labels)))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*counts.shape):
        color = "white" if shares[row, column] > 0.5 else "black"
        text = f"{shares[row, column]:.0%}\n{counts[row, column]:,.0f}"
        axes.text(column, row, text, ha="center", va="center", color=color)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    _say(axes, "Confusion, shares of what happened", "predicted", "observed")


def _png(name: str, labels: Floats, predictions: Floats, classes: Sequence[str]) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    plot: Any = globals()[name]
    plot(figure.add_subplot(), labels, predictions, classes)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    return content.getvalue()


def _diagonal(axes: Axes, low: float, high: float) -> None:
    axes.plot([low, high], [low, high], color=_GREY, linestyle="--", linewidth=1)


def _say(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
