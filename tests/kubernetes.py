"""The API of a Kubernetes cluster whose pods are processes of this machine: what Spark's driver asks of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from include.mlops.compute.connect_server import java_command, spark_environment
from include.mlops.compute.java import find_java
from include.mlops.settings import Settings

_BACKEND = "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend"


@dataclass
class Cluster:
    """`pods` are those that were asked for and not deleted since; `processes` are theirs, by name."""

    home: Path
    address: str = ""
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def create(self, pod: dict[str, Any]) -> dict[str, Any]:
        """Start the pod's container, as the entry point of Spark's image does."""
        name = pod["metadata"]["name"]
        (container,) = pod["spec"]["containers"]
        assert container["args"] == ["executor"]
        told = {one["name"]: one.get("value") for one in container["env"]}
        arguments = {
            "driver-url": told["SPARK_DRIVER_URL"],
            "executor-id": told["SPARK_EXECUTOR_ID"],
            "cores": told["SPARK_EXECUTOR_CORES"],
            "app-id": told["SPARK_APPLICATION_ID"],
            "hostname": "127.0.0.1",
            "resourceProfileId": told["SPARK_RESOURCE_PROFILE_ID"],
            "podName": name,
        }
        flags = [text for key, value in arguments.items() for text in (f"--{key}", str(value))]
        home = self.home / name
        home.mkdir(parents=True)
        command = java_command(find_java(), str(told["SPARK_EXECUTOR_MEMORY"]), home, _BACKEND, *flags)
        options = [str(value) for key, value in told.items() if key.startswith("SPARK_JAVA_OPT_")]
        environment = {**os.environ, **spark_environment(Settings()), "SPARK_LOCAL_DIRS": str(home)}
        with (home / "log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [command[0], *options, *command[1:]], cwd=home, env=environment, stdout=log, stderr=log
            )
        pod["metadata"] |= {"uid": name, "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"}
        self.pods[name] = pod
        return pod

    def listed(self) -> list[dict[str, Any]]:
        phases = {None: "Running", 0: "Succeeded"}
        return [
            {**pod, "status": {"phase": phases.get(self.processes[name].poll(), "Failed"), "podIP": "127.0.0.1"}}
            for name, pod in list(self.pods.items())
        ]

    def working(self) -> list[str]:
        """Those that have begun a task."""
        return [name for name in list(self.processes) if "Running task" in (self.home / name / "log").read_text()]

    def delete(self, selector: str) -> None:
        """Those of a name, or of a label selector that lists executors' ids."""
        ids = re.search(r"spark-exec-id in \(([\d, ]+)\)", selector)
        wanted = set(re.split(r",\s*", ids[1])) if ids else set()
        for name, pod in list(self.pods.items()):
            if name == selector or pod["metadata"]["labels"].get("spark-exec-id") in wanted:
                self.processes[name].kill()
                del self.pods[name]

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


@contextmanager
def kubernetes(home: Path) -> Iterator[Cluster]:
    """A cluster without a sign-in, at `address`."""
    cluster, ends = Cluster(home), threading.Event()

    class Api(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            if self.headers.get("Upgrade"):  # a client that is not answered by a web socket watches by HTTP
                self._answer({})
                return
            if query.get("watch") == ["true"]:  # nothing is told: Spark looks at the list as well
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.flush()
                ends.wait()
                return
            kind = "PodList" if urlsplit(self.path).path.endswith("/pods") else "List"
            items = cluster.listed() if kind == "PodList" else []
            self._answer({"kind": kind, "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items})

        def do_POST(self) -> None:
            body = json.loads(self._body())
            self._answer(cluster.create(body) if body["kind"] == "Pod" else body, 201)

        def do_PATCH(self) -> None:
            self._body()
            self._answer(cluster.pods.get(urlsplit(self.path).path.rpartition("/")[2], {}))

        def do_DELETE(self) -> None:
            self._body()
            parts = urlsplit(self.path)
            name = parts.path.rpartition("/pods/")[2] if "/pods/" in parts.path else ""
            cluster.delete(name or " ".join(parse_qs(parts.query).get("labelSelector", [])))
            self._answer({"kind": "Status", "apiVersion": "v1", "status": "Success"})

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def _answer(self, answer: dict[str, Any], status: int = 200) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(BrokenPipeError):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.daemon_threads = True
    cluster.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield cluster
    finally:
        ends.set()
        server.shutdown()
        server.server_close()
        cluster.stop()
