"""LangChain: a prompt template and the router as its chat model, streamed; the decision in the response's metadata.

pip install -r requirements.txt
"""

import os

from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI

model = ChatOpenAI(
    base_url=os.environ.get("LLM_ROUTER_URL", "http://127.0.0.1:8080") + "/v1",
    api_key=os.environ.get("LLM_ROUTER_API_KEY", "none"),
    model="auto",
    max_tokens=40,
    include_response_headers=True,
)
prompt = ChatPromptTemplate.from_messages([("system", "Answer in one sentence."), ("user", "{question}")])
chain = prompt | model

metadata: dict[str, object] = {}
for piece in chain.stream({"question": "Why is the sky blue?"}):
    print(piece.text if isinstance(piece.text, str) else piece.text(), end="", flush=True)
    metadata.update(piece.response_metadata.get("headers", {}))
print(f"\nmodel {metadata['x-router-model']}, decision {metadata['x-router-decision-id']}")

answer = chain.invoke({"question": "Why is grass green?"})
print(f"{answer.content}\ntokens {answer.usage_metadata['total_tokens']}")
