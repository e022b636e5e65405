"""Release: judge a challenger against its bound and the champion, decide on the record, and put it live or not.

What is live stands in the ledger; the aliases in MLflow mirror it, and are set again whenever this step runs.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from include.mlops.errors import MlopsError
from include.mlops.learner.evaluate import compare, evaluate
from include.mlops.learner.fit import Examples
from include.mlops.learner.predict import Predictor, load
from include.mlops.ledger.releases import Decision, LiveInterval
from include.mlops.policy.release import Bound, Comparison, Verdict, first_live_day, judge, out_of_date
from include.mlops.registry.version import CHALLENGER, CHAMPION, DECISION, PREVIOUS, Version
from include.mlops.spec.interval import Interval
from include.mlops.spec.model import Model
from include.mlops.steps.platform import Platform
from include.mlops.steps.training.training_record import RECORD
from include.mlops.steps.training.training_set import Source, select

log = logging.getLogger(__name__)
PROMOTE, REJECT = "promote", "reject"
PROMOTED, REJECTED = "promoted", "rejected"


@dataclass(frozen=True)
class Released:
    """`outcome` is promoted or rejected; a promoted version is live from `first_ds` on."""

    model: str
    version: int
    outcome: str
    reason: str
    first_ds: date | None
    metrics: dict[str, float]
    champion: int | None
    comparison: Comparison | None
    version_url: str


def release(platform: Platform, model: Model, version: int, as_of: date, actor: str, run_id: str) -> Released:
    """Decide once: called again, the recorded decision comes back. Raises MlopsError without such a version."""
    challenger = platform.registry.version(model.name, version)
    recorded = _recorded(platform, model, version)
    if recorded is None:
        recorded = _decide(platform, model, challenger, as_of, actor, run_id)
        log.info("%s v%d %s: %s", model.name, version, recorded.outcome, recorded.reason)
    _mirror(platform, model, challenger, recorded)
    evidence = recorded.evidence
    comparison = Comparison(**evidence["comparison"]) if evidence["comparison"] else None
    first = date.fromisoformat(evidence["first_ds"]) if evidence["first_ds"] else None
    url = platform.registry.version_url(model.name, version)
    return Released(
        model.name,
        version,
        recorded.outcome,
        recorded.reason,
        first,
        evidence["metrics"],
        evidence["champion"],
        comparison,
        url,
    )


def _decide(platform: Platform, model: Model, challenger: Version, as_of: date, actor: str, run_id: str) -> Decision:
    before = [row for row in platform.ledger.releases.intervals(model.name) if row.version != challenger.number]
    champion = platform.registry.version(model.name, before[-1].version) if before else None
    metrics, comparison, verdict = _judge(platform, model, challenger, champion)
    first_ds = _put_live(platform, model, challenger, before) if verdict.promote else None
    evidence = {
        "metrics": metrics,
        "champion": champion.number if champion else None,
        "comparison": asdict(comparison) if comparison else None,
        "first_ds": str(first_ds) if first_ds else None,
        "holdout": str(challenger.holdout),
        "model_sha256": challenger.sha256,
        "mlflow_run": challenger.mlflow_run,
        "run_id": run_id,
    }
    action, outcome = (PROMOTE, PROMOTED) if verdict.promote else (REJECT, REJECTED)
    decision = Decision(model.name, as_of, action, outcome, actor, verdict.reason, challenger.number, evidence)
    platform.ledger.releases.decide(decision)
    return decision


def _judge(
    platform: Platform, model: Model, challenger: Version, champion: Version | None
) -> tuple[dict[str, float], Comparison | None, Verdict]:
    """Metrics of the challenger, its comparison with the champion, and the verdict."""
    source, predictor = _source(platform, challenger), _predictor(platform, challenger)
    rival = _Rival(champion, _source(platform, champion), _predictor(platform, champion)) if champion else None
    if rival:
        _require_same_question(model, source, rival)
    shared = rival.predictor.columns if rival and rival.source.features.table == source.features.table else ()
    examples = select(
        platform.lake, source, list(dict.fromkeys([*predictor.columns, *shared])), source.holdout
    ).examples
    scores = predictor.predict(examples.rows)
    metrics = evaluate(model.task, examples.labels, scores)
    comparison = _compare(platform, model, source, examples, scores, rival) if rival else None
    stale = out_of_date(challenger.as_of, champion.number, champion.as_of) if champion else None
    bound = Bound(model.gate.metric, metrics[model.gate.metric], model.gate.minimum, model.gate.maximum)
    lost = rival.source.features.table if rival and comparison is None else None
    return metrics, comparison, stale or judge(bound, comparison, model.gate.beat_champion_by, champion_lost=lost)


@dataclass(frozen=True)
class _Rival:
    version: Version
    source: Source
    predictor: Predictor


def _require_same_question(model: Model, source: Source, rival: _Rival) -> None:
    """Readers of the predictions rely on their columns, and their history on what they say."""
    ours, theirs = ((s.task, *s.classes) for s in (source, rival.source))
    if ours != theirs:
        raise MlopsError(
            f"expected a version of {model.name} to predict what its champion v{rival.version.number} does "
            f"({', '.join(theirs)}), found {', '.join(ours)}; another task or other classes are another model: "
            "give the file a name of its own"
        )


def _compare(
    platform: Platform, model: Model, source: Source, examples: Examples, scores: NDArray[np.float64], rival: _Rival
) -> Comparison | None:
    """None where the champion's features are not published for the holdout (it reads another table)."""
    rows, kept = examples.rows, np.arange(len(scores))
    if rival.source.features.table != source.features.table:
        rows, kept = _champion_rows(platform, source, examples.rows, rival)
    if not len(kept):
        return None
    labels, of_champion = examples.labels[kept], rival.predictor.predict(rows)
    found = compare(model.gate.metric, labels, scores[kept], of_champion, model.gate.confidence, model.training.seed)
    value = evaluate(model.task, labels, of_champion)[model.gate.metric]
    seen = _within(rows.column("ds"), rival.version.window)
    return Comparison(
        rival.version.number, value, found.value, found.low, found.high, found.confidence, found.rows, seen
    )


def _champion_rows(
    platform: Platform, source: Source, rows: pa.Table, rival: _Rival
) -> tuple[pa.Table, NDArray[np.intp]]:
    """The holdout's rows as the champion sees them, and their places in `rows`."""
    identity = ["ds", *source.keys]
    columns = list(dict.fromkeys([*identity, *rival.predictor.columns]))
    theirs = platform.lake.read(rival.source.features.table, source.holdout, columns)
    numbered = rows.select(identity).append_column("__place__", pa.array(range(rows.num_rows), pa.int64()))
    joined = numbered.join(theirs, identity, join_type="inner").sort_by("__place__")
    return joined, joined.column("__place__").to_numpy()


def _put_live(platform: Platform, model: Model, challenger: Version, before: Sequence[LiveInterval]) -> date:
    """Live from the first partition that nothing was scored for. A call that was killed half-way is found done."""
    newest = platform.ledger.publications.frontier(model.predictions)
    first = first_live_day(challenger.as_of, newest, before[-1].first_ds if before else None)
    platform.ledger.releases.promote(model.name, challenger.number, first)
    intervals = platform.ledger.releases.intervals(model.name)
    return next(row.first_ds for row in reversed(intervals) if row.version == challenger.number)


def _mirror(platform: Platform, model: Model, challenger: Version, decision: Decision) -> None:
    registry = platform.registry
    registry.tag(challenger, DECISION, f"{decision.outcome}: {decision.reason}")
    live = list(dict.fromkeys(row.version for row in reversed(platform.ledger.releases.intervals(model.name))))
    for alias, number in zip((CHAMPION, PREVIOUS), live, strict=False):
        registry.alias(registry.version(model.name, number), alias)
    current = registry.aliased(model.name, CHALLENGER)
    if current and live and current.number == live[0]:
        registry.unalias(model.name, CHALLENGER)


def _recorded(platform: Platform, model: Model, version: int) -> Decision | None:
    found = [
        d
        for d in platform.ledger.releases.decisions(model.name)
        if d.version == version and d.action in (PROMOTE, REJECT)
    ]
    return found[-1] if found else None


def _source(platform: Platform, version: Version) -> Source:
    record: dict[str, Any] = json.loads(platform.registry.artifact(version, RECORD))
    return Source.from_dict(record["source"])


def _predictor(platform: Platform, version: Version) -> Predictor:
    return load(platform.registry.model_file(version))


def _within(days: pa.ChunkedArray, interval: Interval) -> int:
    return sum(ds in interval for ds in days.to_pylist())
