"""The carrier that is the task's own process: batches come from the lake, predictions go to files beside the table."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from include.mlops.errors import FeaturesUnusable
from include.mlops.lake.digest import Digest
from include.mlops.lake.drafts import Draft
from include.mlops.lake.lake import Lake
from include.mlops.learner.profile import drawn
from include.mlops.learner.scoring import Tally
from include.mlops.policy.scoring import ScoreSummary
from include.mlops.spec.interval import Interval
from include.mlops.steps.scoring.predictions import EACH_TIME, Job


@dataclass(frozen=True)
class WrittenInProcess:
    summaries: dict[date, ScoreSummary]
    failures: dict[date, str]
    digests: dict[date, Digest]
    draft: Draft

    def digest(self, ds: date) -> str:
        return self.digests[ds].text()

    def publish(self, days: Collection[date]) -> int:
        return self.draft.publish(days)

    def discard(self) -> None:
        self.draft.discard()


def write_in_process(lake: Lake, job: Job) -> WrittenInProcess:
    """Predict day by day; no more than a batch is held. A day with unusable features fails alone."""
    draft = Draft(lake, job.table)
    digests = {ds: Digest(without=EACH_TIME) for ds in job.days}
    try:
        found = _each_day(lake, job, lambda ds, batches: draft.write(ds, digests[ds].watch(batches)))
        return WrittenInProcess(*found, digests, draft)
    except BaseException:
        draft.discard()
        raise


def summarise_in_process(lake: Lake, job: Job) -> tuple[dict[date, ScoreSummary], dict[date, str]]:
    """Summaries and failures by day, with nothing written."""
    return _each_day(lake, job, lambda _, batches: sum(batch.num_rows for batch in batches))


def _each_day(
    lake: Lake, job: Job, write: Callable[[date, Iterable[pa.RecordBatch]], int]
) -> tuple[dict[date, ScoreSummary], dict[date, str]]:
    summaries: dict[date, ScoreSummary] = {}
    failures: dict[date, str] = {}
    for ds in job.days:
        tally = Tally(job.min_distinct)
        try:
            write(ds, tally.watch(predicted(lake, job, ds)))
        except FeaturesUnusable as error:
            failures[ds] = error.line()
        else:
            summaries[ds] = ScoreSummary(
                tally.rows, tally.nulls, tally.distinct, tally.minimum, tally.maximum, tally.mean
            )
    return summaries, failures


def predicted(lake: Lake, job: Job, ds: date) -> Iterator[pa.RecordBatch]:
    """The predictions of one day, batch by batch. Raises FeaturesUnusable."""
    scorer, serving = job.scorer(ds), job.days[ds]
    for batch in lake.batches(serving.features, Interval.day(ds), scorer.columns, serving.snapshot):
        rows = batch if job.sample is None else batch.filter(drawn(batch, job.keys, job.sample))
        yield scorer.score(rows)
