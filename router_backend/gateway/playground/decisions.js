// Decisions of all gateways: the latest ones, filtered, and one in full.

import { badge, count, decimal, facts, make, notice, percent, seconds, select, SPANS, table, time, usd } from "./parts.js";

const AT_ONCE = 50;
const FIELDS = [["key", "API key"], ["model", "Model"], ["task", "Task"], ["reason", "Reason"]];
const NUMBERS = [["cost_from", "Cost from, USD"], ["score_from", "Score from"], ["score_to", "Score to"]];
let filter = { since: "1d" };

export async function open(panel, within, get) {
  await (within ? showOne(panel, within, get) : showLatest(panel, get));
}

// --- The latest ----------------------------------------------------------------------------------------------------

async function showLatest(panel, get) {
  const rows = make("div", { class: "rows" }), older = make("button", { type: "button", class: "quiet", hidden: true }, "Show older ones");
  const status = make("p", { class: "muted", role: "status" });
  const shown = [];
  let next = null;
  const load = async () => {
    const query = new URLSearchParams(Object.entries(filter).filter(([, value]) => value));
    query.set("limit", AT_ONCE);
    if (next) query.set("before", next);
    status.textContent = "Loading …";
    const page = await get(`/v1/admin/decisions?${query}`);
    shown.push(...page.data);
    next = page.next;
    older.hidden = !next;
    status.textContent = shown.length ? `${count(shown.length)} decisions${next ? ", there may be more" : ""}` : "";
    rows.replaceChildren(shown.length ? latest(shown) : nothing());
  };
  older.onclick = () => load().catch((error) => fail(status, error));
  const form = filters(() => {
    shown.length = 0;
    next = null;
    load().catch((error) => fail(status, error));
  });
  panel.replaceChildren(make("h2", {}, "Decisions"), form, status, rows, older);
  await load();
}

function fail(status, error) {
  if (error.name !== "AbortError") status.replaceChildren(notice(error.message, "error"));
}

function nothing() {
  const filtered = Object.entries(filter).some(([name, value]) => value && name !== "since");
  return notice(filtered
    ? "No decision fits this filter. Clear it, or look further back."
    : "No decisions yet: send a request with the model “auto”, for example in the playground. They appear here within a second.");
}

function filters(changed) {
  const texts = FIELDS.map(([name, label]) => make("label", {}, label, make("input", { name, value: filter[name] ?? "", autocomplete: "off" })));
  const numbers = NUMBERS.map(([name, label]) =>
    make("label", {}, label, make("input", { name, type: "number", min: 0, step: "any", max: name === "cost_from" ? null : 1, value: filter[name] ?? "" })));
  const form = make("form", { class: "filters", "aria-label": "Filter" }, select("Time", "since", SPANS, filter.since), ...texts, ...numbers,
    make("button", { type: "submit" }, "Filter"),
    make("button", { type: "reset", class: "quiet" }, "Clear"));
  form.onsubmit = (event) => {
    event.preventDefault();
    filter = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value.trim()]));
    changed();
  };
  form.onreset = () => {
    filter = { since: "1d" };
    for (const input of form.querySelectorAll("input")) input.setAttribute("value", "");
    changed();
  };
  return form;
}

function latest(rows) {
  return table("The latest decisions", [
    { title: "Time", of: (row) => make("a", { href: `#decisions/${encodeURIComponent(row.decision_id)}` }, time(row.created)) },
    { title: "Model", of: (row) => (row.served && row.served !== row.model ? `${row.model} → ${row.served}` : row.model) },
    { title: "Task", of: (row) => row.task.replaceAll("_", " ") },
    { title: "Reason", of: (row) => row.reason },
    { title: "Key", of: (row) => row.key ?? "" },
    { title: "Status", of: (row) => (row.status === null ? badge("no answer yet") : badge(String(row.status), row.status >= 400 ? "bad" : "good")) },
    { title: "Cost", right: true, of: (row) => usd(row.cost) },
    { title: "Latency", right: true, of: (row) => seconds(row.latency) },
    { title: "Score", right: true, of: (row) => (row.score === null ? "–" : `${decimal(row.score)}${row.implicit ? ` (${row.implicit})` : ""}`) },
  ], rows);
}

// --- One in full ---------------------------------------------------------------------------------------------------

async function showOne(panel, id, get) {
  const decision = await get(`/v1/admin/decisions/${encodeURIComponent(id)}`);
  const { answer, feedback } = decision;
  const title = make("h2", { tabindex: -1 }, `Decision for ${decision.model}`);
  panel.replaceChildren(
    make("p", {}, make("a", { href: "#decisions" }, "← All decisions")),
    title,
    facts([
      ["Id", make("code", {}, decision.decision_id)], ["Time", time(decision.created)], ["Why", why(decision)],
      ["Reason", make("code", {}, decision.reason)], ["Task", task(decision)],
      ["Complexity", decision.kind === "routed" ? decimal(decision.complexity) : null],
      ["Policy", decision.policy && `${decision.policy} (${decision.policy_version})`], ["Experiment", decision.experiment],
      ["Probability of this choice", decision.propensity === null ? null : percent(decision.propensity, 1)],
    ]),
    make("h3", {}, "The models it chose from"), arms(decision),
    make("h3", {}, "The answer"), answer ? outcome(decision, answer) : notice("No answer is recorded: it still runs, or only the decision was asked for."),
    make("h3", {}, "Feedback"), feedback ? score(feedback) : notice("No score yet: send feedback with this id to /v1/feedback, or rate answers in the playground."),
  );
  title.focus();
}

function why({ kind, reason, model, shadows }) {
  const [what, detail] = reason.split(":");
  const said = {
    policy: `The policy ${detail ?? ""} expected the best reward of ${model}.`,
    explore: "Chosen by chance, to learn more about it.",
    sticky: "The session stays with the model that answered before.",
    low_confidence: "The task was unsure, so the safe choice was taken.",
    guard: "The evidence was too weak, so the reference model was taken.",
    only_candidate: "No other model could take this request.",
    fallback: `Routing failed (${detail ?? "unknown cause"}), so the default model was taken.`,
    named: "The client named the model.",
    passthrough: "The request was passed through unchanged.",
  }[what] ?? (kind === "named" ? "The client named the model." : `Chosen by: ${what.replaceAll("_", " ")}.`);
  const others = shadows.map((shadow) => `${shadow.policy} would have chosen ${shadow.model}`).join(", ");
  return others ? `${said} In shadow: ${others}.` : said;
}

function task(decision) {
  const likely = Object.entries(decision.task_probabilities).sort((a, b) => b[1] - a[1]).slice(0, 3);
  if (!likely.length) return decision.task || null;
  return likely.map(([name, probability]) => `${name.replaceAll("_", " ")} ${percent(probability)}`).join(", ");
}

function arms(decision) {
  const answered = decision.answer !== null;
  return table("Models, the best score first", [
    { title: "Model", of: (arm) => make("span", {}, arm.model, arm.chosen ? badge("chosen", "good") : null, arm.served && !arm.chosen ? badge("answered") : null) },
    { title: "Score", right: true, of: (arm) => decimal(arm.score, 3) },
    { title: "Cost expected", right: true, of: (arm) => usd(arm.expected_cost) },
    ...(answered ? [{ title: "Cost of the same tokens", right: true, of: (arm) => make("span", {}, usd(arm.cost_of_same_tokens), arm.served ? " (paid)" : null) }] : []),
  ], decision.arms);
}

function outcome(decision, answer) {
  const { usage } = answer;
  return facts([
    ["Answered by", answer.served === decision.model ? answer.served : `${answer.served}, as ${decision.model} could not`],
    ["Status", badge(String(answer.status), answer.status >= 400 ? "bad" : "good")], ["Finish reason", answer.finish_reason],
    ["Whose fault", answer.fault], ["API key", answer.key], ["Cost", usd(answer.cost)], ["Latency", seconds(answer.latency)],
    ["First token", answer.first_token === null ? null : seconds(answer.first_token)],
    ["Tokens", `${count(usage.prompt)} in${usage.cached ? ` (${count(usage.cached)} cached)` : ""}, ${count(usage.completion)} out${usage.reasoning ? ` (${count(usage.reasoning)} of reasoning)` : ""}`],
    ["Streamed", answer.streamed ? "yes" : "no"], ["Revision", answer.revision],
  ]);
}

function score(feedback) {
  return facts([
    ["Score", decimal(feedback.score, 3)], ["From", feedback.source?.replaceAll("_", " ") ?? "a person or a program"], ["Received", time(feedback.received)],
    ["Credited to", feedback.credited], ["Right task", feedback.task?.replaceAll("_", " ")],
    ["Cost counted", usd(feedback.cost)], ["Teaches", feedback.pending ? `not yet: it waits (${feedback.pending})` : "yes"],
    ["Tags", feedback.tags === null ? null : make("code", {}, JSON.stringify(feedback.tags))],
  ]);
}
