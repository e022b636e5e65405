"""Whether a file that landed starts the ingestion of its day, or the schedule does that, or nobody need."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True)
class Landed:
    """What is known of the day of a file when it lands. `due` and `deadline` are the day's own, by the schedule.

    `scheduled`: a run of the schedule has the day. `failed`: it, or another one, failed for it, and somebody was told.
    `published`: it is published; `same`: from this very file.
    """

    ds: date
    first: date
    scheduled: bool
    due: datetime
    deadline: datetime
    failed: bool = False
    published: bool = False
    same: bool = False


def left_because(landed: Landed, now: datetime) -> str:
    """Why the file starts nothing; empty where it starts the ingestion of its day.

    The schedule has the first word: until a day's deadline its run waits for the file, and looks by itself. What is
    left are days that came late, days that the schedule does not have, and files that were corrected, after a day was
    published or failed.
    """
    if landed.ds < landed.first:
        return f"the group begins on {landed.first}"
    if landed.same:
        return "the day is published from this very file"
    if landed.published:
        return ""
    if now < landed.due:
        return f"the day is due at {landed.due:%Y-%m-%d %H:%M} UTC"
    if landed.scheduled and not landed.failed and now < landed.deadline:
        return "the scheduled run of the day waits for it"
    return ""
