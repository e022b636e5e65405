"""A local server that speaks Slack's Web API, and alerts on a real ledger that talk to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from pydantic import SecretStr

from include.mlops.alerts.alert import Alert, Alerts
from include.mlops.ledger.ledger import Ledger
from include.mlops.settings import Settings

TOKEN = "xoxb-1234-secret"
DRIFT = Alert(
    kind="drift",
    subject="flight_delay",
    ds=date(2013, 4, 10),
    severity="warning",
    title="carrier drifted",
    summary="Expected below 0.1, found 0.4. Look at the report.",
    numbers={"Jensen-Shannon": "0.40"},
    links={"Report": "https://mlops.example/r.html"},
)

Reply = tuple[int, dict[str, str], bytes]
Answer = Reply | str
"""(status, headers, body), or `hang` or `drop`, or an error code of Slack's."""


@dataclass
class FakeSlack:
    """What Slack would have: messages taken, and every request made. `answers` are used up before it behaves."""

    channels: dict[str, str] = field(default_factory=lambda: {"#mlops": "C01", "#flights": "C02"})
    answers: list[Answer] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    scopes: str = "chat:write,channels:read"
    lock: threading.Lock = field(default_factory=threading.Lock)
    asked: threading.Event = field(default_factory=threading.Event)
    closing: threading.Event = field(default_factory=threading.Event)

    def answer(self, path: str, token: str, body: dict[str, Any]) -> Answer:
        with self.lock:
            self.requests.append(body)
            if self.answers:
                return self.answers.pop(0)
            if path not in ("/api/chat.postMessage", "/api/auth.test"):
                return "unknown_method"
            if token != f"Bearer {TOKEN}":
                return "invalid_auth"
            if path == "/api/auth.test":
                who = json.dumps({"ok": True, "user": "mlops", "team": "Flights"}).encode()
                return 200, {"X-OAuth-Scopes": self.scopes}, who
            channel = self.channels.get(body["channel"], body["channel"])
            if channel not in self.channels.values():
                return "channel_not_found"
            if faults := block_faults(body["blocks"]):
                return ok_false("invalid_blocks", {"response_metadata": {"messages": faults}})
            if not body.get("text"):
                return "no_text"
            ts = f"1365645600.{len(self.taken):06d}"
            self.taken.append({**body, "channel": channel, "ts": ts})
            return (
                200,
                {},
                json.dumps({"ok": True, "channel": channel, "ts": ts, "message": {"text": body["text"]}}).encode(),
            )

    def told(self) -> list[tuple[str, str, str | None]]:
        """(channel, headline, thread) of each message taken."""
        return [(m["channel"], m["blocks"][0]["text"]["text"], m.get("thread_ts")) for m in self.taken]


def ok_false(code: str, more: dict[str, Any] | None = None, status: int = 200) -> Reply:
    return status, {}, json.dumps({"ok": False, "error": code, **(more or {})}).encode()


def block_faults(blocks: list[dict[str, Any]]) -> list[str]:
    """The documented limits: https://docs.slack.dev/reference/block-kit/blocks"""
    faults = ["[ERROR] no more than 50 items allowed [json-pointer:/blocks]"] if len(blocks) > 50 else []
    for block in blocks:
        most = {"header": 150, "section": 3000}.get(block["type"], 10_000)
        texts = [(block["text"]["text"], most)] if "text" in block else []
        texts += [(item["text"], 2000) for item in block.get("fields", []) + block.get("elements", [])]
        faults += ["[ERROR] must be more than 0 characters" for text, _ in texts if not text.strip()]
        faults += [f"[ERROR] must be less than {limit + 1} characters" for text, limit in texts if len(text) > limit]
        if len(block.get("fields", [])) > 10:
            faults.append("[ERROR] no more than 10 items allowed")
    return faults


def handler(slack: FakeSlack) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"])).decode()
            sent_as = self.headers.get_content_type()
            body = json.loads(raw or "{}") if sent_as == "application/json" else dict(parse_qsl(raw))
            answer = slack.answer(self.path, self.headers["Authorization"] or "", body)
            slack.asked.set()
            if answer == "hang":
                slack.closing.wait()
            elif answer != "drop":
                status, headers, content = answer if isinstance(answer, tuple) else ok_false(answer)
                self.send_response(status)
                for name, value in {
                    "Content-Type": "application/json",
                    "Content-Length": str(len(content)),
                    **headers,
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    fake = FakeSlack()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(fake))
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_port}/api/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield fake
    fake.closing.set()
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class Clock:
    """A clock that moves when told."""

    at: datetime = datetime(2013, 4, 11, 2, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def move(self, **by: float) -> None:
        self.at += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    ledger.migrate()
    yield ledger
    ledger.close()


@pytest.fixture
def make_alerts(ledger: Ledger, slack: FakeSlack, clock: Clock) -> Callable[..., Alerts]:
    def make(**settings: Any) -> Alerts:
        values = {"slack_url": slack.url, "slack_token": SecretStr(TOKEN), "slack_channel": "#mlops", **settings}
        return Alerts(ledger.incidents, Settings(**values), clock, timeout=1)

    return make


@pytest.fixture
def alerts(make_alerts: Callable[..., Alerts]) -> Alerts:
    return make_alerts()


@pytest.fixture
def drift() -> Alert:
    return DRIFT
