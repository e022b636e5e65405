"""What AWS Glue's errors mean: one that passes is tried again, a refusal is not."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from include.mlops.errors import ServiceUnavailable, SettingsError
from include.mlops.lake.lake import Lake
from include.mlops.settings import Settings
from tests.aws_environment import environment, keys

Answers = Callable[[int, str], Settings]


@pytest.fixture
def answers(tmp_path: Path) -> Iterator[Answers]:
    """`answers(503, "SomeException")`: the settings of a Glue that answers each request so."""
    wanted = [(200, "")]

    class Glue(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, code = wanted[0]
            body = json.dumps({"__type": code, "Message": "said by the test"}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    def answering(status: int, code: str) -> Settings:
        wanted[0] = (status, code)
        return Settings(state=tmp_path, catalog_url="glue://", warehouse_url="s3://lake/warehouse")

    with ThreadingHTTPServer(("127.0.0.1", 0), Glue) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with environment(keys(f"http://127.0.0.1:{server.server_port}", "me", "secret")):
            yield answering
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (500, "InternalFailure"),
        (500, "InternalServiceException"),
        (503, "ServiceUnavailableException"),
        (400, "ThrottlingException"),
        (400, "RequestLimitExceeded"),
        (400, "OperationTimeoutException"),
    ],
)
def test_what_passes_is_tried_again(answers: Answers, status: int, code: str) -> None:
    with pytest.raises(ServiceUnavailable, match=code):
        Lake(answers(status, code)).exists("features.visits_v1")


@pytest.mark.parametrize("code", ["AccessDeniedException", "UnrecognizedClientException"])
def test_a_refusal_names_the_setting(answers: Answers, code: str) -> None:
    with pytest.raises(SettingsError, match=f"{code}.*MLOPS_CATALOG_URL"):
        Lake(answers(400, code)).exists("features.visits_v1")


def test_without_a_region_the_variable_is_named(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = answers(200, "")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(SettingsError, match="AWS_DEFAULT_REGION"):
        Lake(settings).exists("features.visits_v1")
