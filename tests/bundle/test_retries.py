"""Which failures Airflow tries again: what a service or the machine did, never what a rerun cannot help."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from include.mlops import errors
from include.mlops.errors import FileNotRead, MlopsError, NotReady, ServiceUnavailable
from include.mlops.orchestration.defaults import RETRIES

LASTING = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, MlopsError) and not issubclass(kind, ServiceUnavailable)
]


def _decided(error: BaseException) -> str:
    decision: Any = RETRIES.evaluate(error, try_number=1, max_tries=2)
    return str(decision.action.value)


@pytest.mark.parametrize(
    "error",
    [
        ServiceUnavailable("Spark did not answer"),
        FileNotRead("Spark could not read a file"),
        ConnectionRefusedError("connection refused"),
        TimeoutError("timed out"),
        OSError(28, "no space left on device"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_pass_is_tried_again(error: BaseException) -> None:
    assert _decided(error) == "retry"


def test_a_failure_of_airflow_itself_is_tried_again() -> None:
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType, TaskDeferralError, TaskDeferralTimeout
    from airflow.sdk.execution_time.comms import ErrorResponse

    no_answer = AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 503}))

    for error in (no_answer, TaskDeferralError("the trigger died"), TaskDeferralTimeout("no triggerer")):
        assert _decided(error) == "retry"


@pytest.mark.parametrize("kind", LASTING, ids=lambda kind: kind.__name__)
def test_an_error_of_ours_that_is_not_transient_fails_at_once(kind: type[MlopsError]) -> None:
    assert not kind.transient
    assert _decided(kind.__new__(kind)) == "fail"


@pytest.mark.parametrize("error", [NotReady("x", ["the file y"]), ValueError("a bug"), MemoryError(), SystemExit(1)])
def test_what_a_rerun_cannot_help_fails_at_once(error: BaseException) -> None:
    assert _decided(error) == "fail"


def test_a_task_that_hung_for_hours_is_not_given_another_twelve() -> None:
    from airflow.sdk.exceptions import AirflowTaskTimeout

    assert _decided(AirflowTaskTimeout("Timeout")) == "fail"


def test_the_policy_survives_serialisation() -> None:
    again = type(RETRIES).deserialize(RETRIES.serialize())

    assert again.serialize() == RETRIES.serialize()
    assert again.evaluate(ServiceUnavailable("x"), 1, 2).action.value == "retry"
    assert again.evaluate(NotReady("x", []), 1, 2).action.value == "fail"
