"""Which nights ask for a new version, over a real ledger, and with real releases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from include.mlops.ledger.monitoring import Verdict
from include.mlops.ledger.publications import Publication
from include.mlops.ledger.releases import Decision
from include.mlops.settings import Settings
from include.mlops.spec.load import Specs
from include.mlops.steps.monitoring.retraining import Considered, consider_retraining
from include.mlops.steps.platform import Platform
from include.mlops.steps.release import release
from tests.integration.scoring.conftest import Home
from tests.integration.scoring.world import FLIGHTS, OUTCOMES, V1_AS_OF, V2_AS_OF, World, day, late_flights

RULES = {"labelled_days": 4, "cooldown": "7d", "attempts": 2}


@dataclass(frozen=True)
class Nights:
    """Version 1 was trained as of day 10; each night scores a day and gets the labels of the day before."""

    world: World

    def night(self, number: int, *, drift_since: int | None = None, version: int = 1) -> Considered:
        self.scored(number)
        self.labelled(number - 1)
        self.judged("drift", number, drift_since, version)
        return self.consider(number)

    def consider(self, number: int, run_id: str = "run") -> Considered:
        return consider_retraining(self.world.platform, self.world.model, day(number), run_id)

    def scored(self, number: int) -> None:
        self._published(self.world.model.predictions, number)

    def labelled(self, number: int) -> None:
        self._published(OUTCOMES.table, number)

    def _published(self, dataset: str, number: int) -> None:
        self.world.platform.ledger.publications.record([Publication(dataset, day(number), 1, "meaning", "run")])

    def judged(self, kind: str, number: int, since: int | None, version: int = 1) -> None:
        began = day(since) if since else None
        bad = began is not None
        verdict = Verdict(self.world.model.name, day(number), kind, bad, bad, "run", version, began)
        self.world.platform.ledger.monitoring.judge(verdict)

    def released(self, version: int, as_of: int, outcome: str) -> None:
        action = {"promoted": "promote", "rejected": "reject"}[outcome]
        releases = self.world.platform.ledger.releases
        releases.decide(Decision(self.world.model.name, day(as_of), action, outcome, "policy", "", version))
        if outcome == "promoted":
            self.world.live(version, as_of + 1)

    @property
    def requests(self) -> list[tuple[date, str]]:
        log = self.world.platform.ledger.releases.decisions(self.world.model.name, "retrain")
        return [(decision.ds, decision.outcome) for decision in log]


@pytest.fixture
def nights(settings: Settings) -> Nights:
    platform = Platform(settings, Specs({"flights": FLIGHTS, "outcomes": OUTCOMES}, {}))
    made = Nights(World(platform, late_flights("late", retraining=RULES)))
    made.released(1, 10, "promoted")
    return made


def test_a_night_asks_once_the_shift_has_enough_labelled_days(nights: Nights) -> None:
    assert not nights.night(14, drift_since=12).asked
    found = nights.night(15, drift_since=12)
    assert not found.asked
    assert "3 of 4 days" in found.answer.reason
    found = nights.night(16, drift_since=12)
    assert (found.asked, found.answer.cause) == (True, "drift")
    assert nights.requests == [(day(16), "drift")]


def test_asked_twice_the_answer_is_the_same_with_one_row_in_the_log(nights: Nights) -> None:
    first = nights.night(16, drift_since=12)
    nights.judged("drift", 16, None)
    assert nights.consider(16, "another run") == first
    assert nights.requests == [(day(16), "drift")]


def test_behind_the_frontier_nothing_is_asked_and_nothing_is_written(nights: Nights) -> None:
    nights.scored(17)
    found = nights.night(16, drift_since=12)
    assert (found.asked, found.answer.cause) == (False, None)
    assert "behind the newest scored partition" in found.answer.reason
    assert nights.requests == []


def test_a_request_that_went_out_is_not_repeated_from_behind_the_frontier(nights: Nights) -> None:
    assert nights.night(16, drift_since=12).asked
    nights.scored(17)
    assert not nights.consider(16).asked
    assert nights.requests == [(day(16), "drift")]


def test_before_the_first_version_nothing_is_asked(settings: Settings) -> None:
    platform = Platform(settings, Specs({"flights": FLIGHTS, "outcomes": OUTCOMES}, {}))
    found = Nights(World(platform, late_flights("late"))).night(16)
    assert not found.asked
    assert "train the first one by hand" in found.answer.reason


def test_a_promoted_version_starts_the_cooldown_and_a_rejected_one_does_not(nights: Nights) -> None:
    assert nights.night(16, drift_since=12).asked
    nights.released(2, 16, "rejected")
    assert nights.night(17, drift_since=12).answer.cause == "drift"
    nights.released(3, 17, "promoted")
    found = nights.night(22, drift_since=18, version=3)
    assert not found.asked
    assert "cooldown for 2 more day(s)" in found.answer.reason
    assert nights.night(24, drift_since=18, version=3).asked


def test_a_training_that_is_not_judged_yet_holds_the_next_request(nights: Nights) -> None:
    assert nights.night(15, drift_since=11).asked
    assert "cooldown" in nights.night(16, drift_since=11).answer.reason


def test_attempts_are_capped_until_the_first_lies_a_cooldown_back(nights: Nights) -> None:
    nights.released(2, 15, "rejected")  # a training on schedule is no attempt
    for number in (16, 17):
        assert nights.night(number, drift_since=12).asked
        nights.released(number, number, "rejected")
    assert "tried 2 times within 7 days" in nights.night(18, drift_since=12).answer.reason
    assert nights.night(23, drift_since=12).answer.cause == "drift"


def test_what_was_found_of_the_version_before_asks_for_nothing(nights: Nights) -> None:
    """Labels come late: after a promotion the newest verdict on performance is still about the old version."""
    nights.judged("performance", 14, 10)
    nights.released(2, 15, "promoted")  # trained by hand, so that no cooldown holds
    found = nights.night(16)
    assert (found.asked, found.answer.reason) == (False, "nothing asks for it; the last training was 1 day(s) ago")


def test_performance_asks_for_the_live_version(nights: Nights) -> None:
    nights.judged("performance", 15, 11)
    assert nights.night(16).answer.cause == "performance"


def test_labels_of_days_that_the_training_would_not_read_do_not_count(nights: Nights) -> None:
    nights.labelled(20)  # loaded in bulk, beyond what was known on day 15
    assert "3 of 4 days" in nights.night(15, drift_since=12).answer.reason


def test_the_schedule_counts_from_the_as_of_date_of_the_last_judged_training(nights: Nights) -> None:
    assert not nights.night(16).asked
    assert nights.night(17).answer.cause == "schedule"
    nights.released(2, 17, "rejected")
    assert not nights.night(18).asked
    assert nights.night(24).answer.cause == "schedule"


@pytest.mark.slow
def test_what_the_release_step_decides_is_what_the_next_night_counts(home: Home, tmp_path: Path) -> None:
    """Trained as of its night's date: rejected, the night after may ask again; promoted, it waits for the cooldown."""
    there = home.world.platform.settings.model_dump()
    settings = Settings(**{**there, "ledger_url": f"sqlite:///{tmp_path / 'ledger.db'}"})
    specs = Specs({"flights": FLIGHTS, "outcomes": OUTCOMES}, {})
    model = late_flights(home.model, retraining=RULES, training={"every": "30d", "window": "10d", "holdout": "3d"})
    nights = Nights(World(Platform(settings, specs), model))
    first = release(nights.world.platform, model, 1, day(V1_AS_OF), "policy", "run")
    assert (first.outcome, first.first_ds) == ("promoted", day(V1_AS_OF + 1))
    assert "the last training was 1 day(s) ago" in nights.night(V1_AS_OF + 1).answer.reason
    assert nights.night(V2_AS_OF, drift_since=V1_AS_OF + 1).asked
    second = release(nights.world.platform, model, 2, day(V2_AS_OF), "policy", "run")
    assert second.outcome == "rejected", "nothing shifted in this world"
    assert nights.night(V2_AS_OF + 1, drift_since=V1_AS_OF + 1).answer.cause == "drift"
