"""Our own client: the decision and its reasons, a streamed answer, a score; then the same over Triton, cancelled early.

pip install './clients[grpc]'
"""

import asyncio
import os

from llm_router_client import AsyncRouterClient, Hints, NotFoundError, RouterClient

gateway = os.environ.get("LLM_ROUTER_URL", "http://127.0.0.1:8080")
triton = "triton+grpc://" + os.environ.get("LLM_ROUTER_TRITON", "127.0.0.1:8001")
api_key = os.environ.get("LLM_ROUTER_API_KEY", "")

with RouterClient(gateway, api_key=api_key) as client:
    decision = client.route("Prove that the square root of 2 is irrational", hints=Hints(min_quality=0.1))
    print(f"{decision.task}, complexity {decision.complexity:.2f}: {' > '.join(decision.ranking)}")

    stream = client.stream("Why is the sky blue?", max_tokens=40, hints=Hints(session="example"))
    print(f"model {stream.decision.model}, {stream.decision.reason}")
    for chunk in stream:
        print(chunk.text, end="", flush=True)
    print(f"\nreward {client.feedback(stream.decision.decision_id, 1).reward:.3f}")

    try:
        client.chat("Hi", model="no-such-model")
    except NotFoundError as error:
        print(f"error {error.status} {error.code}: {error.message}")


async def first_words(prompt: str) -> str:
    """Leaves the stream after a few chunks, which stops the model."""
    words = []
    async with AsyncRouterClient(triton) as client, await client.stream(prompt, max_tokens=400) as stream:
        async for chunk in stream:
            words.append(chunk.text)
            if len(words) == 5:
                break
    return "".join(words)


print(f"over Triton: {asyncio.run(first_words('Tell me a long story'))!r}")
