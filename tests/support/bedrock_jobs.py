"""Bedrock's control plane for batch inference, on a free port of loopback, in front of a bucket of moto's.

botocore's service models are the judge: requests, answers and records are held against their shapes, patterns, enums and bounds
(botocore's own validation knows no patterns), and an answer that doesn't fit is a mistake of this server.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import botocore.session
from aiohttp import web
from botocore.model import ListShape, Shape, StructureShape
from botocore.validate import validate_parameters

_SESSION = botocore.session.Session()
_BEDROCK = _SESSION.get_service_model("bedrock")
_CONVERSE = _SESSION.get_service_model("bedrock-runtime").operation_model("Converse")
_REGION, _ACCOUNT = "eu-central-1", "111122223333"
LEAST = 100
Record = dict[str, Any]


def said(record: Record) -> Record:
    """A record's answer."""
    text = record["modelInput"]["messages"][-1]["content"][-1]["text"]
    return {
        "modelOutput": {
            "output": {"message": {"role": "assistant", "content": [{"text": f"Re: {text}"}]}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10},
            "metrics": {"latencyMs": 5},
        }
    }


def failed(record: Record) -> Record:
    return {"error": {"errorCode": 400, "errorMessage": "bad request"}}


class BedrockJobs:
    """Jobs go one step at each look; `answer` says what becomes of a record, None: it isn't reached."""

    def __init__(self, s3: Any, least: int = LEAST) -> None:
        """`s3`: a client of botocore's."""
        self._s3, self.least = s3, least
        self.answer: Callable[[Record], Record | None] = said
        self.hold = False  # jobs stay under way
        self.refuse: list[tuple[int, str]] = []  # status and exception of the next answers
        self.jobs: dict[str, dict[str, Any]] = {}  # by ARN
        self.asked: list[str] = []  # operations
        self.mistakes: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> BedrockJobs:
        app = web.Application()
        for name, handler in (
            ("CreateModelInvocationJob", self._create),
            ("GetModelInvocationJob", self._get),
            ("ListModelInvocationJobs", self._list),
            ("StopModelInvocationJob", self._stop),
        ):
            operation = _BEDROCK.operation_model(name)
            app.router.add_route(
                operation.http["method"],
                operation.http["requestUri"].replace("{jobIdentifier}", "{jobIdentifier:.+?}"),
                self._checked(operation, handler),
            )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port: int = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def _checked(self, operation: Any, handler: Callable[[Record], Any]) -> Any:
        async def handle(request: web.Request) -> web.Response:
            given: Record = {**request.match_info, **request.query}
            if request.can_read_body:
                given |= await request.json()
            self.asked.append(operation.name)
            if f"/{_REGION}/bedrock/aws4_request" not in request.headers["authorization"]:
                self.mistakes.append("not signed for bedrock")
            self.mistakes += faults(given, operation.input_shape)
            if self.refuse:
                return _error(*self.refuse.pop(0))
            found = await asyncio.to_thread(handler, given)
            if isinstance(found, web.Response):
                return found
            if operation.output_shape:
                self.mistakes += faults(found, operation.output_shape)
            return web.Response(text=json.dumps(found, default=_written), content_type="application/json")

        return handle

    def _create(self, given: Record) -> Any:
        for job in self.jobs.values():
            if job["clientRequestToken"] == given["clientRequestToken"]:
                return {"jobArn": job["jobArn"]}
            if job["jobName"] == given["jobName"]:
                return _error(409, "ConflictException")
        arn = f"arn:aws:bedrock:{_REGION}:{_ACCOUNT}:model-invocation-job/{secrets.token_hex(6)}"
        self.jobs[arn] = {"jobArn": arn, "status": "Submitted", "submitTime": datetime.now(UTC), **given}
        return {"jobArn": arn}

    def _get(self, given: Record) -> Any:
        job = self._known(given["jobIdentifier"])
        if job is None:
            return _error(404, "ResourceNotFoundException")
        self._step(job)
        return job

    def _list(self, given: Record) -> Any:
        wanted = given.get("nameContains", "")
        return {"invocationJobSummaries": [job for job in self.jobs.values() if wanted in job["jobName"]]}

    def _stop(self, given: Record) -> Any:
        job = self._known(given["jobIdentifier"])
        if job is None:
            return _error(404, "ResourceNotFoundException")
        if job["status"] not in ("Submitted", "Validating", "Scheduled", "InProgress"):
            return _error(409, "ConflictException")
        job["status"] = "Stopping"
        return {}

    def _known(self, identifier: str) -> dict[str, Any] | None:
        return next((job for arn, job in self.jobs.items() if arn.endswith(identifier)), None)

    def _step(self, job: dict[str, Any]) -> None:
        match job["status"]:
            case "Submitted":
                job["status"] = "Validating"
            case "Validating":
                job["status"] = "InProgress" if self._records(job) else "Failed"
            case "InProgress" if not self.hold:
                job["status"] = "Completed" if self._answer(job) else "PartiallyCompleted"
            case "Stopping":
                self._answer(job)
                job["status"] = "Stopped"

    def _records(self, job: dict[str, Any]) -> list[Record]:
        """Of its file; none if it is refused."""
        bucket, key = _place(job["inputDataConfig"]["s3InputDataConfig"]["s3Uri"])
        try:
            text = self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except self._s3.exceptions.NoSuchKey:
            return []
        records = [json.loads(line) for line in text.splitlines()]
        for record in records:
            if record.keys() != {"recordId", "modelInput"} or not re.fullmatch(r"[a-zA-Z0-9]{11}", record["recordId"]):
                self.mistakes.append(f"no record: {record}")
            self.mistakes += faults({"modelId": "m", **record["modelInput"]}, _CONVERSE.input_shape)
        return records if len(records) >= self.least else []

    def _answer(self, job: dict[str, Any]) -> bool:
        """Write what a job leaves behind; whether all records were reached."""
        records = self._records(job)
        found = [(record, self.answer(record)) for record in records]
        for _, answer in found:
            if answer and "modelOutput" in answer:
                self.mistakes += faults(answer["modelOutput"], _CONVERSE.output_shape)
        lines = [json.dumps(record | answer) for record, answer in reversed(found) if answer]  # in no order
        name = _place(job["inputDataConfig"]["s3InputDataConfig"]["s3Uri"])[1].rpartition("/")[2]
        bucket, folder = _place(job["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"])
        folder = f"{folder.rstrip('/')}/{job['jobArn'].rpartition('/')[2]}"
        counts = {"totalRecordCount": len(records), "processedRecordCount": len(lines)}
        self._s3.put_object(Bucket=bucket, Key=f"{folder}/manifest.json.out", Body=json.dumps(counts).encode())
        self._s3.put_object(Bucket=bucket, Key=f"{folder}/{name}.out", Body="\n".join(lines).encode())
        return len(lines) == len(records)


def faults(value: Any, shape: Shape, where: str = "") -> list[str]:
    """What of a value doesn't fit a shape of botocore's."""
    found = [] if where else [*filter(None, [validate_parameters_report(value, shape)])]
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        for name, member in value.items():
            if name in shape.members:
                found += faults(member, shape.members[name], f"{where}.{name}")
    elif isinstance(shape, ListShape) and isinstance(value, list | tuple):
        for each in value:
            found += faults(each, shape.member, f"{where}[]")
    elif isinstance(value, str):
        rules = shape.metadata
        if "pattern" in rules and not re.fullmatch(rules["pattern"], value):
            found.append(f"{where}: {value!r} isn't of {rules['pattern']}")
        if "enum" in rules and value not in rules["enum"]:
            found.append(f"{where}: {value!r} is none of {rules['enum']}")
        if not rules.get("min", 0) <= len(value) <= rules.get("max", len(value)):
            found.append(f"{where}: {len(value)} characters")
    return found


def validate_parameters_report(value: Any, shape: Shape) -> str:
    """botocore's own words; empty: nothing is wrong."""
    try:
        validate_parameters(value, shape)
    except Exception as error:
        return str(error)
    return ""


def _place(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def _written(value: Any) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


def _error(status: int, name: str) -> web.Response:
    return web.json_response({"message": "no"}, status=status, headers={"x-amzn-errortype": name})
