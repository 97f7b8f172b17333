// The Node SDKs of Responses and Messages against a gateway; prints what they saw as JSON. Usage: node agents.mjs URL
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const openai = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "none", maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0 });
const ask = { model: "auto", max_tokens: 20, messages: [{ role: "user", content: "hi" }] };

const response = await openai.responses.create({ model: "auto", input: "hi" });
const streamedResponse = await openai.responses.stream({ model: "auto", input: "hi" }).finalResponse();
const message = await anthropic.messages.create(ask);
const streamedMessage = await anthropic.messages.stream(ask).finalMessage();
const failures = [];
for (const call of [
  () => openai.responses.create({ model: "gpt-99", input: "hi" }),
  () => anthropic.messages.create({ ...ask, model: "gpt-99" }),
]) {
  try {
    await call();
  } catch (error) {
    failures.push([error.constructor.name, error.status, Boolean(error.requestID)]);
  }
}

console.log(JSON.stringify({
  texts: [response.output_text, streamedResponse.output_text, message.content[0].text, streamedMessage.content[0].text],
  tokens: [response.usage.output_tokens, streamedResponse.usage.output_tokens, message.usage.output_tokens,
    streamedMessage.usage.output_tokens],
  failures,
}));
