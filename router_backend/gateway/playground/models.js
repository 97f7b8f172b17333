// Each model: whether it takes requests, how fast it is, what it costs, and how much it gets.

import { badge, count, decimal, facts, make, notice, percent, seconds, select, SPANS, table, usd } from "./parts.js";

let since = "1h";

export async function open(panel, within, get) {
  const told = await get(`/v1/admin/models?since=${since}`);
  const choice = make("form", { class: "filters", "aria-label": "Time" }, select("Time", "since", SPANS, since));
  choice.onchange = () => {
    since = new FormData(choice).get("since");
    open(panel, within, get).catch((error) => { if (error.name !== "AbortError") panel.append(notice(error.message, "error")); });
  };
  panel.replaceChildren(make("h2", {}, "Models"), choice, ...coverage(told), health(told.data), prices(told.data), why(told));
}

// What the figures are of; said by each page of sums.
export function coverage(told) {
  const said = [make("p", { class: "muted", role: "status" },
    `${count(told.decisions)} decisions${told.unanswered ? `, ${count(told.unanswered)} without an answer yet` : ""}.`)];
  if (!told.complete) said.push(notice("There are more decisions in this time than are summed here: the figures are of the latest. Choose a shorter time, or use `llm-router report`."));
  if (!told.decisions) said.push(notice("No traffic in this time: send a request with the model “auto”, or look further back."));
  return said;
}

function breaker(state) {
  if (state === null || state === undefined) return badge("not configured");
  return badge({ closed: "takes requests", open: "fails: left out", half_open: "is tried again" }[state] ?? state.replaceAll("_", " "), state === "closed" ? "good" : "bad");
}

function health(models) {
  return table("Health, speed and share; the breaker is that of the gateway that was asked", [
    { title: "Model", of: (model) => make("span", {}, model.model, model.default ? badge("default") : null) },
    { title: "Breaker", of: (model) => breaker(model.breaker) },
    { title: "Share", right: true, of: (model) => percent(model.share) },
    { title: "Answers", right: true, of: (model) => count(model.requests) },
    { title: "Failed", right: true, of: (model) => (model.failed ? badge(`${count(model.failed)} (${percent(model.failed / model.requests, 1)})`, "bad") : "0") },
    { title: "First token p50", right: true, of: (model) => seconds(model.first_token.p50) },
    { title: "p95", right: true, of: (model) => seconds(model.first_token.p95) },
    { title: "Answer p50", right: true, of: (model) => seconds(model.latency.p50) },
    { title: "p95", right: true, of: (model) => seconds(model.latency.p95) },
    { title: "Quality", right: true, of: (model) => quality(model) },
  ], models);
}

export function quality(sums) {
  if (sums.quality === null) return "no scores";
  return `${decimal(sums.quality)}${sums.quality_half_width === null ? "" : ` ± ${decimal(sums.quality_half_width)}`} (${count(sums.scored)})`;
}

function prices(models) {
  return table("Cost and price, USD", [
    { title: "Model", of: (model) => model.model },
    { title: "Cost", right: true, of: (model) => usd(model.cost) },
    { title: "An answer", right: true, of: (model) => usd(model.cost_per_answer) },
    { title: "Tokens in", right: true, of: (model) => count(model.prompt_tokens) },
    { title: "Tokens out", right: true, of: (model) => count(model.completion_tokens) },
    { title: "Price in, a million", right: true, of: (model) => usd(model.price?.input) },
    { title: "Price out, a million", right: true, of: (model) => usd(model.price?.output) },
    { title: "Context", right: true, of: (model) => count(model.context_window) },
    { title: "Upstream", of: (model) => model.upstream ?? "–" },
  ], models);
}

function why(told) {
  const reasons = Object.entries(told.reasons).sort((a, b) => b[1] - a[1]);
  if (!reasons.length) return "";
  return make("section", {}, make("h3", {}, "Why models were chosen"), facts(reasons.map(([reason, number]) => [reason.replaceAll("_", " "), count(number)])));
}
