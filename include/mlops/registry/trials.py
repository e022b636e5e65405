"""The trials of a search as nested runs. They are its journal too: a search that was killed goes on from them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from include.mlops.registry.connection import available

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

_PARENT, _TRIAL, _STATE, _BEST = "mlflow.parentRunId", "mlops.trial", "mlops.trial_state", "mlops.search_best_trial"


class Trials:
    """Below the run `run_id`; `earlier` runs of the same training were killed."""

    def __init__(self, client: MlflowClient, url: str, experiment_id: str, run_id: str, earlier: Sequence[str]) -> None:
        self._client, self._url, self._experiment_id = client, url, experiment_id
        self._run_id, self._earlier = run_id, earlier

    def adopt(self) -> list[dict[str, Any]]:
        """Move the trials of earlier runs below this one; what was told of them, in their order."""
        with available(self._url):
            found = [child for run_id in self._earlier for child in self._below(run_id)]
            for child in found:
                self._client.set_tag(child.info.run_id, _PARENT, self._run_id)
                if child.info.status == "RUNNING":  # killed between being told and being ended
                    self._client.set_terminated(child.info.run_id, "FINISHED")
        told: list[dict[str, Any]] = [json.loads(child.data.tags[_TRIAL]) for child in found]
        return sorted(told, key=lambda trial: int(trial["number"]))

    def log(self, trial: Mapping[str, Any], metric: str) -> None:
        """Tell of a trial that ended; the first request holds all that `adopt` needs."""
        from mlflow.entities import Metric, Param

        now = int(time.time() * 1000)
        tags = {_PARENT: self._run_id, _STATE: trial["state"], _TRIAL: json.dumps(dict(trial))}
        reports = [
            Metric(f"round_validation_{metric}", value, now, int(number)) for number, value in trial["reports"].items()
        ]
        judged = [Metric(f"validation_{metric}", trial["value"], now, 0), Metric("rounds", trial["rounds"], now, 0)]
        params = [Param(name, str(value)) for name, value in trial["parameters"].items()]
        with available(self._url):
            child = self._client.create_run(
                self._experiment_id,
                start_time=now - int(1000 * trial["seconds"]),
                tags=tags,
                run_name=f"trial {trial['number']}",
            )
            self._client.log_batch(child.info.run_id, metrics=[*reports, *judged], params=params)
            self._client.set_terminated(child.info.run_id, "FINISHED")

    def conclude(self, best: int, parameters: Mapping[str, Any]) -> None:
        """No trial follows: `best` is the number of the one whose parameters are taken."""
        from mlflow.entities import Param

        params = [Param(f"search.best.{name}", str(value)) for name, value in parameters.items()]
        with available(self._url):
            self._client.log_batch(self._run_id, params=params)
            self._client.set_tag(self._run_id, _BEST, str(best))

    def concluded(self) -> bool:
        """Whether an earlier run came to the end of the search."""
        with available(self._url):
            return any(_BEST in self._client.get_run(run_id).data.tags for run_id in self._earlier)

    def _below(self, run_id: str) -> list[MlflowRun]:
        return [
            child
            for child in self._client.search_runs(
                [self._experiment_id], f"tags.`{_PARENT}` = '{run_id}'", max_results=5000
            )
            if _TRIAL in child.data.tags
        ]
