"""The process that outlives the supervisor: when that ends, however it ends, it stops the services of its stack.

    python -m include.mlops.local.watchdog <stack id> <pid of the supervisor>

Its standard input is a pipe that only the supervisor holds open: end of file means that the supervisor is gone. A
forked child of the supervisor may hold it open too, so the pid is looked at as well.
"""

from __future__ import annotations

import select
import sys

import psutil

from include.mlops.local.processes import stop_tagged


def main(stack_id: str, pid: int) -> None:
    """Block until the supervisor is gone, then stop what carries `stack_id`."""
    try:
        supervisor = psutil.Process(pid)
    except psutil.NoSuchProcess:
        supervisor = None
    while supervisor is not None and supervisor.is_running() and supervisor.status() != psutil.STATUS_ZOMBIE:
        ready, _, _ = select.select([sys.stdin], [], [], 1.0)
        if ready and not sys.stdin.buffer.read(1):
            break
    stop_tagged(stack_id)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
