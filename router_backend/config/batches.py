"""`batches:` OpenAI's Files and Batch APIs."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from router_backend.config.base import Section


class BatchesConfig(Section):
    """Files of requests that may take a day. If this is on, prompts and answers are in files that clients upload and fetch; they are as
    safe as the folder or the bucket."""

    place: Annotated[
        str | None,
        Field(
            min_length=1,
            description="where files and batches are stored: a folder (relative to the state folder; with several gateways,"
            " one that all of them share) or a bucket, `s3://`, `gs://` or `az://`; read at the start; off if"
            " empty",
        ),
    ] = None
    retention_days: Annotated[
        float,
        Field(
            gt=0,
            le=30,
            description="how long files without their own expiry are kept, and batches after their end",
        ),
    ] = 7.0
    max_file_bytes: Annotated[int, Field(gt=0, description="a larger file is refused")] = 200 * 1024 * 1024
    max_lines: Annotated[int, Field(gt=0, description="a batch with more of them fails")] = 50_000
    concurrency: Annotated[
        int, Field(gt=0, le=1000, description="lines of a batch that are answered at once; read when it begins")
    ] = 8
    idle_share: Annotated[
        float,
        Field(
            gt=0,
            le=1,
            description="a line starts only while less than this part of its model's `max_concurrency` is in use and no"
            " request waits; the rest stays free for interactive requests",
        ),
    ] = 0.5

    example: ClassVar[str] = "{place: batches, retention_days: 2, concurrency: 32}"
