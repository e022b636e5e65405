"""An Iceberg REST catalog for tests, as far as our clients speak to one: pyiceberg's database catalog behind the routes
of https://github.com/apache/iceberg/blob/main/open-api/rest-catalog-open-api.yaml
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from pyiceberg.catalog.rest import RestCatalog  # noqa: F401 - registers its models
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import CommitTableRequest, Table
from pyiceberg.table.sorting import SortOrder
from pyiceberg.table.update import SetSnapshotRefUpdate

CREDENTIAL, TOKEN = "tester:open-sesame", "granted"
STATUS = {
    NoSuchTableError: 404,
    NoSuchNamespaceError: 404,
    TableAlreadyExistsError: 409,
    NamespaceAlreadyExistsError: 409,
    CommitFailedException: 409,
}


@contextmanager
def rest_catalog(home: Path, warehouse: str, *, shows_staged: bool = False) -> Iterator[str]:
    """Its address. `shows_staged`: as servers that know one snapshot of a table, and take any new one for it."""
    places = {"uri": f"sqlite:///{home}/kept.db", "warehouse": warehouse}
    if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
        places["s3.endpoint"] = endpoint
    kept = SqlCatalog("kept", **places)
    handler = type("Handler", (_Handler,), {"catalog": kept, "shows_staged": shows_staged, "lock": threading.Lock()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    catalog: SqlCatalog
    shows_staged: bool
    lock: threading.Lock
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        if path == "/v1/oauth/tokens":
            asked = {name: values[0] for name, values in parse_qs(body.decode()).items()}
            right = f"{asked.get('client_id')}:{asked.get('client_secret')}" == CREDENTIAL
            granted = {"access_token": TOKEN, "token_type": "bearer", "expires_in": 3600}
            self._answer(*((200, granted) if right else (401, {"error": "invalid_client"})))
            return
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, _fault("NotAuthorizedException", "show a token", 401))
            return
        for (method, pattern), action in ROUTES.items():
            if method == self.command and (found := re.fullmatch(pattern, path)):
                try:
                    with self.lock:
                        content = action(self, *found.groups(), json.loads(body) if body else {})
                except tuple(STATUS) as error:
                    code = next(status for kind, status in STATUS.items() if isinstance(error, kind))
                    self._answer(code, _fault(type(error).__name__.replace("Error", "Exception"), str(error), code))
                else:
                    self._answer(200 if content is not None else 204, content)
                return
        self._answer(404, _fault("NoSuchRoute", f"{self.command} {path}", 404))

    do_GET = do_POST = do_HEAD = do_DELETE = _serve  # noqa: N815 - names that http.server looks for

    def _answer(self, code: int, content: Any) -> None:
        body = json.dumps(content).encode() if content is not None else b""
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass

    def config(self, _: Any) -> Any:
        return {"defaults": {}, "overrides": {}}

    def namespaces(self, _: Any) -> Any:
        return {"namespaces": [list(name) for name in self.catalog.list_namespaces()]}

    def make_namespace(self, body: Any) -> Any:
        self.catalog.create_namespace(tuple(body["namespace"]), body.get("properties") or {})
        return {"namespace": body["namespace"], "properties": {}}

    def namespace(self, name: str, _: Any) -> Any:
        return {"namespace": [name], "properties": self.catalog.load_namespace_properties(name)}

    def tables(self, namespace: str, _: Any) -> Any:
        found = self.catalog.list_tables(namespace)
        return {"identifiers": [{"namespace": list(name[:-1]), "name": name[-1]} for name in found]}

    def make_table(self, namespace: str, body: Any) -> Any:
        optional = {
            "partition_spec": PartitionSpec.model_validate(body["partition-spec"])
            if "partition-spec" in body
            else None,
            "sort_order": SortOrder.model_validate(body["write-order"]) if "write-order" in body else None,
        }
        return _loaded(
            self.catalog.create_table(
                (namespace, body["name"]),
                Schema.model_validate(body["schema"]),
                properties=body.get("properties") or {},
                **{name: value for name, value in optional.items() if value is not None},
            )
        )

    def table(self, namespace: str, name: str, _: Any) -> Any:
        return _loaded(self.catalog.load_table((namespace, name)))

    def commit(self, namespace: str, name: str, body: Any) -> Any:
        table = self.catalog.load_table((namespace, name))
        names = {"namespace": [namespace], "name": name}
        asked = CommitTableRequest.model_validate({**body, "identifier": names})
        updates = asked.updates
        added = [one.snapshot.snapshot_id for one in updates if one.action == "add-snapshot"]
        if self.shows_staged and added:
            updates = (*updates, SetSnapshotRefUpdate(ref_name="main", type="branch", snapshot_id=added[-1]))
        done = self.catalog.commit_table(table, asked.requirements, updates)
        return {"metadata-location": done.metadata_location, "metadata": json.loads(done.metadata.model_dump_json())}

    def drop_table(self, namespace: str, name: str, _: Any) -> Any:
        self.catalog.drop_table((namespace, name))


_Action = Callable[..., Any]
ROUTES: dict[tuple[str, str], _Action] = {
    ("GET", "/v1/config"): _Handler.config,
    ("GET", "/v1/namespaces"): _Handler.namespaces,
    ("POST", "/v1/namespaces"): _Handler.make_namespace,
    ("GET", "/v1/namespaces/([^/]+)"): _Handler.namespace,
    ("HEAD", "/v1/namespaces/([^/]+)"): _Handler.namespace,
    ("GET", "/v1/namespaces/([^/]+)/tables"): _Handler.tables,
    ("POST", "/v1/namespaces/([^/]+)/tables"): _Handler.make_table,
    ("GET", "/v1/namespaces/([^/]+)/tables/([^/]+)"): _Handler.table,
    ("HEAD", "/v1/namespaces/([^/]+)/tables/([^/]+)"): _Handler.table,
    ("POST", "/v1/namespaces/([^/]+)/tables/([^/]+)"): _Handler.commit,
    ("DELETE", "/v1/namespaces/([^/]+)/tables/([^/]+)"): _Handler.drop_table,
}


def _loaded(table: Table) -> Any:
    metadata = json.loads(table.metadata.model_dump_json())
    return {"metadata-location": table.metadata_location, "metadata": metadata, "config": {}}


def _fault(kind: str, message: str, code: int) -> Any:
    return {"error": {"type": kind, "message": message, "code": code}}
