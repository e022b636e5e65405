"""Who carries the data of a step: the task's own process, or Spark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TRAINING_BYTES = 44
"""For each value in process: Arrow's column, the matrix, XGBoost's bins. Measured: see docs/performance.md."""
SCORING_BYTES = 8
"""For each value that passes through one process; a batch at a time is held, so this weighs work, not memory."""


@dataclass(frozen=True)
class Carrier:
    """`workers` is 1 in process. `reason` is for the log."""

    workers: int
    reason: str

    @property
    def is_spark(self) -> bool:
        return self.workers > 1


def choose(workers: int | Literal["auto"], rows: int, columns: int, bytes_a_value: int, budget: int) -> Carrier:
    """A number is taken as it is; `auto` takes as many workers as the estimated need fills budgets (bytes)."""
    if workers != "auto":
        return Carrier(workers, f"workers: {workers} in the specification")
    need = rows * columns * bytes_a_value
    found = max(1, -(-need // budget))
    estimate = f"{rows:,} rows x {columns} columns need about {need / 2**20:,.0f} MiB"
    return Carrier(found, f"{estimate}, a task may hold {budget / 2**20:,.0f} MiB (MLOPS_TASK_MEMORY)")
