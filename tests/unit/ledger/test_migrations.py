"""A ledger of an earlier release, brought up to date with what it holds."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from include.mlops.ledger.ledger import MIGRATIONS, Ledger
from include.mlops.spec.interval import Interval

DAY = date(2013, 4, 10)


def test_publications_of_before_digests_stay_and_say_that_they_have_none(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with ledger.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text(
                "INSERT INTO publications"
                " (dataset, ds, rows, quarantined, meaning, inputs, in_sample, run_id, recorded_at)"
                " VALUES ('g', '2013-04-10', 3, 0, 'm', '{\"features.o_v1\": {\"snapshot_id\": 1}}', 0, 'r', "
                "'2013-04-11 00:00:00')"
            )
        )
    ledger.migrate()
    one = ledger.publications.over("g", Interval.day(DAY))[DAY]
    assert (one.rows, one.digest, one.inputs) == (3, None, {"features.o_v1": {"snapshot_id": 1}})
