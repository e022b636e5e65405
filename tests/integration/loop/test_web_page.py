"""A backfill as a person does it, in a browser: the form, the plan, the approval."""

from __future__ import annotations

from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from include.demo.airflow_api import FINISHED, Run, until
from include.mlops.spec.interval import Interval
from tests.browser import signed_in
from tests.integration.loop.play import FIRST, MODEL, Played

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
WEATHER = "airport_weather"


def test_a_backfill_starts_from_the_form_once_its_plan_was_read_and_approved(played: Played) -> None:
    days = Interval(FIRST - timedelta(days=9), FIRST - timedelta(days=8))
    table = played.platform.specs.group(WEATHER).table
    before = played.platform.ledger.publications.over(table, days)
    known = {run.run_id for run in played.airflow.runs("bulk")}
    with signed_in(played.airflow.address, played.airflow.token()) as page:
        page.goto(f"{played.airflow.address}/dags/bulk")
        page.get_by_role("button", name="Trigger").first.click()
        _fill(page, days)
        page.get_by_test_id("trigger-dag-submit").click()
        run = until(lambda: next((r for r in played.airflow.runs("bulk") if r.run_id not in known), None), 60, "a run")
        until(lambda: played.airflow.task_state(run, "approve") == "awaiting_input", 120, "the question")

        assert played.platform.ledger.publications.over(table, days) == before, "nothing starts before the approval"
        _read_plan(page, played, run, days)
        _approve(page, played, run)

    state = until(lambda: (s := played.airflow.state(run)) in FINISHED and s, 300, "the end of the run")
    assert state == "success"
    after = played.platform.ledger.publications.over(table, days)
    assert {one.run_id for one in after.values()} == {run.run_id}


def test_the_tasks_that_failed_are_named_with_their_errors(played: Played) -> None:
    """As the demo does when a night of it fails."""
    run = played.airflow.trigger(f"performance_{MODEL}", key="April")
    assert until(lambda: (s := played.airflow.state(run)) in FINISHED and s, 120, "the end of the run") == "failed"
    assert played.airflow.failures(run) == {
        "measure": "expected a day such as 2013-04-05 in the field Partition Key, found 'April'; trigger again"
    }


def _fill(page: Page, days: Interval) -> None:
    _choose(page, "what", WEATHER)
    page.locator("#element_from").fill(str(days.first))
    page.locator("#element_to").fill(str(days.last))
    _choose(page, "only", "all days")


def _choose(page: Page, field: str, option: str) -> None:
    """Open the list behind a field of the form and take an option."""
    box = page.locator(f"xpath=//input[@name='element_{field}']/..").locator("input[role=combobox]")
    box.click()
    page.get_by_role("option", name=option, exact=True).click()


def _read_plan(page: Page, played: Played, run: Run, days: Interval) -> None:
    page.goto(f"{played.airflow.address}/dags/bulk/runs/{run.run_id}/tasks/plan/details")
    address = page.get_by_role("link", name="Report").get_attribute("href")
    page.goto(str(address))
    for ds in days:
        expect(page.get_by_text(str(ds)).first).to_be_visible()
    expect(page.get_by_text("present").first).to_be_visible()


def _approve(page: Page, played: Played, run: Run) -> None:
    page.goto(f"{played.airflow.address}/dags/bulk/runs/{run.run_id}/required_actions")
    page.get_by_role("link", name="approve").first.click()
    expect(page.get_by_text(f"Start the backfill of {WEATHER}?").first).to_be_visible()
    page.get_by_role("button", name="Approve").click()
