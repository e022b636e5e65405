"""Whether a night asks for a new version: verdicts, age and cooldown, all in data dates. Only the frontier asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from include.mlops.ledger.releases import Decision
from include.mlops.policy.retraining import Answer, Situation, answer
from include.mlops.spec.model import Model
from include.mlops.steps.platform import Platform

RETRAIN = "retrain"
AUTOMATIC = ("drift", "performance")
JUDGED, REJECTED = ("promote", "reject"), "rejected"
"""What the release step decides of a trained version; the decision's data date is the as-of date of the training."""


@dataclass(frozen=True)
class Considered:
    asked: bool
    answer: Answer


def consider_retraining(platform: Platform, model: Model, as_of: date, run_id: str) -> Considered:
    """Record in the audit log that `as_of` asks for retraining, if it does. Asking twice gives the same answer."""
    if not platform.at_frontier(model.predictions, as_of):
        return Considered(False, Answer(None, f"{as_of} lies behind the newest scored partition"))
    asked = [d for d in platform.ledger.releases.decisions(model.name, RETRAIN) if d.ds == as_of]
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
        evidence = {"run_id": run_id}
        platform.ledger.releases.decide(
            Decision(model.name, as_of, RETRAIN, found.cause, "policy", found.reason, evidence=evidence)
        )
    return Considered(found.cause is not None, found)


def _situation(platform: Platform, model: Model, as_of: date) -> Situation:
    log = [d for d in platform.ledger.releases.decisions(model.name) if d.ds <= as_of]
    judged = {d.ds: d.outcome for d in log if d.action in JUDGED}
    automatic = [d.ds for d in log if d.action == RETRAIN and d.outcome in AUTOMATIC and d.ds < as_of]
    return Situation(
        as_of=as_of,
        last_trained=max(judged, default=None),
        last_automatic=max((ds for ds in automatic if judged.get(ds) != REJECTED), default=None),
        attempts=sum((as_of - ds).days < model.retraining.cooldown for ds in automatic),
        drift_since=_confirmed_since(platform, model, "drift", as_of),
        performance_since=_confirmed_since(platform, model, "performance", as_of),
        newest_labels=_newest_labels(platform, model, as_of),
    )


def _confirmed_since(platform: Platform, model: Model, kind: str, as_of: date) -> date | None:
    """Of the version that is live: what was found of the one before it is what it was trained to mend."""
    live = platform.ledger.releases.live(model.name, as_of)
    verdicts = [v for v in platform.ledger.monitoring.verdicts(model.name, kind, as_of) if v.version == live]
    return verdicts[-1].since if verdicts and verdicts[-1].confirmed else None


def _newest_labels(platform: Platform, model: Model, as_of: date) -> date | None:
    """The last day with labels that a training as of `as_of` reads: published, and due by then."""
    labels = platform.specs.group(model.label.group)
    published = platform.ledger.publications.frontier(labels.table)
    due = as_of - timedelta(days=max(labels.schedule.delay, model.label.due_after))
    return min(published, due) if published else None
