"""Where StatsD's datagrams go."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self


class Datagrams:
    """Listens on a UDP port of this machine and keeps each line that arrives."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", port))
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def lines(self) -> list[str]:
        return list(self._lines)

    def _listen(self) -> None:
        while True:
            try:
                self._lines.extend(self._socket.recv(65535).decode().splitlines())
            except OSError:  # closed
                return
