"""Whether a token would do, asked without a message."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from include.mlops.alerts.slack import Slack
from include.mlops.errors import ServiceUnavailable, SettingsError

TOKEN = "xoxb-1234-secret"


def _probe(slack: Any, token: str = TOKEN) -> str:
    return Slack(slack.url, SecretStr(token), timeout=1).probe()


def test_a_good_token_is_told_with_its_owner_and_nothing_is_posted(slack: Any) -> None:
    assert "as mlops of Flights" in _probe(slack)
    assert slack.taken == []


def test_a_token_of_nobody_and_one_that_may_not_write_are_told_without_showing_them(slack: Any) -> None:
    with pytest.raises(SettingsError, match="MLOPS_SLACK_TOKEN: Slack refused: invalid_auth; give the token") as caught:
        _probe(slack, "xoxb-of-nobody")
    assert "of-nobody" not in str(caught.value)
    slack.scopes = "channels:read"
    with pytest.raises(SettingsError, match="expected the scope chat:write, found channels:read"):
        _probe(slack)


def test_without_a_token_alerts_wait(slack: Any) -> None:
    assert _probe(slack, "") == "MLOPS_SLACK_TOKEN is not set: alerts wait in the outbox"


def test_what_no_token_can_be_is_a_wrong_setting_and_not_shown(slack: Any) -> None:
    with pytest.raises(SettingsError, match="MLOPS_SLACK_TOKEN holds a space") as caught:
        _probe(slack, "xoxb-1234 secret")
    assert "1234" not in str(caught.value)


@pytest.mark.parametrize("answer", ["drop", "ratelimited", (503, {}, b"later")])
def test_slack_in_trouble_is_no_wrong_setting(slack: Any, answer: Any) -> None:
    slack.answers = [answer]
    with pytest.raises(ServiceUnavailable):
        _probe(slack)
