#!/bin/sh
# curl alone: the gateway, then Triton's HTTP.
set -eu
url=${LLM_ROUTER_URL:-http://127.0.0.1:8080}
triton=${LLM_ROUTER_TRITON_HTTP:-http://127.0.0.1:8000}
headers=$(mktemp)
trap 'rm -f "$headers"' EXIT

post() { # path, body, further flags
    path=$1 body=$2
    shift 2
    curl -sS --fail-with-body "$url$path" -H 'content-type: application/json' \
        -H "authorization: Bearer ${LLM_ROUTER_API_KEY:-none}" -d "$body" "$@"
    echo
}

echo "# the decision alone"
post /v1/route '{"messages": [{"role": "user", "content": "Why is the sky blue?"}]}'

echo "# an answer, streamed"
post /v1/chat/completions '{"model": "auto", "messages": [{"role": "user", "content": "Why is the sky blue?"}],
    "max_tokens": 20, "stream": true}' -N -D "$headers"

echo "# a score for it"
decision=$(tr -d '\r' <"$headers" | sed -n 's/^x-router-decision-id: //p')
post /v1/feedback "{\"decision_id\": \"$decision\", \"score\": 1}"

echo "# the same from Triton"
curl -sS --fail-with-body "$triton/v2/models/route/generate" -d '{"text_input": "Why is the sky blue?"}'
echo
curl -sSN --fail-with-body "$triton/v2/models/llm_router/generate_stream" \
    -d '{"text_input": "Why is the sky blue?", "max_tokens": 20, "stream": true}'
