"""Every error this library raises on purpose.

    MlopsError                 carries `transient`: the only thing that decides whether Airflow retries
    |- SpecError               a user's YAML or transform.py is wrong (all findings of a file at once)
    |- SettingsError           a setting is missing, malformed or points nowhere
    |- NotReady                inputs that a step reads are not published, or files have not landed
    |- BrokenSource            what a source holds of a partition cannot be used
    |  |- MissingFile, EmptyFile, WrongHeader, WrongEncoding, TruncatedFile, UnreadableFile
    |  |- EmptySource, UnreadableSource
    |  |- SchemaChanged        it has other columns than those declared
    |- PartitionsFailed        some partitions of an interval failed; the others went on
    |- QuarantineLimit         too many malformed rows in a partition
    |- ValidationFailed        a critical expectation failed on staged data
    |- MeaningChanged          a transform or schema changed under the same feature group version
    |- NoLiveVersion           no model version was live on that date
    |- ScoreGateFailed         predictions were refused before their commit
    |- ExportFailed            published scores could not be written where a model's exports say
    |- TrainingFailed          the training set is unusable (empty, one class, no holdout)
    |- FeaturesUnusable        rows lack a column that the model needs, or hold values that it cannot take
    |- NotReproducible         training again from the record gave another model
    |- BackupUnusable          a backup is damaged or of another version, or what it should go into is not empty
    |- WrongTrigger            a run was started by hand with values that it cannot use; nobody is called for it
    `- ServiceUnavailable      transient: Spark, MLflow, the catalog or the ledger did not answer
       `- FileNotRead          Spark stopped at a landed file that it could not read this time

A message says what was expected, what was found, where, and what to do next.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date


class MlopsError(Exception):
    """Base of all errors raised on purpose; `transient` says whether trying again can help."""

    transient = False

    def line(self) -> str:
        """`QuarantineLimit: expected at most ...`"""
        return f"{type(self).__name__}: {self}"


class SpecError(MlopsError):
    """A specification file is wrong; `findings` are printable lines, one for each fault."""

    def __init__(self, findings: list[str]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(findings))


class SettingsError(MlopsError):
    """A setting is missing or unusable."""


class NotReady(MlopsError):
    """Inputs are missing; `missing` names each file or partition that a step waits for."""

    def __init__(self, subject: str, missing: list[str]) -> None:
        self.missing = tuple(missing)
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        super().__init__(f"{subject} waits for {shown}")


class BrokenSource(MlopsError):
    """What a source holds of a partition cannot be used."""


class MissingFile(BrokenSource):
    """The file of a partition has not landed."""


class EmptyFile(BrokenSource):
    """The file holds no rows."""


class WrongHeader(BrokenSource):
    """The file's columns are not those of the specification."""


class WrongEncoding(BrokenSource):
    """The file is not UTF-8 text."""


class TruncatedFile(BrokenSource):
    """The file ends in the middle of a record."""


class UnreadableFile(BrokenSource):
    """The file is not of the declared format at all."""


class EmptySource(BrokenSource):
    """A table or a query has no rows of the partition's day."""


class UnreadableSource(BrokenSource):
    """A table or its day column is not there, or a query fails."""


class SchemaChanged(BrokenSource):
    """A column is new, lost, or of another type, and the specification says that this fails the partition."""


class QuarantineLimit(MlopsError):
    """More malformed rows than the specification allows."""


class ValidationFailed(MlopsError):
    """A critical expectation failed."""


class PartitionsFailed(MlopsError):
    """Some partitions failed; `failures` maps each partition date to what was wrong with it."""

    def __init__(self, subject: str, failures: Mapping[date, str]) -> None:
        self.failures = dict(failures)
        lines = [f"  {ds}: {failure}" for ds, failure in sorted(failures.items())]
        super().__init__(
            f"{subject}: {len(failures)} partition(s) failed, nothing of them was published\n" + "\n".join(lines)
        )


class MeaningChanged(MlopsError):
    """A feature group means something else than its version did when it was first published."""


class NoLiveVersion(MlopsError):
    """No version of the model was live on that data date."""


class ScoreGateFailed(MlopsError):
    """Predictions of a partition were refused; nothing was committed."""


class ExportFailed(MlopsError):
    """Published scores could not be written where a model's exports say; they stay published."""


class TrainingFailed(MlopsError):
    """The training set cannot give a model."""


class FeaturesUnusable(MlopsError):
    """Rows lack a column that the model needs, or hold values that it cannot take."""


class NotReproducible(MlopsError):
    """Training again from the record gave another model file."""


class BackupUnusable(MlopsError):
    """A backup cannot be restored: it is not whole, of another version, or its target holds something already."""


class WrongTrigger(MlopsError):
    """A run was started by hand without, or with an unusable, data date or form."""


class ServiceUnavailable(MlopsError):
    """A service did not answer; trying again can help."""

    transient = True


class FileNotRead(ServiceUnavailable):
    """Spark stopped at a file: it is broken, or its store did not answer, which Spark does not tell apart."""


def rebuilt(name: str, message: str) -> MlopsError:
    """An error that another process told by its name and message; one that nobody knows here is an MlopsError."""
    kind = _below(MlopsError).get(name, MlopsError)
    error = kind.__new__(kind)  # its own parts (`missing`, `findings`) stayed there
    Exception.__init__(error, message)
    return error


def _below(kind: type[MlopsError]) -> dict[str, type[MlopsError]]:
    found = {one.__name__: one for one in kind.__subclasses__()}
    for one in list(found.values()):
        found |= _below(one)
    return found
