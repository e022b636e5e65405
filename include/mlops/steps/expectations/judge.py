"""Who judges which expectation of a group: Arrow where the verdict is sure to be the same, else Great Expectations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date

import pyarrow as pa

from include.mlops.lake.schema import PARTITION_COLUMNS
from include.mlops.ledger.publications import Validation
from include.mlops.spec.feature_group import Expectation, FeatureGroup
from include.mlops.steps.expectations.arrow_expectations import covers, judged
from include.mlops.steps.expectations.arrow_verdicts import Verdict
from include.mlops.steps.expectations.great_expectations_suite import GreatExpectationsSuite

CELLS = 10_000_000
"""Rows times columns that are read at once: a usual day in one read, a large one a few columns at a time."""

Read = Callable[[Sequence[str] | None], pa.Table]
"""Gives those columns of a day; all of them for None."""


class Judge:
    """All expectations of a group. Raises SpecError for arguments that Great Expectations refuses."""

    def __init__(self, group: FeatureGroup) -> None:
        types = {**group.publishes, **PARTITION_COLUMNS}
        self._group = group
        self._expectations = dict(enumerate(expectations_of(group)))
        self._left = {number: one for number, one in self._expectations.items() if not covers(one, types)}
        self._suite = GreatExpectationsSuite(group, list(self._left.values())) if self._left else None

    def __call__(self, read: Read, rows: int, ds: date, run_id: str) -> list[Validation]:
        """The results on one day of `rows` rows, in the order of the specification."""
        found = dict(self._found(read, rows))
        return [
            Validation(
                dataset=self._group.table,
                ds=ds,
                run_id=run_id,
                expectation=expectation.name,
                target=", ".join(expectation.columns) or "table",
                severity=expectation.severity,
                success=found[number].success,
                observed=found[number].observed[:500],
            )
            for number, expectation in self._expectations.items()
        ]

    def _found(self, read: Read, rows: int) -> Iterator[tuple[int, Verdict]]:
        certain = {number: one for number, one in self._expectations.items() if number not in self._left}
        for columns, numbers in _reads(certain, CELLS // max(rows, 1)):
            table = read(columns)
            yield from ((number, judged(certain[number], table)) for number in numbers)
        if self._suite:
            whole = any(_looks_further(one) for one in self._left.values())
            named = list(dict.fromkeys(column for one in self._left.values() for column in one.columns))
            yield from zip(self._left, self._suite(read(None if whole else named).to_pandas()), strict=True)


def expectations_of(group: FeatureGroup) -> tuple[Expectation, ...]:
    """What holds of every group, that keys are there and identify a row, and what its specification says."""
    keys = [Expectation(name="expect_column_values_to_not_be_null", arguments={"column": key}) for key in group.keys]
    unique = Expectation(name="expect_column_values_to_be_unique", arguments={"column": group.keys[0]})
    if len(group.keys) > 1:
        arguments = {"column_list": list(group.keys)}
        unique = Expectation(name="expect_compound_columns_to_be_unique", arguments=arguments)
    return (*keys, unique, *group.expectations)


def _reads(expectations: Mapping[int, Expectation], at_once: int) -> list[tuple[list[str], list[int]]]:
    """Columns to read together and the expectations on them: `at_once`, or as many as one expectation needs."""
    reads: list[tuple[list[str], list[int]]] = []
    for number, expectation in expectations.items():
        wanted = list(dict.fromkeys(expectation.columns))
        fitting = (one for one in reads if len({*one[0], *wanted}) <= max(at_once, len(one[0])))
        columns, numbers = next(fitting, ([], []))
        if not numbers:
            reads.append((columns, numbers))
        columns += [column for column in wanted if column not in columns]
        numbers.append(number)
    return reads


def _looks_further(expectation: Expectation) -> bool:
    """Whether Great Expectations must see more columns than those that the expectation names."""
    whole = expectation.name.startswith(("expect_table_", "expect_query_", "expect_column_to_exist"))
    return whole or not expectation.columns or expectation.arguments.get("row_condition") is not None
