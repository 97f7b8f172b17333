"""Files that clients upload, read, list and remove."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from router_backend.gateway.batches import files
from router_backend.state.store import Store
from tests.gateway.batches.conftest import begun, jsonl, line, uploaded
from tests.gateway.conftest import Running, Serve
from tests.gateway.test_responses import sdk
from tests.support.scripted_triton import ScriptedTriton
from tests.support.scripted_upstream import ScriptedUpstream

LINES = jsonl([line("1")])


def everything_in(folder: Path) -> list[Path]:
    return [folder, *folder.rglob("*")]


def files_in(folder: Path) -> list[Path]:
    return [path for path in everything_in(folder) if path.is_file()]


async def test_a_file_comes_back_as_it_was(client: openai.AsyncOpenAI, tmp_path: Path) -> None:
    content = LINES + b"\x00\xff\r\n--boundary\r\n" * 50_000  # in many pieces, and like a form
    made = await client.files.create(file=("ünïcode.jsonl", content), purpose="batch")
    assert (made.bytes, made.filename, made.purpose, made.status) == (
        len(content),
        "ünïcode.jsonl",
        "batch",
        "processed",
    )
    assert made.expires_at == made.created_at + 7 * 86_400
    assert await client.files.retrieve(made.id) == made
    assert (await client.files.content(made.id)).content == content
    assert (await client.files.delete(made.id)).deleted
    for call in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError):
            await call(made.id)
    assert not files_in(tmp_path / "batches")
    assert not any(path.stat().st_mode & 0o077 for path in everything_in(tmp_path / "batches"))


async def test_files_are_listed(client: openai.AsyncOpenAI) -> None:
    made = [await uploaded(client, [line(str(at))]) for at in range(3)]
    assert [file.id for file in (await client.files.list()).data] == made[::-1]
    assert [file.id for file in (await client.files.list(order="asc", limit=1)).data] == made[:1]
    assert [file.id async for file in client.files.list(order="asc", limit=1)] == made
    assert not (await client.files.list(purpose="batch_output")).data


async def test_a_file_ends_when_its_client_says(client: openai.AsyncOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await client.files.create(
        file=("a", LINES), purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert made.expires_at == made.created_at + 3600
    clock = files.time.time
    monkeypatch.setattr(files.time, "time", lambda: clock() + 3601)
    with pytest.raises(openai.NotFoundError):
        await client.files.retrieve(made.id)
    with pytest.raises(openai.BadRequestError):
        await client.batches.create(input_file_id=made.id, endpoint="/v1/chat/completions", completion_window="24h")


async def test_it_may_say_so_in_json(gateway: Running) -> None:
    form = {"purpose": "batch", "expires_after": '{"anchor": "created_at", "seconds": 3600}'}
    made = (await gateway.http.post("/v1/files", data=form, files={"file": LINES})).json()
    assert made["expires_at"] == made["created_at"] + 3600


@pytest.mark.parametrize(
    ("said", "param"),
    [
        ({"expires_after": said}, param)
        for said, param in (
            ("", "expires_after"),
            ("3600", "expires_after"),
            ("created_at", "expires_after"),
            ("{", "expires_after"),
            ("[" * 900, "expires_after"),
            ("{}", "expires_after.anchor"),
            ('{"anchor": "now", "seconds": 3600}', "expires_after.anchor"),
            ('{"anchor": "created_at"}', "expires_after.seconds"),
            ('{"anchor": "created_at", "seconds": 60}', "expires_after.seconds"),
            ('{"anchor": "created_at", "seconds": "3600"}', "expires_after.seconds"),
            ('{"anchor": "created_at", "seconds": 1e400}', "expires_after.seconds"),
        )
    ]
    + [
        ({"expires_after.anchor": "created_at", "expires_after.seconds": "3600"}, "expires_after"),
        ({"expires_after[seconds]": "3600"}, "expires_after.anchor"),
        (
            {"expires_after": '{"anchor": "created_at", "seconds": 3600}', "expires_after[seconds]": "7200"},
            "expires_after",
        ),
    ],
)
async def test_an_end_that_says_nothing_is_refused(
    gateway: Running, tmp_path: Path, said: dict[str, str], param: str
) -> None:
    answer = await gateway.http.post("/v1/files", data={"purpose": "batch", **said}, files={"file": LINES})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert not files_in(tmp_path / "batches")


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"data": {"purpose": "batch"}, "files": {"other": b"x"}}, "file"),
        ({"files": {"file": b"x"}}, "purpose"),
        ({"data": {"purpose": "fine-tune"}, "files": {"file": b"x"}}, "purpose"),
        (
            {"data": {"purpose": "batch", "expires_after[anchor]": "created_at"}, "files": {"file": b"x"}},
            "expires_after.seconds",
        ),
        (
            {
                "data": {
                    "purpose": "batch",
                    "expires_after[anchor]": "created_at",
                    "expires_after[seconds]": "9999999999999999",
                },
                "files": {"file": b"x"},
            },
            "expires_after.seconds",
        ),
        ({"files": [("file", b"x"), ("file", b"y")]}, "file"),
        ({"data": {"purpose": "b" * 2000}, "files": {"file": b"x"}}, "purpose"),
        ({"files": [(str(at), b"x") for at in range(40)]}, "file"),
        ({"content": b"{}", "headers": {"content-type": "application/json"}}, "file"),
        ({"content": b"junk", "headers": {"content-type": "multipart/form-data; boundary=x"}}, "file"),
        ({"content": b"--x\r\nhalf", "headers": {"content-type": "multipart/form-data; boundary=x"}}, "file"),
        ({"content": b"", "headers": {"content-type": "multipart/form-data; boundary="}}, "file"),
    ],
)
async def test_what_no_file_can_be(gateway: Running, tmp_path: Path, form: dict[str, Any], param: str) -> None:
    answer = await gateway.http.post("/v1/files", **form)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert not files_in(tmp_path / "batches")


async def test_the_file_may_come_before_its_purpose(gateway: Running) -> None:
    parts = [("file", ("a.jsonl", LINES)), ("purpose", (None, b"batch"))]
    assert (await gateway.http.post("/v1/files", files=parts)).json()["bytes"] == len(LINES)


async def test_a_file_that_is_too_large(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, batches: dict[str, Any], tmp_path: Path
) -> None:
    gateway = await serve(upstream, triton=triton, batches={**batches, "max_file_bytes": 100_000})
    for size in (100_001, 5_000_000):
        answer = await gateway.http.post("/v1/files", data={"purpose": "batch"}, files={"file": b"x" * size})
        assert answer.status_code == 413
        assert "batches.max_file_bytes" in answer.json()["error"]["message"]
    assert not files_in(tmp_path / "batches")
    whole = await gateway.http.post("/v1/files", data={"purpose": "batch"}, files={"file": b"x" * 100_000})
    assert whole.status_code == 200


async def test_an_upload_is_never_in_memory(gateway: Running, tmp_path: Path) -> None:
    """Nor is half of one left when its client goes away."""
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    sent = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield head
        for _ in range(64):
            yield b"x" * 65_536
        sent.set()
        await asyncio.Event().wait()

    headers = {"content-type": "multipart/form-data; boundary=x"}
    asking = asyncio.create_task(gateway.http.post("/v1/files", content=body(), headers=headers))
    await sent.wait()
    async with asyncio.timeout(60):
        while sum(path.stat().st_size for path in files_in(tmp_path / "batches")) < 15 * 262_144:
            await asyncio.sleep(0.01)
        asking.cancel()
        while files_in(tmp_path / "batches"):
            await asyncio.sleep(0.01)


async def test_another_key_finds_nothing(
    serve: Serve, upstream: ScriptedUpstream, triton: ScriptedTriton, store: Store, batches: dict[str, Any]
) -> None:
    keys = [{"name": name, "sha256": hashlib.sha256(name.encode()).hexdigest(), "scopes": ["chat"]} for name in "xy"]
    gateway = await serve(upstream, triton=triton, security={"api_keys": keys}, batches=batches)
    async with sdk(gateway, api_key="x") as mine, sdk(gateway, api_key="y") as others:
        batch = await begun(mine, [line("1")])
        for file_call in (others.files.retrieve, others.files.content, others.files.delete):
            with pytest.raises(openai.NotFoundError):
                await file_call(batch.input_file_id)
        for call in (others.batches.retrieve, others.batches.cancel):
            with pytest.raises(openai.NotFoundError):
                await call(batch.id)
        with pytest.raises(openai.BadRequestError):
            await others.batches.create(
                input_file_id=batch.input_file_id, endpoint="/v1/chat/completions", completion_window="24h"
            )
        assert not (await others.files.list()).data
        assert not (await others.batches.list()).data
    assert (await gateway.http.get("/v1/files")).status_code == 401


async def test_without_a_place_there_are_none(serve: Serve, upstream: ScriptedUpstream) -> None:
    gateway = await serve(upstream)
    for method, path in (("POST", "/v1/files"), ("GET", "/v1/files/x/content"), ("POST", "/v1/batches/x/cancel")):
        answer = await gateway.http.request(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "batches_off")


async def test_a_place_that_cannot_be_used_says_so(serve: Serve, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    gateway = await serve(upstream, batches={"place": str(tmp_path / "file")})
    answer: httpx.Response = await gateway.http.post("/v1/files", data={"purpose": "batch"}, files={"file": LINES})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "files_unavailable")
