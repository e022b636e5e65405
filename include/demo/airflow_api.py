"""The few calls of Airflow's REST API that the demo makes, as a person's clicks in the web UI would."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_fixed

from include.mlops.errors import MlopsError

FINISHED = ("success", "failed")


@dataclass(frozen=True)
class Run:
    dag_id: str
    run_id: str
    state: str
    key: str | None


class AirflowApi:
    """Signed in as a user of the local stack."""

    def __init__(self, address: str, user: str, password: str) -> None:
        self.address, self._user, self._password = address, user, password
        self._client = httpx.Client(base_url=address, timeout=30)

    def trigger(self, dag_id: str, *, key: str | None = None, conf: dict[str, Any] | None = None) -> Run:
        """Trigger a run, as the Trigger button does; `key` is the field Partition Key."""
        body = {"logical_date": None, "partition_key": key, "conf": conf or {}}
        return self._run(self._call("POST", f"/dags/{dag_id}/dagRuns", json=body))

    def unpause(self, dag_id: str) -> None:
        self._call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def known(self) -> set[str]:
        """The DAGs that Airflow has parsed."""
        return {dag["dag_id"] for dag in self._call("GET", "/dags", params={"limit": 500})["dags"]}

    def import_errors(self) -> list[str]:
        return [error["stack_trace"] for error in self._call("GET", "/importErrors")["import_errors"]]

    def runs(self, dag_id: str) -> Iterator[Run]:
        """The newest runs of a DAG."""
        found = self._call("GET", f"/dags/{dag_id}/dagRuns", params={"limit": 25, "order_by": "-run_after"})
        return (self._run(run) for run in found["dag_runs"])

    def clear(self, run: Run) -> None:
        """Run it again in place, as the Clear button does. (`clearPartitions` would take its partition key away.)"""
        self._call("POST", f"/dags/{run.dag_id}/dagRuns/{run.run_id}/clear", json={"dry_run": False})

    def state(self, run: Run) -> str:
        return str(self._call("GET", f"/dags/{run.dag_id}/dagRuns/{run.run_id}")["state"])

    def task_state(self, run: Run, task_id: str) -> str | None:
        """None for a task that is not scheduled yet."""
        found = self._call("GET", f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{task_id}")["state"]
        return found and str(found)

    def failures(self, run: Run) -> dict[str, str]:
        """The error of each failed task; empty where its log has none, as where it was killed."""
        path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances"
        failed = self._call("GET", path, params={"state": "failed"})["task_instances"]
        return {task["task_id"]: self._error(f"{path}/{task['task_id']}/logs/{task['try_number']}") for task in failed}

    def _error(self, path: str) -> str:
        """The last exception in a log."""
        lines = self._call("GET", path, params={"full_content": "true"})["content"]
        errors = [line["error_detail"][0]["exc_value"] for line in lines if line.get("error_detail")]
        return str(errors[-1]) if errors else ""

    def token(self) -> str:
        """What a browser that signed in holds as the cookie `_token`."""
        self.known()
        return str(self._client.headers["Authorization"]).removeprefix("Bearer ")

    def page(self, run: Run) -> str:
        return f"{self.address}/dags/{run.dag_id}/runs/{run.run_id}"

    @staticmethod
    def _run(found: dict[str, Any]) -> Run:
        return Run(found["dag_id"], found["dag_run_id"], found["state"], found.get("partition_key"))

    # Just after new DAGs were parsed sqlite may answer 500 once, and a busy machine may answer late.
    @retry(
        retry=retry_if_exception_type((httpx.TransportError, ConnectionError)),
        wait=wait_fixed(1),
        stop=stop_after_attempt(10),
        reraise=True,
    )
    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        if "Authorization" not in self._client.headers:
            self._sign_in()
        answer = self._client.request(method, f"/api/v2{path}", **arguments)
        if answer.status_code == 401:
            self._sign_in()
        if answer.status_code in (401, 500, 502, 503):
            raise ConnectionError(f"Airflow answered {answer.status_code} to {method} {path}: {answer.text[:300]}")
        if answer.is_error:
            raise MlopsError(f"Airflow refused {method} {path} with {answer.status_code}: {answer.text[:500]}")
        return answer.json() if answer.content else None

    def _sign_in(self) -> None:
        answer = self._client.post("/auth/token", json={"username": self._user, "password": self._password})
        if answer.status_code != 201:
            raise ConnectionError(f"Airflow refused the user {self._user}: {answer.status_code} {answer.text[:200]}")
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


def until(condition: Any, seconds: float, what: str, every: float = 1.0) -> Any:
    """Poll until `condition()` is true and return it. Raises MlopsError after `seconds`."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise MlopsError(
                f"expected {what} within {seconds:.0f} s; look at Airflow's runs and the state folder's logs"
            )
        time.sleep(every)
    return found
