"""The demo: a local stack, real flights, and Airflow doing the nightly loop, night after night.

The demo plays upstream (it lands files) and the operator (it triggers and unpauses DAGs over Airflow's API); all else
is the product. Run again, it goes on where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

from include.demo.airflow_api import FINISHED, AirflowApi, Run, until
from include.demo.scenario import Scenario
from include.demo.summary import keep, show, summarise, summarise_model
from include.mlops.errors import MlopsError
from include.mlops.local.airflow import ADMIN, admin_password
from include.mlops.local.stack import LocalStack
from include.mlops.settings import Settings
from include.mlops.spec.model import Model
from include.mlops.steps.platform import Platform

GROUPS = ("flight_outcomes", "airport_weather", "scheduled_flights")
OF_MODEL = ("score", "performance", "retrain")


def run_demo(settings: Settings, nights: int, *, stay: bool, console: Console) -> None:
    """Play the scenario. Raises MlopsError where a run fails, with the address of its page."""
    scenario = Scenario(nights=nights)
    console.print(f"State in {settings.state}; logs in {settings.state / 'logs'}")
    began = time.monotonic()
    with ExitStack() as opened:
        with console.status("Starting Spark, MLflow and Airflow"):
            stack = opened.enter_context(LocalStack(settings))
        airflow, password = stack.addresses["airflow"], admin_password(settings)
        pages = f"Airflow  {airflow}  (user {ADMIN}, password {password})\nMLflow   {stack.addresses['mlflow']}"
        _tell(console, "stack", "Spark, MLflow and Airflow are up", began)
        console.print(pages)
        demo = Demo(settings, scenario, AirflowApi(airflow, ADMIN, password), stack, console)
        demo.play()
        summary = summarise(demo.platform, scenario.first_night)
        keep(settings.state / "demo-summary.json", summary)
        show(console, summary)
        console.print(f"{pages}\nSummary  {settings.state / 'demo-summary.json'}")
        if stay:
            console.print("The pages stay up until Ctrl-C.")
            stack.wait()


class Demo:
    """One playing of the scenario on a running stack."""

    def __init__(
        self, settings: Settings, scenario: Scenario, airflow: AirflowApi, stack: LocalStack, console: Console
    ) -> None:
        self.platform = Platform(settings)
        self._models = list(self.platform.specs.models.values())
        of_models = [f"{what}_{model.name}" for model in self._models for what in OF_MODEL]
        self._dags = ["bulk", "deliver_alerts", *(f"ingest_{name}" for name in GROUPS), *of_models]
        self._landing = Path(settings.landing)
        self._scenario, self._airflow, self._stack, self._console = scenario, airflow, stack, console

    def play(self) -> None:
        self._wait_for_dags()
        self._history()
        self._first_versions()
        for name in self._dags:
            self._airflow.unpause(name)
        scored = [self.platform.ledger.publications.frontier(model.predictions) for model in self._models]
        for number, ds in enumerate(self._scenario.dates(), 1):
            if any(last is None or ds > last for last in scored):
                self._night(number, ds)
            else:
                self._console.print(f"night {number}/{self._scenario.nights} {ds} is there already")

    def _wait_for_dags(self) -> None:
        with self._console.status("Airflow parses the DAGs"):
            until(
                lambda: set(self._dags) <= self._airflow.known() or self._airflow.import_errors(),
                120,
                "the DAGs in Airflow",
            )
        if errors := self._airflow.import_errors():
            raise MlopsError("expected DAGs without import errors, found:\n" + "\n".join(errors))

    def _history(self) -> None:
        """Bulk runs for what is not published yet, one after another."""
        missing = {
            name: interval
            for name, interval in self._scenario.history.items()
            if self.platform.ledger.publications.missing(self.platform.specs.group(name).table, interval)
        }
        if not missing:
            return
        began = time.monotonic()
        files = self._scenario.land_history(self._landing)
        _tell(self._console, "landing", f"{files} files of history in {self._landing}", began)
        self._airflow.unpause("bulk")
        for name, interval in missing.items():
            began = time.monotonic()
            run = self._airflow.trigger(
                "bulk", conf={"what": name, "from": str(interval.first), "to": str(interval.last)}
            )
            self._finish(run, f"history of {name}, {len(interval)} days in one job")
            published = self.platform.ledger.publications.over(self.platform.specs.group(name).table, interval)
            rows = sum(publication.rows for publication in published.values())
            _tell(self._console, "history", f"{name} {interval}: {rows:,} rows", began)

    def _first_versions(self) -> None:
        for model in self._models:
            if self.platform.ledger.releases.intervals(model.name):
                continue
            began = time.monotonic()
            self._airflow.unpause(f"retrain_{model.name}")
            as_of, conf = str(self._scenario.trained_as_of), {"reason": "the first version"}
            run = self._airflow.trigger(f"retrain_{model.name}", key=as_of, conf=conf)
            self._finish(run, f"training, registration and release of the first version of {model.name}")
            _tell(self._console, "training", self._newest_release(model), began)

    def _night(self, number: int, ds: date) -> None:
        """Land the schedule of `ds`; the scheduler's runs that wait for it go on by themselves.

        Once its features are published the day passes: what the next night knows lands while this one is scored.
        """
        began = time.monotonic()
        label = f"night {number}/{self._scenario.nights} {ds}"
        key = {name: ds - timedelta(days=self.platform.specs.group(name).schedule.delay) for name in GROUPS}
        ingests = [(f"ingest_{name}", key[name]) for name in GROUPS]
        scores = [
            run
            for model in self._models
            for run in ((f"score_{model.name}", ds), (f"performance_{model.name}", key[model.label.group]))
        ]
        self._clear_failed([*ingests, *scores])
        self._scenario.land_known(self._landing, ds)
        self._scenario.land_schedule(self._landing, ds)
        with self._console.status(label) as status:
            self._await(ingests, lambda step: status.update(f"{label}: {step}"))
            if number < self._scenario.nights:
                self._scenario.land_known(self._landing, ds + timedelta(days=1))
            self._await(scores, lambda step: status.update(f"{label}: {step}"))
            released = [self._retraining(m, ds, lambda step: status.update(f"{label}: {step}")) for m in self._models]
        _tell(self._console, label, self._night_line(ds) + "".join(released), began)

    def _await(self, runs: list[tuple[str, date]], progress: Callable[[str], None]) -> None:
        for dag_id, key in runs:
            progress(f"{dag_id} {key}")
            finished = until(lambda d=dag_id, k=key: self._finished(d, str(k)), 300, f"a run of {dag_id} for {key}")
            self._require(finished)

    def _clear_failed(self, wanted: list[tuple[str, date]]) -> None:
        """Runs that an earlier, interrupted demo left failed are run again, as an operator would."""
        for dag_id, key in wanted:
            run = self._finished(dag_id, str(key))
            if run and run.state == "failed":
                self._airflow.clear(run)

    def _retraining(self, model: Model, ds: date, progress: Callable[[str], None]) -> str:
        asked = [d for d in self.platform.ledger.releases.decisions(model.name, "retrain") if d.ds == ds]
        if not asked:
            return ""
        dag = f"retrain_{model.name}"
        progress(f"{dag} because of {asked[0].outcome}")
        self._require(until(lambda: self._finished(dag, str(ds)), 300, f"a finished run of {dag} for {ds}"))
        return f"; retrained ({asked[0].reason}): {self._newest_release(model)}"

    def _newest_release(self, model: Model) -> str:
        decision = [d for d in self.platform.ledger.releases.decisions(model.name) if d.version is not None][-1]
        return f"{model.name} v{decision.version} {decision.outcome}: {decision.reason}"

    def _night_line(self, ds: date) -> str:
        labelled, parts = ds - timedelta(days=2), []
        for model in self._models:
            found = summarise_model(self.platform, model, labelled)
            nights: dict[str, Any] = {night["ds"]: night for night in found["nights"]}
            night, value = nights[str(ds)], nights.get(str(labelled), {}).get("realised")
            drifted = f" ({', '.join(night['drifted'][:2])})" if night["drifted"] else ""
            realised = f", {found['metric']} of {labelled} {value:.3f}" if value is not None else ""
            parts.append(f"{model.name} v{night['version']}, drift {night['drift']}{drifted}{realised}")
        quarantined = f", {night['quarantined']} quarantined" if night["quarantined"] else ""
        return f"{night['rows']} rows{quarantined}; {'; '.join(parts)}"

    def _finish(self, run: Run, label: str) -> None:
        with self._console.status(label):
            state = until(
                lambda: (s := self._airflow.state(run)) in FINISHED and s, 600, f"the end of {run.dag_id} {run.run_id}"
            )
        self._require(Run(run.dag_id, run.run_id, state, run.key))

    def _finished(self, dag_id: str, key: str) -> Run | None:
        self._stack.check()
        return next((run for run in self._airflow.runs(dag_id) if run.key == key and run.state in FINISHED), None)

    def _require(self, run: Run) -> None:
        if run.state != "success":
            failures = [f"\n  {task}: {error}" for task, error in self._airflow.failures(run).items()]
            raise MlopsError(
                f"{run.dag_id} {run.key or run.run_id} failed: {self._airflow.page(run)}{''.join(failures)}\n"
                "The alert is in the outbox: python -m include.mlops alerts"
            )


def _tell(console: Console, what: str, text: str, began: float) -> None:
    console.print(
        f"{time.strftime('%H:%M:%S')}  [bold]{what}[/bold]  {text}  [dim]{time.monotonic() - began:.0f} s[/dim]",
        highlight=False,
    )
