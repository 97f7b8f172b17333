// What API keys have spent this day and this month, against their budgets and limits.

import { badge, count, make, notice, percent, table, usd } from "./parts.js";
import { coverage } from "./models.js";

export async function open(panel, within, get) {
  const told = await get("/v1/admin/spending?since=1d");
  panel.replaceChildren(make("h2", {}, "Spending"), ...coverage(told), told.data.length ? keys(told) : none(), groups(told.groups));
}

function none() {
  return notice("No API keys: whoever reaches this gateway may use it. `llm-router keys new NAME` makes one, with budgets and limits.");
}

function keys({ data, day, month }) {
  return table(`By API key; day ${day} and month ${month}, in UTC`, [
    { title: "Key", of: (row) => make("span", {}, row.key, row.judge ? badge("judge") : row.configured ? null : badge("no longer configured"), row.expired ? badge("expired", "bad") : null) },
    { title: "Group", of: (row) => row.group ?? "–" },
    { title: "This day", right: true, of: (row) => against(row.day_usd, row.usd_per_day, `${row.key}, this day`) },
    { title: "This month", right: true, of: (row) => against(row.month_usd, row.usd_per_month, `${row.key}, this month`) },
    { title: "Answers, 24 h", right: true, of: (row) => count(row.requests) },
    { title: "Failed", right: true, of: (row) => count(row.failed) },
    { title: "Requests a minute", right: true, of: (row) => count(row.requests_per_minute) },
    { title: "Tokens a minute", right: true, of: (row) => count(row.tokens_per_minute) },
    { title: "Expires", of: (row) => row.expires ?? "–" },
  ], data);
}

function against(spent, budget, name) {
  if (!budget) return usd(spent);
  const share = spent / budget;
  const meter = make("meter", { min: 0, max: 1, high: 0.9, optimum: 0, value: Math.min(1, share), "aria-label": `${name}: ${percent(share)} of the budget` });
  return make("span", { class: "budget" }, `${usd(spent)} of ${usd(budget)}`, meter, share >= 1 ? badge("used up", "bad") : null);
}

function groups(found) {
  if (!found.length) return "";
  return table("Groups, whose limits their keys share", [
    { title: "Group", of: (group) => group.name }, { title: "Requests a minute", right: true, of: (group) => count(group.requests_per_minute) },
    { title: "Tokens a minute", right: true, of: (group) => count(group.tokens_per_minute) },
  ], found);
}
