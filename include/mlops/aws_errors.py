"""Which errors of AWS's services pass by themselves."""

from __future__ import annotations

from botocore.exceptions import ClientError

_THROTTLED = (
    "ThrottlingException",
    "Throttling",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "OperationTimeoutException",
)


def passes(error: ClientError) -> bool:
    """Whether to try again can help: the service is ill or asks for a pause, and does not refuse."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= 500 or status == 429 or error.response.get("Error", {}).get("Code") in _THROTTLED
