// What is known of each model's quality and cost, by task and over time, and where it comes from.

import { lines } from "./charts.js";
import { count, decimal, facts, make, notice, percent, select, SPANS, table, time, usd } from "./parts.js";
import { coverage, quality } from "./models.js";

let since = "1d";

export async function open(panel, within, get) {
  const told = await get(`/v1/admin/learning?since=${since}`);
  const choice = make("form", { class: "filters", "aria-label": "Time" }, select("Time", "since", SPANS, since));
  choice.onchange = () => {
    since = new FormData(choice).get("since");
    open(panel, within, get).catch((error) => { if (error.name !== "AbortError") panel.append(notice(error.message, "error")); });
  };
  panel.replaceChildren(make("h2", {}, "Learning"), choice, ...coverage(told),
    told.decisions ? make("p", { class: "headline" }, told.headline) : "", scores(told), ...courses(told), tasks(told), changes(told), agreements(told));
}

function scores({ coverage: found, judge, total }) {
  const sources = Object.entries(found.sources).map(([source, number]) => `${source.replaceAll("_", " ")} ${count(number)}`).join(", ");
  const told = facts([
    ["Answers with a score", `${count(found.scored)} of ${count(found.answers)} (${percent(found.share)})`], ["Scores come from", sources],
    ["Quality of all answers", quality(total)], ["Cost of an answer", usd(total.cost_per_answer)],
    ["Spent on judging", judge.requests ? `${usd(judge.cost)} for ${count(judge.requests)} judgements` : "nothing"],
  ]);
  const missing = found.scored ? "" : notice("No scores yet: send feedback to /v1/feedback with the decision's id, rate answers in the playground, or configure a judge.");
  return make("section", {}, make("h3", {}, "Scores"), told, missing);
}

function courses({ course, models }) {
  const times = course.map((part) => part.start), names = Object.keys(models);
  const of = (field) => names.map((name) => ({ name, values: course.map((part) => part.models[name]?.[field] ?? null) }));
  return [
    lines("Quality over time, by model", times, of("quality"), (value) => decimal(value)),
    lines("Cost of an answer over time, by model", times, of("cost_per_answer"), usd),
    lines("Answers over time, by model", times, of("requests"), (value) => count(Math.round(value))),
  ].filter(Boolean);
}

function tasks({ tasks: found, models }) {
  const names = Object.keys(models);
  if (!names.length) return "";
  return table("Quality with its 95 % interval and number of scores, and cost of an answer, by task", [
    { title: "Task", of: ([task]) => task.replaceAll("_", " ") || "(not classified)" },
    ...names.flatMap((name) => [
      { title: name, right: true, of: ([, sums]) => (sums[name] ? quality(sums[name]) : "–") },
      { title: "cost", right: true, of: ([, sums]) => usd(sums[name]?.cost_per_answer) },
    ]),
  ], Object.entries(found));
}

function changes({ changes: found }) {
  const rows = Object.entries(found).flatMap(([model, each]) => each.map((change) => ({ model, ...change })));
  const shown = rows.length ? table("Models that were found changed", [
    { title: "Model", of: (row) => row.model }, { title: "Since", of: (row) => time(row.at) },
    { title: "Quality moved by", right: true, of: (row) => `${row.shift > 0 ? "+" : "−"}${decimal(Math.abs(row.shift))}` },
    { title: "Seen in scores", right: true, of: (row) => count(row.observations) },
  ], rows) : notice("No model was found changed. A change shows once some dozens of scores differ from what was expected.");
  return make("section", {}, make("h3", {}, "Changes"), shown);
}

function agreements({ agreements: found }) {
  const rows = Object.entries(found);
  if (!rows.length) return "";
  return table("How far sources of scores agree with people", [
    { title: "Source", of: ([source]) => source.replaceAll("_", " ") }, { title: "Answers that both scored", right: true, of: ([, each]) => count(each.pairs) },
    { title: "Agreement", right: true, of: ([, each]) => percent(each.agreement) }, { title: "Bias", right: true, of: ([, each]) => decimal(each.bias) },
    { title: "Weight", right: true, of: ([, each]) => decimal(each.weight) },
  ], rows);
}
