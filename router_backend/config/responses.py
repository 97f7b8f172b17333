"""`responses:` answers of OpenAI's Responses API that clients ask for again."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from router_backend.config.base import Section


class ResponsesConfig(Section):
    """Stored answers of OpenAI's Responses API. If this is off, the store holds no text at all."""

    store: Annotated[
        bool,
        Field(
            description="keep answers and their input in the state store for `retention_days`, unless a request says"
            " `store: false`"
        ),
    ] = False
    max_bytes: Annotated[
        int,
        Field(
            gt=0,
            le=16 * 1024 * 1024,
            description="a larger answer, with its conversation, isn't stored; a database may allow less (DynamoDB: 400 KB)",
        ),
    ] = 1024 * 1024

    max_per_key: Annotated[
        int, Field(gt=0, le=100_000, description="answers kept for one API key; the oldest are removed first")
    ] = 1000
    max_bytes_per_key: Annotated[
        int,
        Field(
            gt=0,
            description="bytes kept for one API key, answers with their conversations; the oldest are removed first, and the latest answer stays",
        ),
    ] = 256 * 1024 * 1024

    example: ClassVar[str] = "{store: true}"
