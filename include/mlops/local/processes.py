"""Finding and stopping every process of one stack, whoever started it and whatever became of its parent.

Each service is started with MLOPS_STACK_ID in its environment; children inherit it, however deep they are, whatever
session or parent they end up with. So a process belongs to a stack if its environment says so.
"""

from __future__ import annotations

import contextlib
import time

import psutil

STACK_ID = "MLOPS_STACK_ID"
# Airflow's components rename themselves through setproctitle, which overwrites the environment that the kernel shows
# unless told not to.
KEEP_ENVIRONMENT = {"SPT_NOENV": "1"}


def find_tagged(stack_id: str) -> list[psutil.Process]:
    """The living processes whose environment carries `stack_id`, with their descendants."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):  # ended meanwhile, or somebody else's
            if process.environ().get(STACK_ID) == stack_id:
                found[process.pid] = process
                found |= {child.pid: child for child in process.children(recursive=True)}
    return [process for process in found.values() if _is_alive(process)]


def stop_tagged(stack_id: str, grace_s: float = 15.0) -> int:
    """Stop every process of a stack and return how many there were.

    Each gets one SIGTERM; what is still there after `grace_s`, or appears meanwhile and stays, gets SIGKILL.
    """
    asked: set[int] = set()
    deadline = time.monotonic() + grace_s
    while alive := find_tagged(stack_id):
        late = time.monotonic() > deadline
        for process in alive:
            with contextlib.suppress(psutil.Error):
                if late:
                    process.kill()
                elif process.pid not in asked:
                    process.terminate()
            asked.add(process.pid)
        psutil.wait_procs(alive, timeout=0.2)
    return len(asked)


def _is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False
