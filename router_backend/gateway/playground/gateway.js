// The gateway's public API, as the page speaks it.

let session = crypto.randomUUID?.() ?? String(Math.random());

export const address = () => location.origin;

export async function call(path, body, { key = "", headers = {}, signal } = {}) {
  const sent = { "content-type": "application/json", "x-router-session": session, ...headers };
  if (key) sent.authorization = `Bearer ${key}`;
  const response = await fetch(path, { method: body ? "POST" : "GET", headers: sent, body: body && JSON.stringify(body), signal });
  if (response.ok) return response;
  const failure = await response.json().catch(() => null);
  throw new Error(failure?.error?.message ?? `HTTP ${response.status}`);
}

// The frames of a stream; one that ends without [DONE] was cut, and the answer isn't whole.
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error("The connection ended before the answer did");
    const frames = (rest + value).split("\n\n");
    rest = frames.pop();
    for (const frame of frames) {
      const data = frame.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim()).join("");
      if (data === "[DONE]") return;
      if (data) yield JSON.parse(data);
    }
  }
}

// What the headers alone say of a decision: enough where another replica made it, and this one can't tell it in full.
export function told(headers) {
  return {
    decision_id: headers.get("x-router-decision-id"), model: headers.get("x-router-model") ?? "",
    reason: headers.get("x-router-reason") ?? "", task: headers.get("x-router-task") ?? "",
    task_probabilities: {}, ranking: [], means: {}, bonuses: {}, expected_cost: {}, complexity: 0, answer: null,
  };
}
