// The OpenAI SDK for Node: an answer as it is made, what the router decided, and a score for it.
// npm ci && npm start
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: (process.env.LLM_ROUTER_URL ?? "http://127.0.0.1:8080") + "/v1",
  apiKey: process.env.LLM_ROUTER_API_KEY ?? "none",
});

const { data: stream, response } = await client.chat.completions
  .create({
    model: "auto",
    messages: [{ role: "user", content: "Why is the sky blue?" }],
    max_tokens: 40,
    stream: true,
  })
  .withResponse();
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
}
console.log(`\nmodel ${response.headers.get("x-router-model")}, task ${response.headers.get("x-router-task")}`);

const { reward } = await client.post("/feedback", {
  body: { decision_id: response.headers.get("x-router-decision-id"), score: 1 },
});
console.log(`reward ${reward.toFixed(3)}`);

try {
  await client.chat.completions.create({ model: "no-such-model", messages: [{ role: "user", content: "Hi" }] });
} catch (error) {
  if (!(error instanceof OpenAI.NotFoundError)) throw error;
  console.log(`error ${error.status} ${error.code}`);
}
