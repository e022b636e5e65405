"""What a table's past costs: one more day committed, and one day read, after so many days, without Spark.

Predictions are written so: a commit a day, by pyiceberg. The rows are few, so that metadata is all there is to see; the
catalog is sqlite and the files are on the local disk.

    python benchmarks/partitions.py --days 10 100 1000
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import made_up, peers
from include.mlops.lake.lake import Lake
from include.mlops.settings import Settings
from include.mlops.spec.interval import Interval

TABLE, ROWS, TURNS = "predictions.made_up", 100, 5


def main() -> None:
    parser = peers.arguments(__doc__ or "")
    parser.add_argument("--days", type=int, nargs="+", default=[10, 100, 1000])
    options = parser.parse_args()
    found = {}
    with peers.state_folder() as folder:
        lake = Lake(Settings(state=Path(folder)))
        lake.create(TABLE, {"key": "long", "score": "double", "ds": "date"})
        made = 0
        print(f"{'days':>6}{'commit':>10}{'read a day':>12}{'metadata':>12}{'manifests':>11}")
        for days in options.days:
            while made < days:
                made += 1
                _commit(lake, made)
            found[days] = one = _measured(lake, made)
            made += TURNS
            print(
                f"{days:>6}{1000 * one['commit']:>7.0f} ms{1000 * one['read']:>9.0f} ms"
                f"{one['bytes'] / 2**10:>8.0f} KiB{one['manifests']:>11.0f}"
            )
    peers.keep(options, {str(days): one for days, one in found.items()})


def _measured(lake: Lake, made: int) -> dict[str, float]:
    commits = [_seconds(lambda number=number: _commit(lake, made + number)) for number in range(1, TURNS + 1)]
    middle = Interval.day(made_up.day(made // 2 + 1))
    reads = [_seconds(lambda: lake.read(TABLE, middle, ["score"])) for _ in range(TURNS)]
    table = lake.table(TABLE)
    current = table.current_snapshot()
    assert current is not None
    return {
        "commit": statistics.median(commits),
        "read": statistics.median(reads),
        "bytes": len(table.io.new_input(table.metadata_location).open().read()),
        "manifests": len(current.manifests(table.io)),
    }


def _commit(lake: Lake, number: int) -> None:
    ds = made_up.FIRST + timedelta(days=number - 1)
    days = pa.array([ds] * ROWS, pa.date32())
    lake.replace(TABLE, pa.table({"key": range(ROWS), "score": [0.5] * ROWS, "ds": days}), [ds])


def _seconds(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
