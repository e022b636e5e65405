"""Whether a night asks for a new version: verdicts, age and cooldown, all in data dates. Only the frontier asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from include.mlops.ledger.releases import Decision
from include.mlops.policy.retraining import Answer, Situation, answer
from include.mlops.spec.model import Model
from include.mlops.steps.platform import Platform

AUTOMATIC = ("drift", "performance")


@dataclass(frozen=True)
class Considered:
    asked: bool
    answer: Answer


def consider_retraining(platform: Platform, model: Model, as_of: date, run_id: str) -> Considered:
    """Record in the audit log that `as_of` asks for retraining, if it does. Asking twice gives the same answer."""
    if not platform.at_frontier(model.predictions, as_of):
        return Considered(False, Answer(None, f"{as_of} lies behind the newest scored partition"))
    asked = [d for d in platform.ledger.releases.decisions(model.name, "retrain") if d.ds == as_of]
    if asked:
        return Considered(True, Answer(asked[0].outcome, asked[0].reason))
    found = answer(
        _situation(platform, model, as_of),
        every=model.training.every,
        cooldown=model.retraining.cooldown,
        attempts=model.retraining.attempts,
        labelled_days=model.labelled_days,
        on_drift=model.retraining.on_drift,
        on_performance=model.retraining.on_performance,
    )
    if found.cause:
        platform.ledger.releases.decide(
            Decision(model.name, as_of, "retrain", found.cause, "policy", found.reason, evidence={"run_id": run_id})
        )
    return Considered(found.cause is not None, found)


def _situation(platform: Platform, model: Model, as_of: date) -> Situation:
    log = platform.ledger.releases.decisions(model.name)
    judged = {d.ds: d.outcome for d in log if d.version is not None and d.ds <= as_of}
    automatic = [d.ds for d in log if d.action == "retrain" and d.outcome in AUTOMATIC and d.ds < as_of]
    labels = platform.ledger.publications.frontier(platform.specs.group(model.label.group).table)
    return Situation(
        as_of=as_of,
        last_trained=max(judged, default=None),
        last_automatic=max((ds for ds in automatic if judged.get(ds) != "rejected"), default=None),
        attempts=sum((as_of - ds).days < model.retraining.cooldown for ds in automatic),
        drift_since=_confirmed_since(platform, model, "drift", as_of),
        performance_since=_confirmed_since(platform, model, "performance", as_of),
        newest_labels=labels or date.min,
    )


def _confirmed_since(platform: Platform, model: Model, kind: str, as_of: date) -> date | None:
    verdicts = platform.ledger.monitoring.verdicts(model.name, kind, as_of)
    return verdicts[-1].since if verdicts and verdicts[-1].confirmed else None
