"""Which errors of AWS's services pass by themselves."""

from __future__ import annotations

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    MetadataRetrievalError,
    SSLError,
)
from botocore.exceptions import ConnectionError as NoConnection

_THROTTLED = (
    "ThrottlingException",
    "Throttling",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "OperationTimeoutException",
)
_UNANSWERED = (NoConnection, HTTPClientError, MetadataRetrievalError, CredentialRetrievalError)


def passes(error: BotoCoreError | ClientError) -> bool:
    """Whether to try again can help: the service is ill, not reached or asks for a pause, and does not refuse."""
    if not isinstance(error, ClientError):
        return isinstance(error, _UNANSWERED) and not isinstance(error, SSLError)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= 500 or status == 429 or error.response.get("Error", {}).get("Code") in _THROTTLED
