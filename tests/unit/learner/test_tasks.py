"""The registry of tasks: what it names is there, and nothing else asks which task it is."""

from __future__ import annotations

import ast
from typing import get_args

import numpy as np
import pytest

from include.mlops.learner import metrics, plots
from include.mlops.settings import ROOT
from include.mlops.spec.tasks import TASKS, TaskName, output_columns

RANDOM = np.random.default_rng(2)


def test_a_specification_may_name_each_task() -> None:
    assert get_args(TaskName) == tuple(TASKS)


@pytest.mark.parametrize("task", TASKS)
def test_what_a_task_names_has_its_function(task: str) -> None:
    found = TASKS[task]
    assert all(callable(getattr(metrics, name)) for name in found.metrics)
    assert all(callable(getattr(plots, name)) for name in found.plots)
    assert set(found.round_metrics) <= set(found.metrics)


def test_no_other_module_knows_a_task_by_its_name() -> None:
    branches = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.value}"
        for path in (ROOT / "include" / "mlops").rglob("*.py")
        if path.name != "tasks.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in TASKS
    ]
    assert branches == []


def test_columns_of_classes_are_named_after_them() -> None:
    assert output_columns() == {"score": "double"}
    assert output_columns(["early", "late"]) == {
        "score": "double",
        "predicted": "string",
        "score_early": "double",
        "score_late": "double",
    }


def _of(task: str, rows: int) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    classes = ("a", "b", "c") if TASKS[task].named_classes else ()
    labels = RANDOM.integers(0, len(classes) or 2, rows).astype(float)
    scores = RANDOM.random((rows, 3) if classes else rows)
    return labels, scores, classes


@pytest.mark.parametrize("rows", [2, 7000])
@pytest.mark.parametrize("task", TASKS)
def test_each_plot_of_a_task_is_a_small_picture_and_the_same_each_time(task: str, rows: int) -> None:
    labels, scores, classes = _of(task, rows)
    drawn = plots.draw(task, labels, scores, classes)
    assert list(drawn) == [f"{name}.png" for name in TASKS[task].plots]
    assert all(content.startswith(b"\x89PNG") and len(content) < 200_000 for content in drawn.values())
    assert plots.draw(task, labels, scores, classes) == drawn


@pytest.mark.parametrize("task", TASKS)
def test_a_holdout_without_any_variety_is_drawn_too(task: str) -> None:
    labels, scores, classes = _of(task, 20)
    assert plots.draw(task, np.zeros_like(labels), np.full_like(scores, 0.5), classes)
