"""A bucket of moto's on a free port of loopback, found by botocore through the environment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import botocore.session
import pytest
from moto.server import ThreadedMotoServer

from tests.support.scripted_bedrock import CREDENTIALS, REGION


@contextmanager
def bucket(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of botocore's, of a bucket that is removed at the end."""
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    for variable, value in {**CREDENTIALS, "AWS_ENDPOINT_URL_S3": f"http://{host}:{port}"}.items():
        monkeypatch.setenv(variable, value)
    for variable in ("AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    client = botocore.session.Session().create_client("s3", region_name=REGION)
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    try:
        yield client
    finally:
        for key in keys(client, name):  # all servers of a process have one memory
            client.delete_object(Bucket=name, Key=key)
        client.delete_bucket(Bucket=name)
        server.stop()


def keys(client: Any, name: str) -> list[str]:
    """Of the bucket's objects."""
    return [each["Key"] for each in client.list_objects_v2(Bucket=name).get("Contents", ())]
