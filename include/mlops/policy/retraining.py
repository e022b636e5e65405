"""Whether a night asks for a new version, and why not where it does not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Situation:
    """What is known at a data date."""

    as_of: date
    last_trained: date | None
    last_automatic: date | None  # the last training that drift or performance asked for and that was not rejected
    attempts: int  # trainings that drift or performance asked for within the cooldown, rejected ones included
    drift_since: date | None  # of a confirmed verdict on the live version, else None
    performance_since: date | None
    newest_labels: date | None  # the newest labelled day that a training as of `as_of` reads


@dataclass(frozen=True)
class Answer:
    """`cause` is drift, performance or schedule; None: no retraining, for `reason`."""

    cause: str | None
    reason: str


def answer(
    now: Situation,
    *,
    every: int,
    cooldown: int,
    attempts: int,
    labelled_days: int,
    on_drift: bool,
    on_performance: bool,
) -> Answer:
    """Drift before performance before schedule. A shift waits for labels, for the cooldown, and for its attempts to
    expire; a rejected version does not start the cooldown.
    """
    if now.last_trained is None:
        return Answer(None, "no version was trained yet; train the first one by hand")
    held = []
    for cause, since, wanted in (
        ("drift", now.drift_since, on_drift),
        ("performance", now.performance_since, on_performance),
    ):
        if since is None or not wanted:
            continue
        labelled = max((now.newest_labels - since).days + 1, 0) if now.newest_labels else 0
        rest = cooldown - (now.as_of - now.last_automatic).days if now.last_automatic else 0
        if labelled < labelled_days:
            held.append(f"{cause} since {since} waits for labels: {labelled} of {labelled_days} days")
        elif rest > 0:
            held.append(f"{cause} since {since} is in cooldown for {rest} more day(s)")
        elif now.attempts >= attempts:
            tried = f"was tried {now.attempts} times within {cooldown} days, without a better version"
            held.append(f"{cause} since {since} {tried}")
        else:
            return Answer(cause, f"{cause} since {since}, {labelled} labelled day(s)")
    age = (now.as_of - now.last_trained).days
    if age >= every:
        return Answer("schedule", f"the last training was {age} days ago, every {every} asked for")
    return Answer(None, "; ".join(held) or f"nothing asks for it; the last training was {age} day(s) ago")
