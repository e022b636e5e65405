"""AWS's interfaces for tests: moto's server, which speaks their wire protocols, named by the environment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import httpx
from moto.server import ThreadedMotoServer

from tests.aws_environment import environment, keys


@contextmanager
def aws() -> Iterator[str]:
    """The endpoint of all of AWS's services, empty; keys and endpoint are in this process's environment meanwhile."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    try:
        with environment(keys(endpoint, "mlops", "of-tests-alone")):
            yield endpoint
    finally:
        httpx.post(f"{endpoint}/moto-api/reset").raise_for_status()  # or the next server would know all of it
        server.stop()


def bucket(name: str) -> None:
    """One that encrypts what is written to it by SSE-S3, as Amazon's do."""
    s3, rule = boto3.client("s3"), {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    s3.create_bucket(Bucket=name)
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})
