// The same request as a command or a program, to go on from.

export const shell = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

export function asCurl(address, body, headers, keyed) {
  const lines = [`curl -sN ${address}/v1/chat/completions`, "-H 'content-type: application/json'"];
  if (keyed) lines.push('-H "authorization: Bearer $LLM_ROUTER_API_KEY"');
  for (const [name, value] of Object.entries(headers)) lines.push(`-H ${shell(`${name}: ${value}`)}`);
  lines.push(`-d ${shell(JSON.stringify(body))}`);
  return lines.join(" \\\n  ");
}

// JSON strings, numbers, lists and objects are Python's as they are; only three words differ.
function python(value) {
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (value && typeof value === "object") return `{${Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}: ${python(each)}`).join(", ")}}`;
  return value === true ? "True" : value === false ? "False" : value === null ? "None" : JSON.stringify(value);
}

export function asPython(address, body, headers, keyed) {
  const { stream, stream_options, ...rest } = body;
  const given = Object.entries(rest).map(([name, value]) => `    ${name}=${python(value)},\n`).join("");
  const extra = Object.keys(headers).length ? `    extra_headers=${python(headers)},\n` : "";
  const key = keyed ? 'os.environ["LLM_ROUTER_API_KEY"]' : '"none"';
  return `${keyed ? "import os\n\n" : ""}from openai import OpenAI

client = OpenAI(base_url=${JSON.stringify(`${address}/v1`)}, api_key=${key})
answer = client.chat.completions.create(
${given}${extra})
print(answer.choices[0].message.content)
`;
}
