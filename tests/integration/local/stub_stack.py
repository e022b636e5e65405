"""A supervisor of services with grandchildren, for tests that kill it: `python stub_stack.py <state folder>`.

Prints its stack id once everything runs.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from include.mlops.local.state_folder import StateFolder
from include.mlops.local.supervisor import Service, Supervisor

# A child that stays, one that leaves the session and loses its parent, and one that renames itself as Airflow does.
PROGRAM = """
import os, pathlib, subprocess, sys, time
here = pathlib.Path(sys.argv[1])
sleep = "import time; time.sleep(300)"
subprocess.Popen([sys.executable, "-c", sleep])
orphan = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {sleep!r}], start_new_session=True)"
subprocess.run([sys.executable, "-c", orphan], check=True)
renamed = f"import setproctitle; setproctitle.setproctitle('x' * 4000); {sleep}"
subprocess.run([sys.executable, "-c", f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {renamed!r}])"])
here.touch()
time.sleep(300)
"""


def main(state: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and so would this
    with (
        StateFolder(state) as folder,
        Supervisor(state / "logs", keep_open=(folder.descriptor,)) as supervisor,
    ):
        for name in ("one", "two"):
            ready = state / f"{name}.ready"
            supervisor.start(Service(name, (sys.executable, "-c", PROGRAM, str(ready)), answers=ready.exists))
        supervisor.wait_until_up()
        print(supervisor.stack_id, flush=True)
        time.sleep(300)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
