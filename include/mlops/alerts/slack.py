"""One call to Slack's chat.postMessage, and what came of it.

Method and error codes: https://docs.slack.dev/reference/methods/chat.postMessage
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from include.mlops.alerts.message import Post
from include.mlops.errors import ServiceUnavailable, SettingsError

if TYPE_CHECKING:
    from slack_sdk import WebClient

_REMEDY = "give the token of a bot that may write messages"
PASSING = frozenset(
    {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
    | {"team_added_to_org", "org_login_required", "ekm_access_denied", "accesslimited"}
)
"""Slack's codes for a state that passes; any other code is a refusal."""


@dataclass(frozen=True)
class Delivered:
    """Slack took the message; `channel` is its id and `ts` the message's timestamp, which names its thread."""

    channel: str
    ts: str


@dataclass(frozen=True)
class Delayed:
    """Not delivered, as far as can be known; `retry_after` is in seconds, where Slack asked for a pause."""

    error: str
    retry_after: float | None = None


@dataclass(frozen=True)
class Refused:
    """Slack will not take the message as it is."""

    error: str


class Slack:
    """Posts with a bot token to `url`; waits `timeout` seconds for an answer."""

    def __init__(self, url: str, token: SecretStr, timeout: int) -> None:
        self._url = url
        self._token = token
        self._timeout = timeout

    @property
    def fault(self) -> str | None:
        """Why nothing can be sent at all, or None."""
        token = self._token.get_secret_value().strip()
        if not token:
            return "MLOPS_SLACK_TOKEN is not set"
        if not re.fullmatch(r"[!-~]+", token):  # the HTTP client would print it in its error
            return "MLOPS_SLACK_TOKEN holds a space or a character that no Slack token has"
        return None

    def post(self, channel: str, post: Post, thread: str | None, *, broadcast: bool) -> Delivered | Delayed | Refused:
        """Post in `channel`, or in `thread` there (and in the channel too, where `broadcast`). Raises nothing."""
        from slack_sdk.errors import SlackApiError

        if self.fault:
            return Delayed(self.fault)
        try:
            answer = self._client().chat_postMessage(
                channel=channel,
                text=post.text,
                blocks=post.blocks,
                thread_ts=thread,
                reply_broadcast=broadcast or None,
                unfurl_links=False,
                unfurl_media=False,
            )
            if not answer["ts"]:
                return Delayed(f"Slack's answer names no message: {str(answer.data)[:200]}")
            return Delivered(str(answer["channel"] or channel), str(answer["ts"]))
        except SlackApiError as error:
            return _failure(error.response.status_code, error.response.headers, error.response.data)
        except Exception as error:  # noqa: BLE001 - whatever the client raises, the message waits
            return Delayed(f"Slack at {self._url} gave no usable answer: {type(error).__name__}: {error}")

    def probe(self) -> str:
        """Whom the token belongs to. Raises ServiceUnavailable, SettingsError where Slack refuses it."""
        from slack_sdk.errors import SlackApiError

        if self.fault and self._token.get_secret_value().strip():
            raise SettingsError(f"{self.fault}; {_REMEDY}")
        if self.fault:
            return f"{self.fault}: alerts wait in the outbox"
        try:
            answer = self._client().auth_test()
        except SlackApiError as error:
            failure = _failure(error.response.status_code, error.response.headers, error.response.data)
            if isinstance(failure, Delayed):
                raise ServiceUnavailable(failure.error) from None
            raise SettingsError(f"MLOPS_SLACK_TOKEN: {failure.error}; {_REMEDY}") from None
        except Exception as error:
            raise ServiceUnavailable(f"Slack at {self._url} did not answer: {type(error).__name__}: {error}") from error
        scopes = {name.lower(): value for name, value in answer.headers.items()}.get("x-oauth-scopes")
        if scopes is not None and "chat:write" not in scopes.replace(" ", "").split(","):
            raise SettingsError(
                f"MLOPS_SLACK_TOKEN: expected the scope chat:write, found {scopes or 'none'}; {_REMEDY}"
            )
        return (
            f"{self._url}, as {answer['user']} of {answer['team']}; whether its channel takes messages, an alert shows"
        )

    def _client(self) -> WebClient:
        from slack_sdk import WebClient

        # The outbox tries again, the client must not: it would repeat a post whose answer was lost.
        return WebClient(self._token.get_secret_value(), base_url=self._url, timeout=self._timeout, retry_handlers=[])


def _failure(status: int, headers: Mapping[str, str], body: Any) -> Delayed | Refused:
    code = body.get("error") if isinstance(body, dict) else None
    if status == 429:
        return Delayed("Slack answered 429: too many messages", _seconds(headers))
    if status >= 500 or not isinstance(code, str) or not re.fullmatch(r"[a-z0-9_]+", code):
        return Delayed(f"Slack answered {status} with {str(body)[:200]!r}")
    if code in PASSING:
        return Delayed(f"Slack answered {code}", _seconds(headers))
    details = body.get("response_metadata")
    messages = details.get("messages") if isinstance(details, dict) else None
    reasons = f" ({'; '.join(map(str, messages))[:500]})" if isinstance(messages, list) else ""
    return Refused(f"Slack refused: {code}{reasons}")


def _seconds(headers: Mapping[str, str]) -> float | None:
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None
