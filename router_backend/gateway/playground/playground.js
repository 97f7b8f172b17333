// The playground: a conversation, why each answer's model was chosen, and how a score teaches.

import { dollars, show } from "./decision.js";
import { address, call, events, told } from "./gateway.js";
import { render } from "./markdown.js";
import { $, button, element } from "./page.js";
import { asCurl, asPython } from "./snippets.js";

const totals = { cost: 0, savings: 0, requests: 0 };
let messages = [];
let running = null; // of the answer that streams: what stops it

const key = () => $("key").value.trim();
const json = async (path, body) => (await call(path, body, { key: key() })).json();

// --- What is asked for ---------------------------------------------------------------------------------------------

function requestOf(asked) {
  const system = $("system").value.trim();
  const body = { model: $("model").value, messages: system ? [{ role: "system", content: system }, ...asked] : asked };
  if ($("max-tokens").value) body.max_tokens = Number($("max-tokens").value);
  if ($("temperature").value) body.temperature = Number($("temperature").value);
  return { ...body, stream: true, stream_options: { include_usage: true } };
}

function hints() {
  const given = { "x-router-policy": $("policy").value, "x-router-max-cost": $("max-cost").value, "x-router-min-quality": $("min-quality").value };
  return Object.fromEntries(Object.entries(given).map(([name, value]) => [name, value.trim()]).filter(([, value]) => value));
}

// --- One turn ------------------------------------------------------------------------------------------------------

async function ask(prompt) {
  $("hello")?.remove();
  messages.push({ role: "user", content: prompt });
  const asked = [...messages], body = requestOf(asked), headers = hints();
  const answer = element("div", "answer running");
  const text = element("div", "text"), foot = element("div", "foot");
  answer.append(text, foot);
  $("messages").append(element("div", "user", prompt), answer);
  running = new AbortController();
  $("send").hidden = true;
  $("stop").hidden = false;
  let said = "", stopped = false;
  try {
    const response = await call("/v1/chat/completions", body, { key: key(), headers, signal: running.signal });
    $("switched").hidden = response.headers.get("x-router-switched") !== "true";
    const brief = told(response.headers);
    show(await decisionOr(brief));
    try {
      for await (const chunk of events(response)) {
        if (chunk.error) throw new Error(chunk.error.message);
        said += chunk.choices?.[0]?.delta?.content ?? "";
        text.replaceChildren(...render(said));
        answer.scrollIntoView({ block: "end" });
      }
    } catch (error) {
      if (error.name !== "AbortError") throw error;
      stopped = true;
    }
    messages.push({ role: "assistant", content: said });
    if (stopped) foot.append(element("span", "", "stopped"));
    finish(await decisionOr(brief), body.messages, foot);
    foot.append(copier("curl", asCurl(address(), body, headers, key())), copier("Python", asPython(address(), body, headers, key())));
  } catch (error) {
    foot.append(element("span", "error", error.name === "AbortError" ? "stopped" : error.message));
    messages = asked.slice(0, -1);
  } finally {
    running = null;
    answer.classList.remove("running");
    $("send").hidden = false;
    $("stop").hidden = true;
    answer.scrollIntoView({ block: "end" });
  }
}

// Behind several gateways another one may have made it, and only that one knows it in full.
async function decisionOr(brief) {
  try {
    return await json(`/v1/decisions/${brief.decision_id}`);
  } catch {
    return brief;
  }
}

function finish(decision, asked, foot) {
  show(decision);
  const answer = decision.answer;
  totals.cost += answer?.cost ?? 0;
  totals.savings += answer?.savings ?? 0;
  totals.requests += 1;
  $("total-cost").textContent = dollars(totals.cost);
  $("total-savings").textContent = dollars(totals.savings);
  $("total-requests").textContent = totals.requests;
  const up = thumb("Good answer", "vote up"), down = thumb("Bad answer", "vote down");
  const note = element("span");
  note.setAttribute("role", "status");
  foot.append(up, down, element("b", "", answer?.served ?? decision.model));
  if (answer) foot.append(element("span", "", `${answer.usage.completion} tokens · ${answer.latency.toFixed(1)} s · ${dollars(answer.cost ?? 0)}`));
  foot.append(note);
  up.onclick = () => rate(decision, asked, 1, [up, down], note);
  down.onclick = () => rate(decision, asked, 0, [down, up], note);
}

function copier(name, text) {
  const made = button(`Copy as ${name}`, "quiet copy", async () => {
    await navigator.clipboard.writeText(text);
    made.textContent = "Copied";
  });
  made.dataset.copies = text;
  return made;
}

function thumb(title, className) {
  const made = button("", className);
  made.title = title;
  made.setAttribute("aria-label", title);
  const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  picture.setAttribute("viewBox", "0 0 24 24");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", "M3.5 11H7v9H3.5zM7 11l4-8c2 0 2.6 1.5 2.2 3.2L12.3 10h6.2c1.6 0 2.2 1 2 2.2l-1.2 6c-.3 1.2-1 1.8-2.3 1.8H7");
  picture.append(path);
  made.append(picture);
  return made;
}

async function rate(decision, asked, score, [given, other], note) {
  given.disabled = other.disabled = true;
  try {
    const { reward } = await json("/v1/feedback", { decision_id: decision.decision_id, score });
    given.classList.add("given");
    note.textContent = `learned a reward of ${reward.toFixed(3)}`;
    await watchTheScoreMove(decision, asked);
  } catch (error) {
    given.disabled = other.disabled = false;
    note.textContent = error.message;
  }
}

// What was learned reaches the router in the background, within a moment: the same prompt is decided on again till it shows.
async function watchTheScoreMove(before, asked) {
  if (!Object.keys(before.means).length) return;
  for (let tries = 0; tries < 12; tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, 150));
    const now = await json("/v1/route", { messages: asked });
    const moved = Object.keys(now.means).some((name) => Math.abs(now.means[name] - (before.means[name] ?? 0)) >= 0.0005);
    if (moved || tries === 11) return show({ ...now, answer: before.answer, reason: before.reason, ranking: before.ranking }, before);
  }
}

// --- The page ------------------------------------------------------------------------------------------------------

async function listModels() {
  try {
    const { data } = await json("/v1/models");
    $("model").replaceChildren(...data.map((model) => element("option", "", model.id)));
  } catch (error) {
    $("empty").textContent = error.message;
  }
}

$("form").onsubmit = (event) => {
  event.preventDefault();
  const prompt = $("prompt").value.trim();
  if (!prompt || running) return;
  $("prompt").value = "";
  ask(prompt);
};
$("prompt").onkeydown = (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("form").requestSubmit();
  }
};
$("stop").onclick = () => running?.abort();
document.onkeydown = (event) => { if (event.key === "Escape") running?.abort(); };
$("fresh").onclick = () => location.reload();
$("key").value = sessionStorage.getItem("key") ?? "";
$("key").onchange = () => { sessionStorage.setItem("key", $("key").value); listModels(); };
for (const example of document.querySelectorAll(".examples button")) example.onclick = () => ask(example.textContent);
listModels();
$("prompt").focus();
