"""AWS's interfaces by moto, in trouble when told so: what S3 answers on a bad day."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from tests.aws_environment import environment, keys

Trouble = Literal["slow down", "denied", "cut", "late"]
_ANSWERS = {
    "slow down": ("503 Slow Down", "SlowDown", "Please reduce your request rate."),
    "denied": ("403 Forbidden", "AccessDenied", "Access Denied"),
}


class TroubledS3:
    """`left` requests more are answered with `trouble`; the others as usual. `seen` counts the troubled ones."""

    def __init__(self) -> None:
        self._honest = DomainDispatcherApplication(create_backend_app)
        self._trouble: Trouble | None = None
        self._left = self.seen = 0

    def begin(self, trouble: Trouble, requests: int = 1_000_000) -> None:
        self._trouble, self._left, self.seen = trouble, requests, 0

    def end(self) -> None:
        self._left = 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if self._left <= 0:
            return self._honest(environ, start_response)
        self._left, self.seen = self._left - 1, self.seen + 1
        if self._trouble == "late":
            time.sleep(0.5)
            return self._honest(environ, start_response)
        if length := int(environ.get("CONTENT_LENGTH") or 0):
            environ["wsgi.input"].read(length)
        if self._trouble == "cut":
            raise ConnectionResetError("the line was cut")
        status, code, message = _ANSWERS[self._trouble or "denied"]
        body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'.encode()
        start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


@contextmanager
def troubled_s3() -> Iterator[TroubledS3]:
    """One that is well at first; its endpoint and keys are in this process's environment meanwhile."""
    made = TroubledS3()
    server = make_server("127.0.0.1", 0, made, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        with environment(keys(endpoint, "mlops", "of-tests-alone")):
            yield made
    finally:
        server.shutdown()
