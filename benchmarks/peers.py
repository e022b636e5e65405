"""Runs peers in turns, each in a fresh process, and prints seconds, ratios and memory side by side.

Times of different runs on a shared machine say little; the ratio of two that ran in turns says more. A benchmark file
gives `run` its peers: functions that do the work and return {"seconds": the part that is judged, ...}.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

Peer = Callable[[Path, dict[str, Any]], dict[str, Any]]
"""(state folder, what the set-up told) -> {"seconds": ..., and what else is worth keeping}."""


def arguments(description: str, rows: int = 0) -> argparse.ArgumentParser:
    """What all benchmarks take; `--rows` where the benchmark has a number of them."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if rows:
        parser.add_argument("--rows", type=int, default=rows)
    parser.add_argument("--repeat", type=int, default=3, help="runs of each peer, in turns")
    parser.add_argument("--peers", default="", help="names of some, by comma; default: all")
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    parser.add_argument("--state", type=Path, help=argparse.SUPPRESS)
    return parser


def answer_as_peer(peers: Mapping[str, Peer], options: argparse.Namespace) -> bool:
    """In the process of one peer: do its work and leave the answer. False in the process that compares."""
    if not options.peer:
        return False
    told = json.loads((options.state / "told.json").read_text())
    (options.state / "answer.json").write_text(json.dumps(peers[options.peer](options.state, told)))
    return True


def compare(
    file: str, peers: Sequence[str], options: argparse.Namespace, state: Path, told: Mapping[str, Any]
) -> dict[str, list[dict[str, Any]]]:
    """All runs of each peer. `told` is what each finds in its process."""
    (state / "told.json").write_text(json.dumps(told))
    wanted = [name for name in peers if not options.peers or name in options.peers.split(",")]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in wanted}
    for _ in range(options.repeat):
        for name in wanted:
            runs[name].append(_measured(file, name, state))
    return runs


def show(title: str, runs: Mapping[str, list[dict[str, Any]]], against: str, rows: int = 0) -> None:
    """A line a peer: the median of its seconds, the median of the ratios to `against` turn by turn, rows a second,
    the time of the whole process, and the most memory that it held."""
    print(f"\n{title}")
    print(f"{'':34}{'seconds':>9}{'ratio':>8}{'rows/s':>12}{'process':>10}{'memory':>11}")
    for name, found in runs.items():
        seconds = statistics.median(one["seconds"] for one in found)
        ratio = statistics.median(
            one["seconds"] / peer["seconds"] for one, peer in zip(found, runs[against], strict=True)
        )
        speed = f"{rows / seconds:>12,.0f}" if rows else f"{'':12}"
        process = statistics.median(one["process"] for one in found)
        memory = max(one["bytes"] for one in found) / 2**30
        print(f"{name:34}{seconds:>9.2f}{ratio:>8.2f}{speed}{process:>8.1f} s{memory:>7.2f} GiB")


def keep(options: argparse.Namespace, result: Mapping[str, Any]) -> None:
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def cpu_seconds() -> float:
    """What this process and its children took: what a busy machine does not change."""
    here = psutil.Process()
    times = [one.cpu_times() for one in (here, *here.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def state_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="benchmark-")


def _measured(file: str, peer: str, state: Path) -> dict[str, Any]:
    log = state / f"{peer.replace(' ', '-').replace('.', '-')}.log"
    command = [sys.executable, file, "--peer", peer, "--state", str(state)]
    begun = time.perf_counter()
    with log.open("w") as out:
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    peak, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            peak[0] = max(peak[0], _memory(child.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = child.wait()
    done.set()
    watcher.join()
    if code:
        raise SystemExit(f"{peer} failed:\n{log.read_text()[-3000:]}")
    found = json.loads((state / "answer.json").read_text())
    return {**found, "process": time.perf_counter() - begun, "bytes": peak[0]}


def _memory(pid: int) -> int:
    """Bytes that a process and its children hold."""
    total = 0
    try:
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total
