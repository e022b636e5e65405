"""Boosting: round after round, stopped early or resumed from a checkpoint, always to the same bytes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import xgboost as xgb

log = logging.getLogger(__name__)

OnRound = Callable[[int, Mapping[str, float]], None]
"""Called after each round with its number (from 1) and the metrics of what is watched."""
VALIDATION = "validation"
_STATE = "mlops_checkpoint"


@dataclass(frozen=True)
class Stopping:
    """Stop when `metric` of the validation rows was not bettered for `patience` rounds; keep the best round's trees."""

    patience: int
    metric: str
    higher_is_better: bool


class Stored(Protocol):
    """Where a boosting that is killed leaves its trees for the next one."""

    @property
    def every(self) -> int:
        """Rounds between two checkpoints."""

    def left(self) -> Iterator[bytes]:
        """What earlier boostings of the same training left, newest first."""

    def keep(self, number: int, content: bytes) -> None:
        """Keep the state after round `number`."""


class Checkpoints(Stored, Protocol):
    """Checkpoints of a boosting that wants to know where it begins."""

    def resumed(self, rounds: Sequence[Mapping[str, float]]) -> None:
        """Told of the rounds that need not be done again, with their metrics."""


@dataclass(frozen=True)
class Rounds:
    """What is boosted, and what is watched meanwhile. Metrics are named ours: XGBoost's name.

    The holdout's metrics are reported under their own names, those of other rows as `validation_log_loss`.
    """

    parameters: Mapping[str, Any]
    number: int
    data: xgb.DMatrix
    watched: Mapping[str, xgb.DMatrix]
    metrics: Mapping[str, str]

    def booster(self, trees: bytes | None = None) -> xgb.Booster:
        cache = [self.data, *self.watched.values()]
        return xgb.Booster(dict(self.parameters), cache, model_file=bytearray(trees) if trees else None)

    def measure(self, booster: xgb.Booster, number: int) -> dict[str, float]:
        """The metrics after round `number`."""
        told = booster.eval_set([(matrix, name) for name, matrix in self.watched.items()], number - 1)
        found = dict(part.rsplit(":", 1) for part in told.split("\t")[1:])
        return {
            ours if name == "holdout" else f"{name}_{ours}": float(found[f"{name}-{theirs}"])
            for name in self.watched
            for ours, theirs in self.metrics.items()
        }


def boost(
    rounds: Rounds,
    on_round: OnRound,
    stopping: Stopping | None = None,
    checkpoints: Checkpoints | None = None,
    fingerprint: str = "",
) -> xgb.Booster:
    """All rounds, or with `stopping` (it needs watched rows named `validation`) those up to the best one.

    `fingerprint` names recipe, rows and XGBoost: a checkpoint of another is passed over. Raises what XGBoost raises,
    and whatever `on_round` raises to end it.
    """
    booster, history = _resume(rounds, checkpoints, fingerprint)
    best = _best_round(history, 0, stopping)
    for number in range(len(history) + 1, rounds.number + 1):
        # The column sampler's random state lives in XGBoost's updaters; this makes them anew and keeps all caches.
        # With seed_per_iteration, what a round draws then depends on its number alone, and not on what came before.
        booster.load_config(booster.save_config())
        booster.update(rounds.data, number - 1)
        history.append(rounds.measure(booster, number))
        on_round(number, history[-1])
        best = _best_round(history, best, stopping)
        if stopping and number - best >= stopping.patience:
            log.info("stopped after round %d: %s was best after round %d", number, stopping.metric, best)
            break
        if checkpoints and number % checkpoints.every == 0 and number < rounds.number:
            checkpoints.keep(number, _content(booster, fingerprint, history))
    return booster[:best] if best < len(history) else booster


def _best_round(history: Sequence[Mapping[str, float]], best: int, stopping: Stopping | None) -> int:
    """The first round, from 1, with the best value, where `best` was it before; the last one without `stopping`."""
    if not stopping or not history:
        return len(history)
    start = max(best, 1) - 1
    values = [metrics[f"{VALIDATION}_{stopping.metric}"] for metrics in history[start:]]
    return start + values.index((max if stopping.higher_is_better else min)(values)) + 1


def _resume(
    rounds: Rounds, checkpoints: Checkpoints | None, fingerprint: str
) -> tuple[xgb.Booster, list[Mapping[str, float]]]:
    """The booster and its rounds so far: where the newest usable checkpoint ends, or the beginning."""
    for content in checkpoints.left() if checkpoints else ():
        try:
            booster = rounds.booster(content)
        except xgb.core.XGBoostError as error:
            log.warning("a checkpoint cannot be read and is passed over: %s", str(error).splitlines()[0])
            continue
        state = json.loads(booster.attr(_STATE) or "{}")
        if checkpoints and state.get("fingerprint") == fingerprint:
            booster.set_attr(**{_STATE: None})
            history = list(state["history"])
            log.info("resumed from the checkpoint after round %d of %d", len(history), rounds.number)
            checkpoints.resumed(history)
            return booster, history
        log.warning("a checkpoint is of other rows, another recipe or another XGBoost and is passed over")
    return rounds.booster(), []


def _content(booster: xgb.Booster, fingerprint: str, history: Sequence[Mapping[str, float]]) -> bytes:
    booster.set_attr(**{_STATE: json.dumps({"fingerprint": fingerprint, "history": history})})
    content = bytes(booster.save_raw("ubj"))
    booster.set_attr(**{_STATE: None})
    return content
