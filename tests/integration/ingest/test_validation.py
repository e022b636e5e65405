"""Expectations decide what is published; only the frontier alerts; everything is on the record."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from include.mlops.errors import PartitionsFailed
from include.mlops.ledger.publications import Validation
from tests.integration.ingest.bundle import Bundle, change, day, readings

pytestmark = pytest.mark.slow
LAST = day(3)
EXPECTATIONS = """
- expect_column_values_to_be_between: {column: value, max_value: 100}
- expect_column_values_to_be_in_set: {column: sensor, value_set: [a, b]}
  severity: warning
- expect_column_values_to_be_between: {column: note, max_value: 5}
  severity: warning
- expect_column_values_to_match_regex: {column: note, regex: "^never"}
  severity: info
"""


@pytest.fixture(scope="module")
def failures(bundle: Bundle) -> PartitionsFailed:
    """Three days, of which the second breaks the critical expectation and each breaks all others."""
    with pytest.raises(PartitionsFailed) as caught:
        bundle.run(bundle.readings, day(1), LAST, "first")
    return caught.value


@pytest.fixture(scope="module")
def bundle(new_bundle: Callable[[], Bundle]) -> Bundle:
    made = new_bundle()
    made.write_readings(expectations=EXPECTATIONS)
    for ds in (day(1), day(2), LAST):
        made.land(made.readings, ds, change(readings(ds), 4, value=1000 if ds == day(2) else 5))
    return made


def _results(bundle: Bundle, number: int) -> dict[tuple[str, str], Validation]:
    platform = bundle.platform()
    found = platform.ledger.publications.validations(platform.specs.group(bundle.readings).table, day(number))
    return {(one.expectation.removeprefix("expect_"), one.target): one for one in found}


def _alerts(bundle: Bundle) -> list[tuple[str, object, str]]:
    found = bundle.platform().ledger.incidents.list_outbox()
    return [(message.kind, message.ds, message.title) for message in found]


def test_a_critical_failure_stops_its_day_alone_and_is_named(bundle: Bundle, failures: PartitionsFailed) -> None:
    assert list(failures.failures) == [day(2)]
    said = failures.failures[day(2)]
    assert (
        "ValidationFailed: expected column values to be between (value), found 1 of 6 rows otherwise, such as 1000"
        in said
    )
    assert f"/mlops/reports/validation/{bundle.readings}/2013-03-01_2013-03-03.html" in said
    assert sorted({row["ds"] for row in bundle.rows(bundle.readings, day(1), LAST)}) == [day(1), LAST]
    assert sorted(bundle.published(bundle.readings, day(1), LAST)) == [day(1), LAST]


def test_every_result_is_in_the_ledger(bundle: Bundle, failures: PartitionsFailed) -> None:
    good, bad = _results(bundle, 1), _results(bundle, 2)
    assert {key: (one.severity, one.success) for key, one in good.items()} == {
        ("column_values_to_not_be_null", "sensor"): ("critical", True),
        ("column_values_to_not_be_null", "slot"): ("critical", True),
        ("compound_columns_to_be_unique", "sensor, slot"): ("critical", True),
        ("column_values_to_be_between", "value"): ("critical", True),
        ("column_values_to_be_in_set", "sensor"): ("warning", False),
        ("column_values_to_be_between", "note"): ("warning", False),
        ("column_values_to_match_regex", "note"): ("info", False),
    }
    assert not bad[("column_values_to_be_between", "value")].success
    assert good[("column_values_to_be_in_set", "sensor")].observed == "2 of 6 rows otherwise, such as c, c"
    assert {one.run_id for one in good.values()} == {"first"}


def test_an_expectation_that_cannot_be_judged_is_not_met(bundle: Bundle, failures: PartitionsFailed) -> None:
    """A text is not below five."""
    found = _results(bundle, 1)[("column_values_to_be_between", "note")]
    assert found.observed.startswith("it could not be judged: ")


def test_the_report_shows_what_was_not_met(bundle: Bundle, failures: PartitionsFailed) -> None:
    page = bundle.settings.reports / "validation" / bundle.readings / "2013-03-01_2013-03-03.html"
    text = page.read_text()
    assert text.index("Not met (10)") < text.index("expect_column_values_to_be_between") < text.index("Met (11)")
    assert "1 of 6 rows otherwise, such as 1000.0" in text
    assert text.count("not published") == 1


def test_warnings_alert_once_and_at_the_frontier_alone(bundle: Bundle, failures: PartitionsFailed) -> None:
    alert = ("validation", LAST, f"{bundle.readings}: 2 expectation(s) not met")
    assert _alerts(bundle) == [alert], "one for the interval's last day, none for those behind it"
    bundle.run(bundle.readings, LAST, run_id="second")
    assert _alerts(bundle) == [alert], "the same day is not told again"
    bundle.run(bundle.readings, day(1), run_id="backfill")
    assert _alerts(bundle) == [alert], "behind the frontier nothing is told"
    assert len([one for one in _results(bundle, 1).values() if one.run_id == "backfill"]) == 7, "but it is recorded"
    bundle.land(bundle.readings, day(4), change(readings(day(4)), 0, value=1000))
    with pytest.raises(PartitionsFailed):
        bundle.run(bundle.readings, day(4))
    assert _alerts(bundle) == [alert], "a day that is not published is no matter of a warning"
