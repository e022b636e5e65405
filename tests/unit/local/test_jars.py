"""Jars come from a Maven repository, whole and as pinned, or not at all."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from include.mlops.compute.jars import LOCAL_JARS, S3_JARS, Jar, ensure_jars, needed_jars
from include.mlops.errors import ServiceUnavailable, SettingsError
from include.mlops.local.ports import free_port
from include.mlops.settings import Settings

CONTENT = b"a jar" * 1000
JAR = Jar("org.example", "thing", "1.0", hashlib.sha256(CONTENT).hexdigest())


class _Repository(http.server.SimpleHTTPRequestHandler):
    requests: list[str]

    def do_GET(self) -> None:
        self.requests.append(self.path)
        if self.path.startswith("/broken"):  # promises more than it sends
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[:100])
            return
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """A Maven repository that serves JAR; its address and the paths that were asked of it."""
    served = tmp_path / "repository" / JAR.path
    served.parent.mkdir(parents=True)
    served.write_bytes(CONTENT)
    handler = type("Handler", (_Repository,), {"requests": []})
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(handler, directory=str(tmp_path / "repository"))
    ) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", handler.requests
        server.shutdown()


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_jar_is_downloaded_once(repository: tuple[str, list[str]], tmp_path: Path) -> None:
    url, requests = repository
    for _ in range(2):
        (path,) = ensure_jars(Settings(maven_url=url), [JAR], tmp_path / "jars")
        assert path.read_bytes() == CONTENT
    assert requests == ["/org/example/thing/1.0/thing-1.0.jar"]
    assert _files(tmp_path / "jars") == ["thing-1.0.jar"]


def test_a_damaged_jar_is_replaced(repository: tuple[str, list[str]], tmp_path: Path) -> None:
    folder = tmp_path / "jars"
    folder.mkdir()
    (folder / JAR.file).write_bytes(CONTENT[:-1])
    (path,) = ensure_jars(Settings(maven_url=repository[0]), [JAR], folder)
    assert path.read_bytes() == CONTENT


def test_a_jar_of_another_checksum_is_refused_and_not_kept(repository: tuple[str, list[str]], tmp_path: Path) -> None:
    other = Jar(JAR.group, JAR.name, JAR.version, "0" * 64)
    with pytest.raises(SettingsError) as caught:
        ensure_jars(Settings(maven_url=repository[0]), [other], tmp_path / "jars")
    message = str(caught.value)
    assert f"{repository[0]}/{JAR.path}" in message
    assert f"expected SHA-256 {'0' * 64}, found {JAR.sha256}" in message
    assert "MLOPS_MAVEN_URL" in message
    assert _files(tmp_path / "jars") == []


def test_a_repository_without_the_jar_is_a_wrong_setting(repository: tuple[str, list[str]], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"found HTTP 404 .*MLOPS_MAVEN_URL"):
        ensure_jars(Settings(maven_url=f"{repository[0]}/elsewhere"), [JAR], tmp_path / "jars")
    assert len(repository[1]) == 1


def test_a_connection_that_breaks_is_tried_again_and_leaves_no_half_file(
    repository: tuple[str, list[str]], tmp_path: Path
) -> None:
    with pytest.raises(ServiceUnavailable, match=r"broke after 100 of 5000 bytes"):
        ensure_jars(Settings(maven_url=f"{repository[0]}/broken"), [JAR], tmp_path / "jars")
    assert len(repository[1]) == 3
    assert _files(tmp_path / "jars") == []


def test_an_unreachable_repository_says_where_it_looked_and_what_to_do(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ServiceUnavailable) as caught:
        ensure_jars(Settings(maven_url=url), [JAR], tmp_path / "jars")
    assert caught.value.transient
    for part in (f"{url}/{JAR.path}", "Connection refused", "HTTPS_PROXY", "SSL_CERT_FILE", "MLOPS_MAVEN_URL"):
        assert part in str(caught.value)


def test_a_warehouse_or_files_on_s3_take_the_aws_jars() -> None:
    assert needed_jars(Settings()) == LOCAL_JARS
    assert needed_jars(Settings(warehouse_url="s3://bucket/lake")) == LOCAL_JARS + S3_JARS
    assert needed_jars(Settings(landing_url="s3://bucket/files")) == LOCAL_JARS + S3_JARS
