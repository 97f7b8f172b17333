// Small line charts in SVG, each with its numbers as a table for those who don't see it.

import { make, table, time } from "./parts.js";

const WIDTH = 640, HEIGHT = 170, LEFT = 52, BOTTOM = 22, TOP = 10;
const SPACE = "http://www.w3.org/2000/svg";

function svg(tag, attributes, ...children) {
  const made = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// `series`: {name, values}, a value for each of `times` (Unix seconds), null where there is none. Lines differ by colour and dashes.
export function lines(title, times, series, write) {
  const values = series.flatMap((each) => each.values).filter((value) => value !== null);
  if (!values.length) return null;
  const high = Math.max(...values), low = Math.min(0, ...values), size = high - low || 1;
  const x = (at) => LEFT + ((WIDTH - LEFT - 8) * at) / Math.max(1, times.length - 1);
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / size);
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" });
  for (const value of [low, low + size / 2, low + size]) {
    const label = svg("text", { x: LEFT - 6, y: y(value) + 4, class: "axis right" }, write(value));
    picture.append(svg("line", { x1: LEFT, x2: WIDTH - 8, y1: y(value), y2: y(value), class: "grid" }), label);
  }
  for (const [at, anchor] of [[0, "left"], [times.length - 1, "right"]]) {
    picture.append(svg("text", { x: x(at), y: HEIGHT - 4, class: `axis ${anchor}` }, time(times[at]).textContent.slice(0, -3)));
  }
  series.forEach((each, place) => {
    for (const part of unbroken(each.values)) {
      const points = part.map((at) => `${x(at).toFixed(1)},${y(each.values[at]).toFixed(1)}`).join(" ");
      picture.append(part.length > 1 ? svg("polyline", { points, class: `line s${place % 6}` })
        : svg("circle", { cx: x(part[0]), cy: y(each.values[part[0]]), r: 3, class: `dot s${place % 6}` }));
    }
  });
  const legend = make("p", { class: "legend-of-chart", "aria-hidden": "true" }, ...series.map((each, place) =>
    make("span", {}, svg("svg", { viewBox: "0 0 22 8", class: "key" }, svg("line", { x1: 0, x2: 22, y1: 4, y2: 4, class: `line s${place % 6}` })), each.name)));
  const rows = times.map((at, place) => ({ at, place })).filter(({ place }) => series.some((each) => each.values[place] !== null));
  const numbers = table(`${title}, as numbers`, [
    { title: "From", of: ({ at }) => time(at) },
    ...series.map((each) => ({ title: each.name, right: true, of: ({ place }) => (each.values[place] === null ? "–" : write(each.values[place])) })),
  ], rows);
  return make("figure", { class: "chart" }, make("figcaption", {}, title), picture, legend, make("details", {}, make("summary", {}, "Numbers"), numbers));
}

function unbroken(values) {
  const parts = [];
  values.forEach((value, at) => {
    if (value === null) return;
    if (at > 0 && values[at - 1] !== null) parts.at(-1).push(at); else parts.push([at]);
  });
  return parts;
}
