"""Many days in bulk against as many nights, on the example's real flights, without Airflow.

A night `ds` ingests the outcomes and the weather of `ds - 2`, makes the features of `ds` and scores them; the bulk runs
the same four steps once each, over all days. Both write partitions that exist already, as a rerun does. Of the nights
some are run, spread evenly, and scaled to all; `--all` runs each.

    python benchmarks/bulk.py --days 90
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import made_up, peers
from include.demo.landing import FIRST, land_outcomes, land_schedule, land_weather
from include.mlops.spec.interval import Interval
from include.mlops.spec.model import Model
from include.mlops.steps.platform import Platform

FIRST_NIGHT = date(2013, 1, 30)  # the first day with 28 days of history
KNOWN = (-2, -2)
BULK, NIGHTS = "in bulk", "night by night"
LEAST = 14  # days: nine that train and judge a version, and their labels


def set_up(state: Path, days: int, nights: int) -> dict[str, Any]:
    """All files landed, everything published once, and a version live for every day."""
    from include.mlops.steps.ingestion.publish import ingest_interval
    from include.mlops.steps.training.train import train

    platform = _platform(state)
    every = Interval(FIRST_NIGHT, FIRST_NIGHT + timedelta(days=days - 1))
    known = Interval(FIRST, every.lagged(KNOWN).last)
    landing = Path(platform.settings.landing)
    for ds in known:
        land_outcomes(landing, ds)
        land_weather(landing, ds)
    for ds in every:
        land_schedule(landing, ds)
    for name, interval in {"flight_outcomes": known, "airport_weather": known, "scheduled_flights": every}.items():
        ingest_interval(platform, platform.specs.group(name), interval, "set-up")
    model = _model(platform)
    as_of = FIRST_NIGHT + timedelta(days=LEAST - 2)
    done = train(platform, model.model_copy(update={"training": _short(model)}), as_of, "set-up")
    platform.ledger.releases.promote(model.name, done.version, FIRST_NIGHT)
    chosen = [str(ds) for number, ds in enumerate(every) if number * nights % days < nights]
    return {"days": [str(every.first), str(every.last)], "nights": chosen}


def _platform(state: Path) -> Platform:
    return Platform(made_up.settings_of(state))  # with the example's specifications


def _model(platform: Platform) -> Model:
    return platform.specs.models["flight_delay"]


def _short(model: Model) -> Any:
    return model.training.model_copy(update={"window": 7, "holdout": 2})


def _run(platform: Platform, every: Interval, run_id: str) -> dict[str, float]:
    """Seconds by step."""
    from include.mlops.steps.ingestion.publish import ingest_interval
    from include.mlops.steps.scoring.score import score

    known = every.lagged(KNOWN)
    took: dict[str, float] = {}
    for name, interval in {"flight_outcomes": known, "airport_weather": known, "scheduled_flights": every}.items():
        begun = time.perf_counter()
        ingest_interval(platform, platform.specs.group(name), interval, run_id)
        took[name] = time.perf_counter() - begun
    begun = time.perf_counter()
    score(platform, _model(platform), every, run_id)
    return {**took, "score": time.perf_counter() - begun}


def _warm(state: Path) -> Platform:
    """With imports done and a session open: nothing that a process does once is measured."""
    import great_expectations  # noqa: F401
    import xgboost  # noqa: F401

    platform = _platform(state)
    platform.spark.range(1).count()
    platform.registry.versions("flight_delay")
    return platform


def _rows(platform: Platform, days: Sequence[str]) -> dict[str, int]:
    """Rows of predictions by day, as readers see them."""
    table = _model(platform).predictions
    wanted = [Interval.day(day) for day in days]
    return {str(day): platform.lake.read(table, day, ["ds"]).num_rows for day in wanted}


def bulk(state: Path, told: dict[str, Any]) -> dict[str, Any]:
    platform = _warm(state)
    every = Interval(*map(date.fromisoformat, told["days"]))
    steps = _run(platform, every, "bulk")
    return {"seconds": sum(steps.values()), "steps": steps, "rows": _rows(platform, told["nights"])}


def nights(state: Path, told: dict[str, Any]) -> dict[str, Any]:
    platform = _warm(state)
    every = Interval(*map(date.fromisoformat, told["days"]))
    each = [_run(platform, Interval.day(day), "night") for day in told["nights"]]
    scale = len(every) / len(each)
    steps = {name: scale * sum(one[name] for one in each) for name in each[0]}
    return {"seconds": sum(steps.values()), "steps": steps, "rows": _rows(platform, told["nights"])}


PEERS: dict[str, peers.Peer] = {NIGHTS: nights, BULK: bulk}


def say_steps(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    for name, found in runs.items():
        steps = {step: statistics.median(one["steps"][step] for one in found) for step in found[0]["steps"]}
        print(f"  {name}: {', '.join(f'{step} {seconds:.1f} s' for step, seconds in steps.items())}")
    rows = [one["rows"] for found in runs.values() for one in found]
    same = all(one == rows[0] for one in rows)
    print(
        f"  rows of predictions: {sum(rows[0].values()):,} in {len(rows[0])} days, {'equal' if same else 'DIFFERENT'}"
    )


def main() -> None:
    parser = peers.arguments(__doc__ or "")
    parser.set_defaults(repeat=1)
    parser.add_argument("--days", type=int, default=90, help=f"{LEAST} or more")
    parser.add_argument("--nights", type=int, default=10, help="nights that are run, and scaled to all days")
    parser.add_argument("--all", action="store_true", help="run every night")
    options = parser.parse_args()
    if peers.answer_as_peer(PEERS, options):
        return
    many = options.days if options.all else min(options.nights, options.days)
    with peers.state_folder() as folder, made_up.servers(Path(folder)):
        told = set_up(Path(folder), options.days, many)
        runs = peers.compare(__file__, list(PEERS), options, Path(folder), told)
    scaled = "" if many == options.days else f" ({many} nights run, scaled to {options.days})"
    peers.show(f"{options.days} days{scaled}", runs, next(iter(runs)))
    say_steps(runs)
    peers.keep(options, {"days": options.days, "nights": many, "runs": runs})


if __name__ == "__main__":
    main()
