"""A folder and a bucket do alike what batches need of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest
from moto.server import ThreadedMotoServer

from router_backend.gateway.batches.storage.objects import Missing, Objects
from router_backend.gateway.batches.storage.open import open_objects


@pytest.fixture(params=["folder", "bucket"])
def objects(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Objects]:
    if request.param == "folder":
        yield open_objects("batches", tmp_path)
        return
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    settings = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ENDPOINT_URL": url,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    client = botocore.session.Session().create_client("s3", region_name="us-east-1", endpoint_url=url)
    client.create_bucket(Bucket="batches")
    yield open_objects(f"s3://batches/{tmp_path.name}", tmp_path)  # all servers of a process have one memory
    server.stop()


async def test_the_first_of_two_writes(objects: Objects) -> None:
    assert await objects.put("k/a", b"1", new=True)
    assert not await objects.put("k/a", b"2", new=True)
    assert await objects.get("k/a") == b"1"
    assert await objects.put("k/a", b"3")
    assert await objects.get("k/a") == b"3"
    assert await objects.get("k/none") is None


async def test_a_large_object_is_there_when_it_is_whole(objects: Objects) -> None:
    async with objects.writer("k/large") as writer:
        for _ in range(50):
            await writer.write(b"x" * 262_144)
        assert await objects.get("k/large") is None
        await writer.commit()
    assert writer.size == sum([len(piece) async for piece in objects.read("k/large")]) == 50 * 262_144
    async with objects.writer("k/left") as writer:
        await writer.write(b"half")
    assert await objects.names("k") == ["large"]
    with pytest.raises(Missing):
        await anext(objects.read("k/left"))


async def test_folders(objects: Objects) -> None:
    for path in ("k/b", "k/a/1", "k/a/2"):
        await objects.put(path, b"")
    assert (await objects.names("k"), await objects.names("none")) == (["a", "b"], [])
    await objects.delete_folder("k/a")
    for _ in range(2):
        await objects.delete("k/b")
    await objects.delete_folder("none")
    assert await objects.names("k") == []
