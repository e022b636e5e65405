"""What a search found, as a table and as a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

import optuna
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from include.mlops.learner.search import Trial, distributions, frozen
from include.mlops.spec.training import Dimension

_BLUE, _GREY = "#2563eb", "#94a3b8"


def table(trials: Sequence[Trial]) -> bytes:
    """CSV, a line for each trial."""
    names = sorted({name for trial in trials for name in trial.parameters})
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(["number", "state", "value", *names, "rounds", "seconds"])
    for trial in trials:
        values = [trial.parameters.get(name, "") for name in names]
        writer.writerow([trial.number, trial.state, trial.value, *values, trial.rounds, round(trial.seconds, 2)])
    return sink.getvalue().encode()


def plot(trials: Sequence[Trial], space: Mapping[str, Dimension], metric: str, *, higher_is_better: bool) -> bytes:
    """PNG: each trial with the best so far, and how much each parameter weighed."""
    shares = importances(trials, space, higher_is_better=higher_is_better)
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    history, weight = figure.subplots(1, 2, width_ratios=[3, 2])
    complete = [trial for trial in trials if trial.state == "complete"]
    pruned = [trial for trial in trials if trial.state == "pruned"]
    history.scatter([t.number for t in complete], [t.value for t in complete], color=_BLUE, label="complete", zorder=3)
    if pruned:
        history.scatter([t.number for t in pruned], [t.value for t in pruned], color=_GREY, marker="x", label="pruned")
    choose = max if higher_is_better else min
    so_far = [choose(t.value for t in complete[: n + 1]) for n in range(len(complete))]
    reached = [*(t.number for t in complete), trials[-1].number]
    history.step(reached, [*so_far, so_far[-1]], where="post", color=_BLUE, alpha=0.5, label="best so far")
    history.set(title="Trials", xlabel="trial", ylabel=f"{metric} on the validation days")
    history.xaxis.get_major_locator().set_params(integer=True)
    history.legend(loc="best")
    history.grid(alpha=0.3)
    names = sorted(shares, key=lambda name: shares[name])
    weight.barh(names, [shares[name] for name in names], color=_BLUE)
    weight.set(title="Importance of parameters (PED-ANOVA)", xlim=(0, 1))
    if not shares:
        weight.set_axis_off()
        weight.text(0.5, 0.5, "too few trials to tell", ha="center", va="center", transform=weight.transAxes)
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=110)
    return sink.getvalue()


def importances(trials: Sequence[Trial], space: Mapping[str, Dimension], *, higher_is_better: bool) -> dict[str, float]:
    """{parameter: share}; empty where trials are too few or too alike to tell."""
    complete = [trial for trial in trials if trial.state == "complete"]
    if len(complete) < 4 or len({trial.value for trial in complete}) < 2:
        return {}
    study = optuna.create_study(direction="maximize" if higher_is_better else "minimize")
    study.add_trials([frozen(trial, distributions(space)) for trial in complete])
    return {name: float(share) for name, share in optuna.importance.get_param_importances(study).items()}
