"""What each step costs by the rows of its day: 10^5 to 10^7 made-up trips of 18 features, on this machine.

Each size has a lake of its own. Trips land as Parquet and are ingested by Spark, validated and published; a model is
trained in process on seven days that hold as many rows together, and scores, measures and monitors the day. Each
process is fresh; imports, first connections and a first small day of the new Spark server are not counted. Of each
step: seconds, what a million more rows add (from the size before), and the memory of its process, without the Spark
server's.

    python benchmarks/scale.py --rows 100000 1000000 10000000
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import made_up, peers
from include.mlops.spec.interval import Interval
from include.mlops.steps.platform import Platform

EVE, NIGHT, TRAINED = made_up.day(19), made_up.day(20), made_up.day(10)
WINDOW = 7
Times = dict[str, float]
T = TypeVar("T")


def set_up(state: Path, rows: int) -> dict[str, Any]:
    """Days to train on, that hold `rows` together in each window, and the night's rows: landed, and its labels."""
    platform = made_up.platform_of(state)
    for number in range(1, 12):
        trips, outcomes = made_up.rows(made_up.day(number), rows // WINDOW)
        made_up.publish(platform, made_up.TRIPS, trips, made_up.day(number))
        made_up.publish(platform, made_up.OUTCOMES, outcomes, made_up.day(number))
    trips, outcomes = made_up.rows(NIGHT, rows)
    made_up.publish(platform, made_up.OUTCOMES, outcomes, NIGHT)
    made_up.land(platform, trips, NIGHT)
    made_up.land(platform, made_up.rows(EVE, 1_000)[0], EVE)
    return {"rows": rows}


def ingest(state: Path, _: dict[str, Any]) -> dict[str, Any]:
    from include.mlops.steps.ingestion.ingest import ingest
    from include.mlops.steps.ingestion.publish import ingest_interval, publish
    from include.mlops.steps.ingestion.validate import validate

    platform = _warm(state)
    group, times = made_up.landed_trips(state), {}
    ingest_interval(platform, group, Interval.day(EVE), "warm")  # Java compiles what a server that stands has compiled
    ingested = _timed(times, "ingest", lambda: ingest(platform, group, Interval.day(NIGHT), "scale"))
    validated = _timed(times, "validate", lambda: validate(platform, group, ingested))
    _timed(times, "publish", lambda: publish(platform, group, ingested, validated))
    return _told(times)


def train(state: Path, _: dict[str, Any]) -> dict[str, Any]:
    from include.mlops.steps.training.train import train

    platform, times = _warm(state), {}
    model = made_up.model(WINDOW, training={"workers": 1})
    trained = _timed(times, "train", lambda: train(platform, model, TRAINED, "scale"))
    platform.ledger.releases.promote("late_trips", trained.version, NIGHT)
    return _told(times)


def score(state: Path, _: dict[str, Any]) -> dict[str, Any]:
    from include.mlops.steps.scoring.score import score

    platform, times = _warm(state), {}
    model = made_up.model(WINDOW, scoring={"workers": 1})
    _timed(times, "score", lambda: score(platform, model, Interval.day(NIGHT), "scale"))
    return _told(times)


def watch(state: Path, _: dict[str, Any]) -> dict[str, Any]:
    import evidently  # noqa: F401 - what a process does once

    from include.mlops.steps.monitoring.monitor import monitor
    from include.mlops.steps.monitoring.performance import measure

    platform, times = _warm(state), {}
    model = made_up.model(WINDOW)
    _timed(times, "measure", lambda: measure(platform, model, Interval.day(NIGHT), "scale"))
    _timed(times, "monitor", lambda: monitor(platform, model, NIGHT, "scale"))
    return _told(times)


PEERS: dict[str, peers.Peer] = {"ingest": ingest, "train": train, "score": score, "watch": watch}


def _warm(state: Path) -> Platform:
    import great_expectations  # noqa: F401
    import xgboost  # noqa: F401

    platform = made_up.platform_of(state)
    platform.spark.range(1).count()
    assert platform.ledger.publications.frontier(made_up.TRIPS.table)
    platform.registry.versions("late_trips")
    assert platform.lake.snapshot(made_up.TRIPS.table)
    return platform


def _timed(times: Times, step: str, action: Callable[[], T]) -> T:
    begun = time.perf_counter()
    found = action()
    times[step] = time.perf_counter() - begun
    return found


def _told(times: Times) -> dict[str, Any]:
    return {"seconds": sum(times.values()), "steps": times}


def show(sizes: Sequence[int], found: dict[int, dict[str, dict[str, float]]]) -> None:
    """A line a step: seconds at each size, seconds that a million more rows added, and the most memory."""
    heads = "".join(f"{size:>12,}" for size in sizes)
    print(f"\n{'seconds by rows':18}{heads}{'per million':>14}{'memory':>11}")
    for step in found[sizes[0]]:
        seconds = [found[size][step]["seconds"] for size in sizes]
        more = (seconds[-1] - seconds[-2]) / (sizes[-1] - sizes[-2]) * 1e6 if len(sizes) > 1 else float("nan")
        memory = max(found[size][step]["bytes"] for size in sizes) / 2**30
        print(f"{step:18}{''.join(f'{one:>12.1f}' for one in seconds)}{more:>14.2f}{memory:>7.2f} GiB")


def main() -> None:
    parser = peers.arguments(__doc__ or "")
    parser.set_defaults(repeat=1)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    options = parser.parse_args()
    if peers.answer_as_peer(PEERS, options):
        return
    found: dict[int, dict[str, dict[str, float]]] = {}
    for rows in options.rows:
        with peers.state_folder() as folder, made_up.servers(Path(folder)):
            runs = peers.compare(__file__, list(PEERS), options, Path(folder), set_up(Path(folder), rows))
        found[rows] = {
            step: {"seconds": seconds, "bytes": each[0]["bytes"]}
            for each in runs.values()
            for step, seconds in each[0]["steps"].items()
        }
        print(f"{rows:,} rows: " + ", ".join(f"{step} {one['seconds']:.1f} s" for step, one in found[rows].items()))
    show(options.rows, found)
    peers.keep(options, {str(rows): steps for rows, steps in found.items()})


if __name__ == "__main__":
    main()
