// The configuration in use, read-only and without secrets.

import { make } from "./parts.js";

export async function open(panel, within, get) {
  const told = await get("/admin/config");
  const sections = Object.entries(told).filter(([, value]) => value !== null);
  panel.replaceChildren(
    make("h2", {}, "Configuration"),
    make("p", { class: "muted" }, "As it is in use now, with its defaults; secrets are left out. To change it, edit router.yaml: it is read again within seconds."),
    ...sections.map(([name, value]) => (isPlain(value) ? line(name, value)
      : make("details", { open: name === "models" || name === "policy" }, make("summary", {}, name), make("pre", { tabindex: 0, role: "group", "aria-label": name }, write(value).trimStart())))),
  );
}

const isPlain = (value) => value === null || typeof value !== "object";
const line = (name, value) => make("p", {}, make("code", {}, `${name}: ${word(value)}`));
const word = (value) => (typeof value === "string" && /^[\w./:@{}…-]+$/.test(value) && Number.isNaN(Number(value)) ? value : JSON.stringify(value));

// As YAML, which people write it in.
function write(value, depth = 0) {
  const space = "\n" + "  ".repeat(depth);
  if (isPlain(value)) return ` ${word(value)}`;
  if (Array.isArray(value)) {
    if (value.every(isPlain)) return ` [${value.map(word).join(", ")}]`;
    return value.map((each) => `${space}-${write(each, depth + 1).replace(/^\n\s*/, " ")}`).join("");
  }
  const fields = Object.entries(value).filter(([, each]) => each !== null);
  return fields.length ? fields.map(([name, each]) => `${space}${name}:${write(each, depth + 1)}`).join("") : " {}";
}
