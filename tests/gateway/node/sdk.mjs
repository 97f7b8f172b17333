// OpenAI's official Node SDK against a gateway; prints what it saw as JSON. Usage: node sdk.mjs BASE_URL
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0 });
const messages = [{ role: "user", content: "hi" }];

const { data, response } = await client.chat.completions.create({ model: "auto", messages }).withResponse();

let streamed = "";
let usage = null;
const stream = await client.chat.completions.create({
  model: "auto", messages, stream: true, stream_options: { include_usage: true },
});
for await (const chunk of stream) {
  streamed += chunk.choices[0]?.delta?.content ?? "";
  usage = chunk.usage ?? usage;
}

const models = [];
for await (const model of client.models.list()) models.push(model.id);

let failure = null;
try {
  await client.chat.completions.create({ model: "gpt-99", messages });
} catch (error) {
  failure = { kind: error.constructor.name, status: error.status, code: error.code, param: error.param, id: Boolean(error.requestID) };
}

console.log(JSON.stringify({
  model: data.model, text: data.choices[0].message.content, decision: response.headers.get("x-router-decision-id"),
  streamed, usage, models, failure,
}));
