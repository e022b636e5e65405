"""Report pages: kept under the reports folder, whole or not at all, whatever the data says."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from include.mlops.ledger.publications import Validation
from include.mlops.settings import Settings
from include.mlops.spec.interval import Interval
from include.mlops.steps.report import keep, write_report


def test_a_page_replaces_the_last_one_and_leaves_nothing_else(settings: Settings) -> None:
    for text in ("one", "two"):
        assert keep(settings, "drift/late/2013-03-01.html", text) == "drift/late/2013-03-01.html"
    folder = settings.reports / "drift" / "late"
    assert [(file.name, file.read_text()) for file in folder.iterdir()] == [("2013-03-01.html", "two")]


def test_what_the_data_says_is_text_and_no_markup(settings: Settings) -> None:
    interval = Interval.day("2013-03-01")
    hostile = "<script>alert(1)</script>"
    result = Validation("rows", interval.first, "run", "expect_x", "key", "critical", success=False, observed=hostile)
    group = {"name": "rows", "version": 1, "description": hostile, "owner": "team"}
    path = write_report(
        settings,
        "validation.html",
        "validation/rows.html",
        group=group,
        interval=interval,
        rows={interval.first: 1},
        quarantined={},
        ingest_failures={},
        results=[result],
    )
    page = (settings.reports / path).read_text()
    assert "<script>" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 2


def test_a_page_that_lacks_a_value_is_not_written(settings: Settings) -> None:
    with pytest.raises(UndefinedError):
        write_report(settings, "validation.html", "validation/rows.html", interval="2013-03-01")
    assert not list(settings.reports.rglob("*.html"))
