// The panel that explains a decision.

import { $, element } from "./page.js";

export const dollars = (value) => (value === 0 ? "$0" : value < 0.01 ? `$${value.toPrecision(2).replace(/e-(\d+)/, "e-$1")}` : `$${value.toFixed(3)}`);
const signed = (value) => `${value >= 0 ? "+" : "−"}${Math.abs(value).toFixed(3)}`;

export function show(decision, before = null) {
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
