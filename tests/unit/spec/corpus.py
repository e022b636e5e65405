"""The corpus: each case breaks the valid bundle of conftest.py in one place, and says what must be told, and where."""

from __future__ import annotations

from dataclasses import dataclass

O = "feature_groups/outcomes/feature_group.yaml"  # noqa: E741
F = "feature_groups/flights/feature_group.yaml"
OT = "feature_groups/outcomes/transform.py"
FT = "feature_groups/flights/transform.py"
L = "models/late.yaml"
D = "models/delay.yaml"
ALL = frozenset({"outcomes", "flights", "late", "delay"})
SURVIVORS = {
    O: frozenset(),
    F: {"outcomes"},
    FT: {"outcomes"},
    L: ALL - {"late"},
    D: ALL - {"delay"},
}
"""What still loads when a file is broken."""


@dataclass(frozen=True)
class Broken:
    """`old` becomes `new` in `file`; then a finding for `key` says all of `says`, on the first line that holds `at`.

    An empty `at` is line 1. Where `alone`, there are no other findings but those of dependents.
    """

    name: str
    file: str
    old: str
    new: str
    at: str
    key: str
    says: tuple[str, ...]
    alone: bool

    def __str__(self) -> str:
        return self.name


def case(name: str, file: str, old: str, new: str, at: str, key: str, *says: str, alone: bool = True) -> Broken:
    return Broken(name, file, old, new, at, key, says, alone)


ALONE = [
    # unknown keys
    case("gate-typo", L, "minimum: 0.6", "minimun: 0.6", "minimun", "gate.minimun", "unknown key",
         "did you mean 'minimum'?", "Allowed: metric, minimum, maximum"),
    case("top-level-typo", L, "owner:", "ownr:", "ownr", "ownr", "unknown key", "did you mean 'owner'?", alone=False),
    case("missing-after-typo", L, "owner:", "ownr:", "", "owner", "missing", alone=False),
    case("key-one-level-too-high", O, "quarantine:\n", "deadline: 6h\nquarantine:\n", "deadline: 6h", "deadline",
         "unknown key", "did you mean 'schedule.deadline'?"),
    case("folder-is-not-a-key", O, "quarantine:\n", "folder: /etc\nquarantine:\n", "folder", "folder", "unknown key"),
    case("source-typo", F, "  format: csv", "  fromat: csv", "fromat", "source.fromat", "did you mean 'format'?",
         alone=False),
    # wrong types
    case("text-for-number", L, "rounds: 60", "rounds: many", "rounds", "training.rounds", "expected a whole number",
         "found the text 'many'"),
    case("quoted-number", L, "rounds: 60", 'rounds: "60"', "rounds", "training.rounds", "expected a whole number",
         "take it out of the quotes"),
    case("true-is-no-number", L, "rounds: 60", "rounds: true", "rounds", "training.rounds", "expected a whole number",
         "found true"),
    case("number-for-text", L, "owner: team-ops", "owner: 007", "owner", "owner", "expected a text",
         "found the number 7", "put it in quotes"),
    case("yes-is-a-text", L, "on_drift: true", "on_drift: yes", "on_drift", "retraining.on_drift",
         "expected true or false", "found the text 'yes'"),
    case("days-without-unit", L, "window: 56d", "window: 56", "window", "training.window",
         "expected days such as '7d'", "found 56"),
    case("weeks-are-no-unit", L, "window: 56d", "window: 8w", "window", "training.window", "'7d'", "found '8w'"),
    case("unknown-cadence", L, "every: week", "every: weekly", "every", "training.every", "'day', 'week', 'month'",
         "found 'weekly'"),
    case("text-for-list", D, "columns: [carrier, distance]", "columns: carrier", "columns", "features.columns",
         "expected a list such as [a, b]", "found the text 'carrier'"),
    case("list-for-mapping", D, "gate: {metric: rmse, maximum: 60}", "gate: [rmse]", "gate", "gate",
         "expected keys and values", "found a list"),
    case("number-for-day", F, "start: 2013-04-05", "start: 20130405", "start", "schedule.start",
         "expected a day such as 2013-01-30", "20130405"),
    case("no-such-day", F, "start: 2013-04-05", "start: 2013-02-30", "start", "schedule.start", "expected a day",
         "2013-02-30"),
    case("deadline-without-unit", O, "deadline: 12h", "deadline: 12", "deadline", "schedule.deadline",
         "'6h' or '30m'", "found 12"),
    case("lag-not-a-pair", F, "[-29d, -2d]", "-29d", "outcomes: -29d", "reads.outcomes", "[-29d, -2d]",
         "found '-29d'"),
    case("nan-minimum", L, "minimum: 0.6", "minimum: .nan", "minimum", "gate.minimum", "expected a finite number"),
    # missing and empty
    case("no-window", L, "  window: 56d\n", "", "training", "training.window", "missing"),
    case("no-gate", D, "gate: {metric: rmse, maximum: 60}\n", "", "", "gate", "missing", "metric, minimum, maximum"),
    case("no-columns", D, "[carrier, distance]", "[]", "features", "features.columns", "expected at least one entry",
         "found an empty list"),
    case("empty-owner", L, "owner: team-ops", 'owner: ""', "owner", "owner", "expected a text", "empty"),
    case("value-forgotten", L, "owner: team-ops", "owner:", "owner", "owner", "expected a value, found none"),
    case("channel-read-as-comment", L, "gate:\n", "alerts:\n  channel: #mlops\ngate:\n", "channel", "alerts.channel",
         "expected a value, found none", "' #' is a comment"),
    case("null-training", D, "training: {window: 56d, holdout: 7d}", "training: ~", "training", "training",
         "found '~'"),
    # not among the choices
    case("late-and-then-what", O, "deadline: 12h", "deadline: 12h\n  late: goon", "late: goon", "schedule.late",
         "expected one of fail, go_on", "did you mean 'go_on'?"),
    case("restatement-of-another-kind", L, "gate:\n", "restatement: yes please\ngate:\n", "restatement", "restatement",
         "expected one of mark, recompute"),
    # out of range
    case("no-rounds", L, "rounds: 60", "rounds: 0", "rounds", "training.rounds", "expected at least 1",
         "found the number 0"),
    case("limit-in-percent", O, "limit: 0.01", "limit: 5", "limit", "quarantine.limit", "expected at most 1",
         "found the number 5"),
    case("minimum-in-percent", L, "minimum: 0.6", "minimum: 60", "minimum", "gate.minimum", "from 0 to 1", "roc_auc",
         "found 60"),
    case("empty-window", L, "window: 56d", "window: 0d", "window", "training.window", "expected at least one day",
         "found 0d"),
    case("absurd-lag", F, "-29d", "-99999999999d", "outcomes", "reads.outcomes[0]", "at most 36500d"),
    case("persistence-beyond-windows", L, "retraining:\n", "monitoring: {persistence: 4}\nretraining:\n",
         "monitoring", "monitoring", "expected persistence within windows", "4 of 3"),
    case("end-before-start", F, "start: 2013-04-05", "start: 2013-04-05\n  end: 2013-04-01", "end", "schedule.end",
         "expected a day from 2013-04-05 on", "2013-04-01"),
    case("starts-before-its-data", F, "start: 2013-04-05", "start: 2013-01-01", "start", "schedule.start",
         "first_partition", "2013-01-30"),
    case("ticks-before-its-data", O, "start: 2013-04-05", "start: 2013-01-02", "start", "schedule.start",
         "2013-01-03", "delay of 2d"),
    case("future-lag", F, "[-29d, -2d]", "[-29d, 1d]", "outcomes:", "reads.outcomes", "future would leak"),
    case("lag-backwards", F, "[-29d, -2d]", "[-2d, -29d]", "outcomes:", "reads.outcomes", "earlier end first",
         "[-2d, -29d]"),
    # not one of those allowed
    case("task-typo", L, "task: binary", "task: binry", "task", "task", "expected one of binary, regression",
         "found the text 'binry'", "did you mean 'binary'?"),
    case("severity-typo", O, "severity: warning", "severity: warn", "severity", "expectations[1].severity",
         "critical, warning, info", "did you mean 'warning'?"),
    case("column-type", F, "    distance: double", "    distance: float", "distance: float",
         "source.columns.distance", "string, int, long, double", "found the text 'float'"),
    case("metric-of-another-task", L, "metric: roc_auc", "metric: rmse", "metric", "gate.metric",
         "unknown metric for the task binary 'rmse'", "roc_auc"),
    case("metric-in-upper-case", L, "metric: roc_auc", "metric: ROC_AUC", "metric", "gate.metric",
         "did you mean 'roc_auc'?"),
    case("minimum-where-less-is-better", D, "maximum: 60", "minimum: 60", "gate", "gate.maximum",
         "less is better for rmse"),
    case("both-bounds", L, "minimum: 0.6", "minimum: 0.6\n  maximum: 0.9", "gate", "gate",
         "either a minimum or a maximum", "found both"),
    case("time-zone", O, "America/New_York", "America/NewYork", "timezone", "timezone", "expected a time zone",
         "'America/NewYork'"),
    case("folder-of-time-zones", O, "America/New_York", "America", "timezone", "timezone", "expected a time zone",
         "'America'"),
    case("name-with-capitals", L, "name: late", "name: Late", "name", "name", "lower-case letters",
         "found the text 'Late'"),
    # a group's own columns
    case("key-not-in-source", F, "keys: [carrier, flight]", "keys: [carrier, flght]", "keys", "keys[1]",
         "unknown source column 'flght'", "did you mean 'flight'?", alone=False),
    case("event-time-not-in-source", F, "event_time: scheduled_at", "event_time: schedule_at", "event_time",
         "event_time", "unknown source column", "did you mean 'scheduled_at'?"),
    case("event-time-of-text", F, "event_time: scheduled_at", "event_time: carrier", "event_time", "event_time",
         "expected a column of type timestamp or date", "carrier of type string"),
    case("key-not-published", F, "publishes:\n  carrier: string\n", "publishes:\n", "keys", "keys[0]",
         "unknown published column 'carrier'"),
    case("key-twice", F, "keys: [carrier, flight]", "keys: [carrier, carrier]", "keys", "keys", "each column once",
         "carrier"),
    case("system-column", F, "scheduled_on: date", "ds: date", "ds: date", "publishes.ds", "added by the library"),
    case("columns-alike-but-for-case", F, "scheduled_on: date", "Carrier: string", "publishes", "publishes",
         "differ in more than case"),
    case("column-name", F, "scheduled_on: date", "1st-day: date", "1st-day", "publishes.1st-day",
         "expected a column name"),
    case("path-without-day", F, "flights/{ds}.csv", "flights.csv", "path", "source.path", "expected {ds}",
         "'flights.csv'"),
    case("path-with-other-field", F, "flights/{ds}.csv", "flights/{ds}/{hour}.csv", "path", "source.path",
         "nothing else in braces"),
    case("path-open-brace", F, "flights/{ds}.csv", "flights/{ds.csv", "path", "source.path", "expected {ds}"),
    case("path-out-of-landing", F, "flights/{ds}.csv", "../{ds}.csv", "path", "source.path",
         "below the landing root"),
    # expectations
    case("expectation-typo", O, "expect_column_values_to_not_be_null", "expect_column_values_to_not_be_nul",
         "  - expect_column_values_to_not_be_nul", "expectations[0]",
         "did you mean 'expect_column_values_to_not_be_null'?"),
    case("expectation-of-unknown-column", O, "{column: carrier}", "{column: carier}",
         "  - expect_column_values_to_not_be_null", "expectations[0].expect_column_values_to_not_be_null",
         "unknown published column 'carier'", "did you mean 'carrier'?"),
    case("expectation-argument-typo", O, "max_value", "max_val", "  - expect_column_values_to_be_between",
         "expectations[1]", "unknown argument 'max_val'", "did you mean 'max_value'?"),
    case("expectation-without-column", O, "{column: carrier}", "{mostly: 0.9}",
         "  - expect_column_values_to_not_be_null", "expectations[0]", "misses its argument column"),
    case("severity-among-arguments", O, "{column: carrier}", "{column: carrier, severity: info}",
         "  - expect_column_values_to_not_be_null", "expectations[0]", "severity stands beside"),
    case("expectation-as-text", O, "expect_column_values_to_not_be_null: {column: carrier}",
         "expect_column_values_to_not_be_null", "  - expect_column_values_to_not_be_null", "expectations[0]",
         "its arguments"),
    case("arguments-as-list", O, "{column: carrier}", "[carrier]", "  - expect_column_values_to_not_be_null",
         "expectations[0]", "as a mapping"),
    # a model's own
    case("column-twice", D, "[carrier, distance]", "[carrier, carrier]", "features", "features.columns",
         "each column once", "carrier"),
    case("expression-syntax", L, "arr_delay > 15", "arr_delay >", "expression", "label.expression",
         "expected an expression such as"),
    case("expression-call", L, "arr_delay > 15", "abs(arr_delay) > 15", "expression", "label.expression",
         "'abs(arr_delay)' is not allowed", "allowed: columns"),
    case("expression-chain", L, "arr_delay > 15", "0 < arr_delay < 15", "expression", "label.expression",
         "comparisons of two"),
    case("expression-without-column", L, "arr_delay > 15", "1 > 0", "expression", "label.expression",
         "at least one column"),
    case("expression-null", L, "arr_delay > 15", "arr_delay == None", "expression", "label.expression",
         "'None' is not allowed"),
    case("parameter-set-elsewhere", L, "max_depth: 5", "n_estimators: 5", "n_estimators",
         "training.parameters.n_estimators", "set by the key 'rounds'"),
    # YAML itself
    case("duplicate-key", L, "owner: team-ops\n", "owner: team-ops\nowner: team-b\n", "owner: team-b", "owner",
         "written twice", "first on line 2"),
    case("nested-duplicate-key", L, "rounds: 60", "rounds: 60\n  rounds: 70", "rounds: 70", "training.rounds",
         "written twice"),
    case("tab", L, "  rounds: 60", "\trounds: 60", "\trounds", "", "not valid YAML", "tab", "spaces"),
    case("bad-indent", L, "  rounds: 60", " rounds: 60", " rounds", "", "not valid YAML", "indented"),
    case("open-list", D, "[carrier, distance]", "[carrier, distance", "features", "", "not valid YAML", "not closed"),
    case("open-quote", L, "arr_delay > 15", '"arr_delay > 15', "expression", "", "not valid YAML", "quote",
         "not closed"),
    case("colon-in-text", L, "owner: team-ops\n", "owner: team-ops\ndescription: late: or not\n", "description", "",
         "not valid YAML", "quote"),
    case("path-begins-with-brace", F, "flights/{ds}.csv", "{ds}.csv", "path", "", "not valid YAML", "quotes"),
    case("two-documents", L, "gate:\n", "---\ngate:\n", "---", "", "second document"),
    case("unknown-alias", L, "team-ops", "*team", "owner", "", "not valid YAML", "alias"),
    case("python-tag", L, "team-ops", "!!python/object/apply:os.getcwd []", "owner", "owner", "tag", "not supported"),
    case("alias-of-itself", L, "  parameters:\n    max_depth: 5", "  parameters: &p {all: *p}", "parameters",
         "training.parameters.all", "alias"),
    case("merge-key", L, "    max_depth: 5", "    <<: {max_depth: 5}", "<<", "training.parameters.<<",
         "not supported"),
    case("number-as-key", F, "scheduled_on: date", "2013: date", "2013: date", "publishes.2013",
         "expected a text as key", "a number", "quotes"),
    case("on-as-key", F, "name: flights", "%YAML 1.1\n---\non: x\nname: flights", "on: x", "on",
         "expected a text as key", "true or false"),
    case("list-as-key", F, "scheduled_on: date", "? [a, b]\n  : date", "? [a", "publishes", "expected a text as key"),
    case("control-character", L, "team-ops", "team\x01ops", "owner", "", "not valid YAML", "U+0001"),
]  # fmt: skip
"""Wrong by themselves."""

ACROSS = [
    case("name-is-not-the-folder", F, "name: flights", "name: flight", "name", "name",
         "expected 'flights', the name of its folder"),
    case("name-is-not-the-file", L, "name: late", "name: lates", "name", "name",
         "expected 'late', the name of its file"),
    case("reads-unknown-group", F, "outcomes:", "outcome:", "outcome:", "reads.outcome",
         "unknown feature group 'outcome'", "did you mean 'outcomes'?"),
    case("reads-itself", F, "outcomes:", "flights:", "flights: [", "reads.flights", "cannot read itself"),
    case("lag-ends-too-late", F, "-2d]", "-1d]", "outcomes:", "reads.outcomes", "always wait",
         "the latest end is -2d"),
    case("reads-another-time-zone", F, "America/New_York", "UTC", "outcomes:", "reads.outcomes", "America/New_York",
         "UTC", alone=False),
    case("circle", O, "quarantine:", "reads: {flights: [-9d, -5d]}\nquarantine:", "reads", "reads.flights", "circle",
         "outcomes -> flights -> outcomes", alone=False),
    case("features-of-unknown-group", L, "group: flights", "group: flight", "group", "features.group",
         "unknown feature group 'flight'", "did you mean 'flights'?"),
    case("label-of-unknown-group", L, "group: outcomes", "group: results", "  group: results", "label.group",
         "unknown feature group 'results'", "flights, outcomes"),
    case("unknown-feature", L, "columns: [carrier,", "columns: [carier,", "columns", "features.columns[0]",
         "unknown column of flights 'carier'", "did you mean 'carrier'?", "Allowed: carrier, carrier_delay"),
    case("feature-of-type-date", L, "columns: [carrier,", "columns: [scheduled_on,", "columns", "features.columns[0]",
         "scheduled_on of type date", "numbers, booleans or texts"),
    case("version-not-reached", L, "  group: flights", "  group: flights\n  version: 3", "version",
         "features.version", "at most 2", "found 3"),
    case("label-column", L, "arr_delay > 15", "arr_dely > 15", "expression", "label.expression",
         "unknown column of outcomes 'arr_dely'", "did you mean 'arr_delay'?"),
    case("label-is-a-number", L, "arr_delay > 15", "arr_delay - 15", "expression", "label.expression",
         "expected true or false for the task binary", "found a number"),
    case("label-is-true-or-false", D, "expression: arr_delay", "expression: arr_delay > 15", "label",
         "label.expression", "expected a number for the task regression"),
    case("label-compares-text-with-number", L, "arr_delay > 15", "carrier > 15", "expression", "label.expression",
         "compares a text with a number"),
    case("label-adds-text", L, "arr_delay > 15", "arr_delay + carrier > 15", "expression", "label.expression",
         "expected carrier", "to be a number", "found a text"),
    case("label-leaks-by-column", L, "group: flights\n  columns: [carrier, distance, carrier_delay]",
         "group: outcomes\n  columns: [carrier, arr_delay]", "columns", "features.columns[1]", "leak"),
    case("label-leaks-by-group", L, "group: flights\n  columns: [carrier, distance, carrier_delay]",
         "group: outcomes\n  columns: [carrier]", "  group: outcomes\n  expression", "label.group", "another group",
         "nothing to predict"),
    case("label-not-due-when-published", L, "due_after: 1d", "due_after: 3d", "due_after", "label.due_after",
         "publishes 2d after", "at most 2d"),
    case("label-known-before-features", L, "due_after: 1d", "due_after: 0d", "due_after", "label.due_after",
         "more than 0d", "nothing to predict"),
    case("transform-syntax", FT, "def transform(rows, reads):", "def transform(rows, reads)", "def transform", "",
         "not valid Python"),
    case("transform-not-defined", FT, "def transform(", "def transfrom(", "", "transform", "missing",
         "def transform("),
    case("transform-with-one-parameter", FT, "(rows, reads)", "(rows)", "def transform", "transform", "reads: Reads",
         "found transform(rows)"),
    case("transform-with-three", FT, "(rows, reads)", "(rows, reads, more)", "def transform", "transform",
         "found transform(rows, reads, more)"),
    case("transform-async", FT, "def transform", "async def transform", "async def", "transform", "async"),
    case("transform-null-byte", FT, "import os", "import os\x00", "", "", "null bytes", alone=False),
]  # fmt: skip
"""Wrong only beside the other files."""
