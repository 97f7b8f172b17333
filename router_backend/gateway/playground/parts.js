// Pieces that the operator's pages are made of, and how they write numbers. Text is always set as text.

export function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function notice(text, kind = "hint") {
  return make("p", { class: `notice ${kind}`, role: kind === "error" ? "alert" : "status" }, text);
}

// --- Numbers -------------------------------------------------------------------------------------------------------

const NONE = "–";
const grouped = new Intl.NumberFormat("en");
export const count = (value) => (value === null || value === undefined ? NONE : grouped.format(value));
export const decimal = (value, digits = 2) => (value === null || value === undefined ? NONE : value.toFixed(digits));
export const percent = (value, digits = 0) => (value === null || value === undefined ? NONE : `${(100 * value).toFixed(digits)} %`);
export const seconds = (value) => (value === null || value === undefined ? NONE : value < 1 ? `${Math.round(1000 * value)} ms` : `${value.toFixed(value < 10 ? 2 : 1)} s`);

export function usd(value) {
  if (value === null || value === undefined) return NONE;
  if (value === 0) return "$0";
  if (Math.abs(value) >= 100) return `$${grouped.format(Math.round(value))}`;
  return Math.abs(value) >= 0.01 ? `$${value.toFixed(Math.abs(value) >= 1 ? 2 : 3)}` : `$${value.toFixed(Math.min(12, 1 - Math.floor(Math.log10(Math.abs(value)))))}`;
}

const clock = new Intl.DateTimeFormat("en-CA", { month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
export function time(unix) {
  const at = new Date(1000 * unix);
  return make("time", { datetime: at.toISOString() }, clock.format(at).replace(",", ""));
}

// --- Tables and forms ----------------------------------------------------------------------------------------------

// `columns`: {title, of(row) → text or element, right}; the first cell of a row names it. Wide tables scroll in themselves.
export function table(caption, columns, rows) {
  const head = columns.map((column) => make("th", { scope: "col", class: column.right ? "right" : null }, column.title));
  const body = rows.map((row) => make("tr", {}, ...columns.map((column, at) =>
    make(at ? "td" : "th", { class: column.right ? "right" : null, scope: at ? null : "row" }, column.of(row)))));
  const made = make("table", {}, make("caption", {}, caption), make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body));
  return make("div", { class: "scrolls", role: "region", "aria-label": caption, tabindex: 0 }, made);
}

export function facts(pairs) {
  return make("dl", { class: "facts" }, ...pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

export const badge = (text, kind = "") => make("span", { class: `badge ${kind}` }, text);

export function select(label, name, options, value) {
  const choices = options.map(([id, text]) => make("option", { value: id, selected: id === value }, text));
  return make("label", {}, label, make("select", { name }, ...choices));
}

export const SPANS = [["1h", "last hour"], ["1d", "last day"], ["1w", "last week"], ["4w", "last 4 weeks"]];
