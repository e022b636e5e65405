"""No process of a service outlives its supervisor, however that ends. Real processes, real signals."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from include.mlops.errors import ServiceUnavailable
from include.mlops.local.processes import STACK_ID, find_tagged, stop_tagged
from include.mlops.local.state_folder import StateFolder
from include.mlops.local.supervisor import Service, Supervisor
from include.mlops.settings import ROOT

STUB_STACK = Path(__file__).with_name("stub_stack.py")
SLEEP = (sys.executable, "-c", "import time; time.sleep(300)")
PROCESSES_OF_A_STUB = 4  # each service with three below it


@pytest.fixture
def stub_stack(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running supervisor in a process of its own, and its stack id."""
    process = subprocess.Popen(
        [sys.executable, str(STUB_STACK), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    assert process.stdout is not None
    stack_id = process.stdout.readline().strip()
    yield process, stack_id
    process.kill()
    process.wait()
    process.stdout.close()
    stop_tagged(stack_id)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_nothing_is_left_when_the_supervisor_gets(
    number: signal.Signals, stub_stack: tuple[subprocess.Popen[str], str], tmp_path: Path
) -> None:
    process, stack_id = stub_stack
    assert re.fullmatch(r"[0-9a-f]{32}", stack_id)
    # The one that left its parent and renamed itself may still be on its way to do so.
    _until(lambda: len(find_tagged(stack_id)) == 2 * PROCESSES_OF_A_STUB)
    process.send_signal(number)
    process.wait()
    folder = StateFolder(tmp_path)
    _until(lambda: not folder.is_held())  # the watchdog holds it until it is done
    assert find_tagged(stack_id) == []


def test_nothing_is_left_when_a_service_does_not_come_up(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(Service("slow", SLEEP, answers=lambda: False, startup_s=0.2))
        with pytest.raises(ServiceUnavailable, match=r"slow did not answer within 0\.2 s"):
            supervisor.wait_until_up()
    assert find_tagged(supervisor.stack_id) == []


def test_a_service_that_ends_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    program = "print('first line'); print('no such table: runs'); raise SystemExit(3)"
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(Service("server", (sys.executable, "-c", program), answers=lambda: False))
        with pytest.raises(ServiceUnavailable) as caught:
            supervisor.wait_until_up()
    assert "server ended with exit code 3" in str(caught.value)
    assert str(tmp_path / "server.log") in str(caught.value)
    assert "| no such table: runs" in str(caught.value)


def test_a_service_that_ends_later_is_noticed(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(Service("server", SLEEP, answers=lambda: True))
        supervisor.wait_until_up()
        supervisor.check()
        (process,) = find_tagged(supervisor.stack_id)
        process.kill()
        _until(lambda: find_tagged(supervisor.stack_id) == [])
        with pytest.raises(ServiceUnavailable, match="server ended with exit code -9"):
            supervisor.check()


def test_a_restart_keeps_the_log_of_the_start_before(tmp_path: Path) -> None:
    for word in ("before", "after"):
        with Supervisor(tmp_path) as supervisor:
            supervisor.start(Service("server", (sys.executable, "-c", f"print({word!r})"), answers=lambda: False))
            with pytest.raises(ServiceUnavailable):
                supervisor.wait_until_up()
    assert (tmp_path / "server.log").read_text() == "after\n"
    assert (tmp_path / "server.previous.log").read_text() == "before\n"


def test_what_ignores_sigterm_is_killed() -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(300)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", stubborn], stdout=subprocess.PIPE, env={**os.environ, STACK_ID: "stubborn-test"}
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert stop_tagged("stubborn-test", grace_s=0.3) == 1
        assert not psutil.pid_exists(process.pid)


def test_processes_of_another_stack_are_left_alone() -> None:
    with subprocess.Popen(SLEEP, env={**os.environ, STACK_ID: "another-stack"}) as process:
        assert stop_tagged("this-stack") == 0
        assert psutil.Process(process.pid).is_running()
        process.kill()


def _until(condition: Callable[[], bool], limit_s: float = 60.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail("waited in vain")
        time.sleep(0.05)
