"""An agent of OpenAI's Agents SDK on the gateway that GATEWAY names: a tool, a typed output, a handoff, a stream. Runs in `agents`."""

from __future__ import annotations

import asyncio
import json
import os
import sys

import openai
from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai.types.responses import ResponseTextDeltaEvent
from pydantic import BaseModel

CLIENT = openai.AsyncOpenAI(base_url=f"{os.environ['GATEWAY']}/v1", api_key="none", max_retries=0)


class City(BaseModel):
    name: str
    people: int


async def use(kind: type[OpenAIChatCompletionsModel] | type[OpenAIResponsesModel]) -> dict[str, object]:
    model = kind("auto", CLIENT)
    asked: list[int] = []

    @function_tool
    def lookup(number: int) -> str:
        """Looks a number up."""
        asked.append(number)
        return "found"

    agent = Agent(name="clerk", instructions="Use your tools.", model=model, tools=[lookup])
    answer = await Runner.run(agent, "Use lookup with 42")
    again = await Runner.run(agent, [*answer.to_input_list(), {"role": "user", "content": "Use lookup with 43"}])
    typed = Agent(name="geographer", model=model, output_type=City)
    city = await Runner.run(typed, "A city named 'Ulm' with 130000 people")
    desk = Agent(name="desk", model=model, handoffs=[Agent(name="expert", model=model)])
    handed = await Runner.run(desk, "Use transfer_to_expert")
    run = Runner.run_streamed(agent, "Use lookup with 44")
    streamed = [
        event.data.delta
        async for event in run.stream_events()
        if event.type == "raw_response_event" and isinstance(event.data, ResponseTextDeltaEvent)
    ]
    refused = 0
    try:
        await Runner.run(Agent(name="nobody", model=kind("nobody", CLIENT)), "Hello")
    except openai.APIStatusError as error:
        refused = error.status_code
    return {
        "answer": answer.final_output,
        "tokens": answer.context_wrapper.usage.output_tokens,
        "again": again.final_output,
        "asked": asked,
        "typed": city.final_output.model_dump(),
        "handed": [handed.last_agent.name, handed.final_output],
        "streamed": "".join(streamed),
        "refused": refused,
    }


async def main() -> None:
    set_tracing_disabled(True)  # it would be sent to OpenAI
    seen = {kind.__name__: await use(kind) for kind in (OpenAIChatCompletionsModel, OpenAIResponsesModel)}
    sys.stdout.write(json.dumps(seen))


asyncio.run(main())
