// Vercel's AI SDK on three APIs of a gateway: a tool, a stream with one, an object. Usage: node vercel.mjs URL
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const openai = createOpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "none" });
const anthropic = createAnthropic({ baseURL: `${process.argv[2]}/v1`, apiKey: "none" });
const models = {
  chat: (name) => openai.chat(name),
  responses: (name) => openai.responses(name),
  messages: (name) => anthropic(name),
};

async function use(named) {
  const asked = [];
  const lookup = tool({
    description: "Looks a number up.",
    inputSchema: z.object({ number: z.number() }),
    execute: async ({ number }) => { asked.push(number); return "found"; },
  });
  const task = { model: named("auto"), tools: { lookup }, stopWhen: stepCountIs(3), maxRetries: 0 };
  const answer = await generateText({ ...task, prompt: "Use lookup with 42" });
  const stream = streamText({ ...task, prompt: "Use lookup with 43" });
  let streamed = "";
  for await (const text of stream.textStream) streamed += text;
  const typed = await generateText({
    model: named("auto"),
    output: Output.object({ schema: z.object({ name: z.string(), people: z.number() }) }),
    prompt: "A city named 'Ulm' with 130000 people",
    maxRetries: 0,
  });
  let refused = 0;
  try {
    await generateText({ model: named("nobody"), prompt: "Hello", maxRetries: 0 });
  } catch (error) {
    refused = error.statusCode;
  }
  return {
    answer: answer.text, tokens: answer.totalUsage.outputTokens, asked, streamed, typed: typed.output, refused,
  };
}

const seen = {};
for (const [name, named] of Object.entries(models)) seen[name] = await use(named);
console.log(JSON.stringify(seen));
