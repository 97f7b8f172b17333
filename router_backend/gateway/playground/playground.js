// The playground's behaviour. It speaks the gateway's public API only; text is always set as text, never as HTML.

const $ = (id) => document.getElementById(id);
const totals = { cost: 0, savings: 0, requests: 0 };
let messages = [];
let session = crypto.randomUUID?.() ?? String(Math.random());

function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

// --- The gateway ---------------------------------------------------------------------------------------------------

async function call(path, body) {
  const headers = { "content-type": "application/json", "x-router-session": session };
  const key = $("key").value.trim();
  if (key) headers.authorization = `Bearer ${key}`;
  const response = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
  if (response.ok) return response;
  const failure = await response.json().catch(() => null);
  throw new Error(failure?.error?.message ?? `HTTP ${response.status}`);
}

const json = async (path, body) => (await call(path, body)).json();

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const frames = (rest + value).split("\n\n");
    rest = frames.pop();
    for (const frame of frames) {
      const data = frame.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim()).join("");
      if (data === "[DONE]") return;
      if (data) yield JSON.parse(data);
    }
  }
}

// --- The decision --------------------------------------------------------------------------------------------------

const dollars = (value) => (value === 0 ? "$0" : value < 0.01 ? `$${value.toPrecision(2).replace(/e-(\d+)/, "e-$1")}` : `$${value.toFixed(3)}`);
const signed = (value) => `${value >= 0 ? "+" : "−"}${Math.abs(value).toFixed(3)}`;

function show(decision, before = null) {
  $("empty").hidden = true;
  $("decision").hidden = false;
  $("chosen").textContent = decision.answer?.served ?? decision.model;
  $("reason").textContent = decision.reason;
  const ms = decision.timings_ms?.routing ?? decision.timings_ms?.decision;
  $("timing").textContent = ms ? `decided in ${ms.toFixed(1)} ms` : "";
  const classified = Object.keys(decision.task_probabilities).length > 0;
  document.querySelector(".meter").hidden = !classified;
  $("complexity").style.width = `${100 * decision.complexity}%`;
  $("complexity-value").textContent = decision.complexity.toFixed(2);
  showTasks(decision, classified);
  showArms(decision, before);
}

function showTasks(decision, classified) {
  $("tasks-card").hidden = !classified;
  const rows = Object.entries(decision.task_probabilities).sort((a, b) => b[1] - a[1]).slice(0, 6);
  $("tasks").replaceChildren(...rows.map(([task, probability]) => {
    const row = element("div", task === decision.task ? "task top" : "task");
    const value = element("b", "", `${(100 * probability).toFixed(0)} %`);
    row.append(element("span", "", task.replaceAll("_", " ")), track([["mean", probability]]), value);
    return row;
  }));
}

function showArms(decision, before) {
  const names = decision.ranking.filter((name) => name in decision.means);
  $("arms-card").hidden = names.length === 0;
  // Rewards may be negative (an expensive arm): the bars start at the lowest one.
  const low = Math.min(0, ...names.map((name) => decision.means[name])) * 1.05;
  const size = Math.max(0.001, ...names.map((name) => decision.means[name] + decision.bonuses[name])) - low;
  $("arms").replaceChildren(...names.map((name) => {
    const mean = decision.means[name], bonus = decision.bonuses[name];
    const arm = element("div", name === (before ?? decision).model ? "arm first" : "arm");
    arm.dataset.arm = name;
    const head = element("div", "row");
    head.append(element("span", "name", name), element("span", "grow"));
    const moved = before?.means?.[name] === undefined ? 0 : mean - before.means[name];
    if (Math.abs(moved) >= 0.0005) head.append(element("span", moved > 0 ? "delta up" : "delta down", signed(moved)));
    head.append(element("span", "numbers", `≈ ${dollars(decision.expected_cost[name] ?? 0)}`));
    const numbers = element("div", "numbers", `${signed(mean).replace("+", "")} ${signed(bonus)} exploration`);
    const kept = decision.cache_savings?.[name] ?? 0;
    if (kept > 0) numbers.append(element("span", "switching", ` · leaving it costs ${dollars(kept)} of cached prompt`));
    arm.append(head, track([["mean", (mean - low) / size], ["bonus", bonus / size]]), numbers);
    return arm;
  }));
}

function track(parts) {
  const made = element("div", "track");
  for (const [className, share] of parts) {
    const bar = element("i", className);
    made.append(bar);
    requestAnimationFrame(() => { bar.style.width = `${100 * share}%`; });
  }
  return made;
}

// --- One turn ------------------------------------------------------------------------------------------------------

async function ask(prompt) {
  $("hello")?.remove();
  messages.push({ role: "user", content: prompt });
  const asked = [...messages];
  const answer = element("div", "answer running");
  const text = element("div", "text"), foot = element("div", "foot");
  answer.append(text, foot);
  $("messages").append(element("div", "user", prompt), answer);
  $("send").disabled = true;
  try {
    const body = { model: $("model").value, messages: asked, stream: true, stream_options: { include_usage: true } };
    const response = await call("/v1/chat/completions", body);
    const id = response.headers.get("x-router-decision-id");
    $("switched").hidden = response.headers.get("x-router-switched") !== "true";
    show(await json(`/v1/decisions/${id}`));
    for await (const chunk of events(response)) {
      if (chunk.error) throw new Error(chunk.error.message);
      const delta = chunk.choices?.[0]?.delta;
      text.textContent += delta?.content ?? "";
      answer.scrollIntoView({ block: "end" });
    }
    messages.push({ role: "assistant", content: text.textContent });
    finish(await json(`/v1/decisions/${id}`), asked, foot);
  } catch (error) {
    foot.append(element("span", "error", error.message));
    messages = asked.slice(0, -1);
  } finally {
    answer.classList.remove("running");
    $("send").disabled = false;
    answer.scrollIntoView({ block: "end" });
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
  foot.append(up, down, element("b", "", answer?.served ?? decision.model));
  if (answer) foot.append(element("span", "", `${answer.usage.completion} tokens · ${answer.latency.toFixed(1)} s · ${dollars(answer.cost ?? 0)}`));
  foot.append(note);
  up.onclick = () => rate(decision, asked, 1, [up, down], note);
  down.onclick = () => rate(decision, asked, 0, [down, up], note);
}

function thumb(title, className) {
  const button = element("button", className);
  button.type = "button";
  button.title = title;
  const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  picture.setAttribute("viewBox", "0 0 24 24");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", "M3.5 11H7v9H3.5zM7 11l4-8c2 0 2.6 1.5 2.2 3.2L12.3 10h6.2c1.6 0 2.2 1 2 2.2l-1.2 6c-.3 1.2-1 1.8-2.3 1.8H7");
  picture.append(path);
  button.append(picture);
  return button;
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
  if (!prompt || $("send").disabled) return;
  $("prompt").value = "";
  ask(prompt);
};
$("prompt").onkeydown = (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("form").requestSubmit();
  }
};
$("fresh").onclick = () => location.reload();
$("key").value = sessionStorage.getItem("key") ?? "";
$("key").onchange = () => { sessionStorage.setItem("key", $("key").value); listModels(); };
for (const example of document.querySelectorAll(".examples button")) example.onclick = () => ask(example.textContent);
listModels();
$("prompt").focus();
