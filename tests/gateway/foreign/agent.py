"""pydantic-ai's agent on the gateway that GATEWAY names: text, a tool, a typed output, a stream. Runs in `connectors`."""

from __future__ import annotations

import asyncio
import json
import os
import sys

from pydantic import BaseModel
from pydantic_ai import Agent, ModelHTTPError, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

PROVIDER = OpenAIProvider(base_url=f"{os.environ['GATEWAY']}/v1", api_key="none")


class City(BaseModel):
    name: str
    people: int


async def use(kind: type[OpenAIChatModel] | type[OpenAIResponsesModel]) -> dict[str, object]:
    model = kind("auto", provider=PROVIDER)
    asked: list[int] = []
    agent = Agent(model)

    @agent.tool_plain
    def lookup(number: int) -> str:
        """Looks a number up."""
        asked.append(number)
        return "found"

    answer = await agent.run("Use lookup with 42")
    typed = await Agent(model, output_type=City).run("A city named 'Ulm' with 130000 people")
    native = await Agent(model, output_type=NativeOutput(City)).run("A city named 'Ulm' with 130000 people")
    async with Agent(model).run_stream("Hello") as stream:
        streamed = "".join([text async for text in stream.stream_text(delta=True)])
    refused = 0
    try:
        await Agent(kind("nobody", provider=PROVIDER)).run("Hello")
    except ModelHTTPError as error:
        refused = error.status_code
    return {
        "answer": answer.output,
        "tokens": answer.usage.output_tokens,
        "asked": asked,
        "typed": typed.output.model_dump(),
        "native": native.output.model_dump(),
        "streamed": streamed,
        "refused": refused,
    }


async def main() -> None:
    seen = {kind.__name__: await use(kind) for kind in (OpenAIChatModel, OpenAIResponsesModel)}
    sys.stdout.write(json.dumps(seen))


asyncio.run(main())
