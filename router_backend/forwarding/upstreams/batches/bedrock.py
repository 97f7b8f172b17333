"""Batch inference of Amazon Bedrock: jobs of many Converse requests, which come and go through a bucket.

A job's name and its token (`clientRequestToken`) are the part's: Bedrock takes a second request with a known token for the first.
Sources: CreateModelInvocationJob, GetModelInvocationJob, ListModelInvocationJobs and StopModelInvocationJob of the Amazon Bedrock
API Reference; "Format and upload your batch inference data" and "View the results of a batch inference job" of its User Guide.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from functools import cached_property
from typing import Any

import msgspec

from router_backend.config.models import BatchConfig, BedrockUpstream
from router_backend.core.jsonio import dump, load
from router_backend.forwarding.upstreams.batches.api import BatchAPIError, LineAnswer, RemoteBatch, Status
from router_backend.forwarding.upstreams.bedrock.chunks import MALFORMED, whole
from router_backend.forwarding.upstreams.bedrock.signing import Signer

JOB_HOURS = 24
"""After which Bedrock ends a job itself: the least that it takes."""
_STATES: dict[str, Status] = {
    "Completed": "completed",
    "PartiallyCompleted": "expired",
    "Expired": "expired",
    "Failed": "failed",
    "Stopping": "cancelling",
    "Stopped": "cancelled",
}  # all others are under way
_PASSING = frozenset(
    ("ThrottlingException", "InternalServerException", "ServiceQuotaExceededException", "ConflictException", "SlowDown")
)
_GONE = frozenset(("ResourceNotFoundException", "NoSuchKey", "404"))
_OUTPUT = ".jsonl.out"
_PIECE = 1024 * 1024


class _Record(msgspec.Struct, frozen=True, rename="camel"):
    record_id: str
    model_output: msgspec.Raw = msgspec.Raw(b"null")  # an `error` stands in its place where there is none


_records = msgspec.json.Decoder(_Record)


class BedrockBatches:
    """See `BatchAPI`. A file's id is its key in the bucket, a batch's id its job's ARN. botocore's calls run on threads."""

    def __init__(self, arm: str, upstream: BedrockUpstream, batch: BatchConfig, connect: float) -> None:
        """Raises ValueError: botocore is missing, there is no such profile, or no region."""
        assert batch.place, "the configuration asks for it"
        self._arm, self._model, self._role, self._connect = arm, upstream.model, batch.role_arn, connect
        self._signer = Signer(arm, upstream.region, upstream.profile, upstream.role_arn, upstream.external_id)
        self._bucket, _, prefix = batch.place.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix.strip('/')}/".lstrip("/")

    async def look(self) -> None:
        """List files and jobs, as the router does; nothing is made.

        Not by HeadBucket: it names no prefix, so a right below one (`s3:prefix`) doesn't cover it.

        Raises:
            BatchAPIError: the bucket isn't there, or one of the rights.
        """
        await self._ask("s3", "list_objects_v2", Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)
        await self._ask("bedrock", "list_model_invocation_jobs")

    async def upload(self, name: str, size: int, pieces: Callable[[], AsyncIterator[bytes]]) -> str:
        """See `BatchAPI.upload`; the file is in memory as a whole (`batch.max_bytes`)."""
        key = f"{self._folder(name.partition('.')[0])}{name}"
        data = b"".join([piece async for piece in pieces()])
        await self._ask("s3", "put_object", Bucket=self._bucket, Key=key, Body=data)
        return key

    async def close(self, file_id: str) -> None:
        """See `BatchAPI.close`. A job without its file fails when it is checked, and costs nothing."""
        await self._ask("s3", "delete_object", Bucket=self._bucket, Key=file_id)

    async def create(self, file_id: str, endpoint: str, name: str) -> RemoteBatch:
        """See `BatchAPI.create`."""
        output = f"s3://{self._bucket}/{self._folder(name)}output/"
        made = await self._ask(
            "bedrock",
            "create_model_invocation_job",
            jobName=name,
            clientRequestToken=name,
            modelId=self._model,
            roleArn=self._role,
            modelInvocationType="Converse",
            inputDataConfig={
                "s3InputDataConfig": {"s3InputFormat": "JSONL", "s3Uri": f"s3://{self._bucket}/{file_id}"}
            },
            outputDataConfig={"s3OutputDataConfig": {"s3Uri": output}},
            timeoutDurationInHours=JOB_HOURS,
        )
        return RemoteBatch(made["jobArn"], "in_progress")

    async def find(self, name: str) -> RemoteBatch | None:
        """See `BatchAPI.find`."""
        more: dict[str, str] = {}
        while True:
            page = await self._ask("bedrock", "list_model_invocation_jobs", nameContains=name, **more)
            for job in page.get("invocationJobSummaries", ()):
                if job["jobName"] == name:
                    return _told(job)
            if not page.get("nextToken"):
                return None
            more = {"nextToken": page["nextToken"]}

    async def retrieve(self, batch_id: str) -> RemoteBatch:
        """See `BatchAPI.retrieve`."""
        return _told(await self._ask("bedrock", "get_model_invocation_job", jobIdentifier=batch_id))

    async def cancel(self, batch_id: str) -> None:
        """See `BatchAPI.cancel`."""
        await self._ask("bedrock", "stop_model_invocation_job", jobIdentifier=batch_id)

    async def answers(self, place: str) -> AsyncGenerator[LineAnswer, None]:
        """See `BatchAPI.answers`. Beside the files of answers lies `manifest.json.out`, with counts alone."""
        bucket, _, folder = place.removeprefix("s3://").partition("/")
        for key in await self._keys(bucket, folder):
            if not key.endswith(_OUTPUT):
                continue
            rest = b""
            async for piece in self._read(bucket, key):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    if found := self._answer(line):
                        yield found
            if found := self._answer(rest):
                yield found

    async def remove(self, batch_id: str) -> None:
        """See `BatchAPI.remove`."""
        job = await self._ask("bedrock", "get_model_invocation_job", jobIdentifier=batch_id)
        for key in await self._keys(self._bucket, self._folder(job["jobName"])):
            await self._ask("s3", "delete_object", Bucket=self._bucket, Key=key)

    def _folder(self, name: str) -> str:
        return f"{self._prefix}{name}/"

    def _answer(self, line: bytes) -> LineAnswer | None:
        """None: the line failed, or isn't ours."""
        try:
            record = _records.decode(line)
            number = int(record.record_id)
            answer = load(bytes(record.model_output))
        except ValueError:  # msgspec's, too
            return None
        if not isinstance(answer, dict) or answer.get("stopReason") in MALFORMED:
            return None
        body = whole(self._arm, answer)
        return LineAnswer(number, dump(body)) if body else None

    async def _keys(self, bucket: str, folder: str) -> list[str]:
        found: list[str] = []
        more: dict[str, str] = {}
        while True:
            page = await self._ask("s3", "list_objects_v2", Bucket=bucket, Prefix=folder, **more)
            found += [each["Key"] for each in page.get("Contents", ())]
            if not page.get("IsTruncated"):
                return found
            more = {"ContinuationToken": page["NextContinuationToken"]}

    async def _read(self, bucket: str, key: str) -> AsyncIterator[bytes]:
        body = (await self._ask("s3", "get_object", Bucket=bucket, Key=key))["Body"]
        try:
            while piece := await self._run("s3: GetObject", lambda: body.read(_PIECE)):
                yield piece
        finally:
            body.close()

    async def _ask(self, service: str, method: str, **parameters: Any) -> Any:
        def call() -> Any:
            return getattr(self._clients[service], method)(**parameters)

        return await self._run(f"{service}: {method}", call)

    async def _run(self, asked: str, call: Callable[[], Any]) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

        try:
            return await asyncio.to_thread(call)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code"))
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            raise BatchAPIError(
                f"{self._arm}: {asked}: HTTP {status} ({code})",
                passing=code in _PASSING or status == 429 or status >= 500,
                gone=code in _GONE,
            ) from error
        except ParamValidationError as error:  # its message repeats what was sent
            raise BatchAPIError(f"{self._arm}: {asked}: botocore finds a parameter wrong", passing=False) from error
        except (BotoCoreError, OSError) as error:
            raise BatchAPIError(f"{self._arm}: {asked}: {type(error).__name__}", passing=True) from error

    @cached_property
    def _clients(self) -> dict[str, Any]:
        """By service; made on the first thread that asks, of two that ask at once one is used."""
        return {service: self._signer.client(service, self._connect) for service in ("bedrock", "s3")}


def _told(job: dict[str, Any]) -> RemoteBatch:
    """A job, or its summary in a list. Its message isn't repeated: AWS calls it sensitive."""
    arn, state = job["jobArn"], str(job.get("status"))
    number = arn.rpartition("/")[2]
    status = _STATES.get(state, "in_progress")
    output = job["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"].rstrip("/")
    causes = f"aws bedrock get-model-invocation-job --job-identifier {number} says why" if state == "Failed" else ""
    # A job's own folder, in the one that it was given.
    return RemoteBatch(arn, status, causes, f"{output}/{number}/")
