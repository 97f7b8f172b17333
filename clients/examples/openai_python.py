"""The OpenAI SDK: an answer as it is made, what the router decided, and a score for it.

pip install openai
"""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("LLM_ROUTER_URL", "http://127.0.0.1:8080") + "/v1",
    api_key=os.environ.get("LLM_ROUTER_API_KEY", "none"),
)
response = client.chat.completions.with_raw_response.create(
    model="auto",
    messages=[{"role": "user", "content": "Why is the sky blue?"}],
    max_tokens=40,
    stream=True,
    extra_headers={"x-router-session": "example"},  # a hint; see docs/api.md
)
for chunk in response.parse():
    print(chunk.choices[0].delta.content or "", end="", flush=True)

decision_id = response.headers["x-router-decision-id"]
print(f"\nmodel {response.headers['x-router-model']}, task {response.headers['x-router-task']}")

reward = client.post("/feedback", body={"decision_id": decision_id, "score": 1}, cast_to=dict[str, object])
print(f"reward {reward['reward']:.3f}")
