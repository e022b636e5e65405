"""The release gate: may a challenger replace the champion? Plain values in, a verdict with its reason out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta


@dataclass(frozen=True)
class Bound:
    """The metric on the holdout, and what it must reach: at least `minimum`, or at most `maximum`."""

    metric: str
    value: float
    minimum: float | None = None
    maximum: float | None = None

    @property
    def higher_is_better(self) -> bool:
        return self.minimum is not None


@dataclass(frozen=True)
class Comparison:
    """Challenger minus champion in the same metric, on the same rows.

    Each of `low` and `high` is passed with probability `confidence`; `seen` of the `rows` lie in days that the
    champion was trained on, which flatters the champion.
    """

    champion: int
    value: float
    difference: float
    low: float
    high: float
    confidence: float
    rows: int
    seen: int


@dataclass(frozen=True)
class Verdict:
    """`reason` is a sentence with the numbers."""

    promote: bool
    reason: str


def judge(
    bound: Bound, comparison: Comparison | None, beat_champion_by: float, champion_lost: str | None = None
) -> Verdict:
    """The bound first; then, where there is a champion to compare, the cautious end of the interval must beat it.

    The improvement is the difference in the direction in which the metric is better. A metric that is not a number
    (NaN) reaches no bound. `champion_lost` is the table without which a champion cannot be compared: it could not
    score a new partition either, so that the bound alone decides.
    """
    reached = _reached(bound)
    wanted = f"at least {bound.minimum:g}" if bound.higher_is_better else f"at most {bound.maximum:g}"
    found = f"{bound.metric} {bound.value:.4f}"
    if not reached:
        return Verdict(False, f"expected {bound.metric} of {wanted} on the holdout, found {bound.value:.4f}")
    if comparison is None:
        alone = (
            f"the champion reads {champion_lost}, which has no rows for the holdout"
            if champion_lost
            else "there is no champion to beat"
        )
        return Verdict(True, f"{found} on the holdout ({wanted} was asked), and {alone}")
    sign = 1 if bound.higher_is_better else -1
    improvement, cautious = sign * comparison.difference, comparison.low if bound.higher_is_better else -comparison.high
    against = (
        f"against {comparison.value:.4f} of champion v{comparison.champion} on the same {comparison.rows} rows: "
        f"better by {improvement:+.4f}, and with {comparison.confidence:.0%} confidence by more than {cautious:+.4f}"
    )
    flattered = (
        f" ({comparison.seen} of the rows lie in days that the champion was trained on)" if comparison.seen else ""
    )
    if cautious > beat_champion_by:
        return Verdict(True, f"{found} {against}, beyond the {beat_champion_by:g} that was asked{flattered}")
    return Verdict(False, f"{found} {against}; expected more than {beat_champion_by:g}{flattered}")


def out_of_date(as_of: date, champion: int, champion_as_of: date) -> Verdict | None:
    """A challenger with older data than the champion's is refused: a backfill does not undo what came later."""
    if as_of >= champion_as_of:
        return None
    return Verdict(
        False, f"trained as of {as_of}, before champion v{champion} (as of {champion_as_of}): history is not rewritten"
    )


def first_live_day(as_of: date, newest_scored: date | None, live_since: date | None) -> date:
    """The first partition that a promoted version scores: after its as-of date, and after all that is scored."""
    after = [as_of, *([newest_scored] if newest_scored else [])]
    return max([max(after) + timedelta(days=1), *([live_since] if live_since else [])])


def _reached(bound: Bound) -> bool:
    if bound.minimum is not None:
        return bound.value >= bound.minimum
    return bound.maximum is not None and bound.value <= bound.maximum
