// The API for people: every path of /openapi.json with its fields, its answers and a command to try.

import { address, call } from "./gateway.js";
import { $, button } from "./page.js";
import { badge, make, notice, table } from "./parts.js";
import { shell } from "./snippets.js";

const named = (schema) => schema.$ref?.split("/").at(-1);

// A schema in a few words: "text", "list of ChatMessage or null".
function type(schema) {
  if (named(schema)) return named(schema);
  if (schema.anyOf) return schema.anyOf.map(type).join(" or ");
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" or ");
  if (Array.isArray(schema.type)) return schema.type.map((each) => type({ ...schema, type: each })).join(" or ");
  if (schema.type === "array") return `list of ${schema.items ? type(schema.items) : "anything"}`;
  if (schema.type === "object") return schema.additionalProperties?.type ? `object of ${type(schema.additionalProperties)}` : "object";
  const { minimum: low, maximum: high } = schema, words = { string: "text", boolean: "true or false" };
  return `${words[schema.type] ?? schema.type ?? "anything"}${low === undefined ? "" : high === undefined ? ` from ${low}` : ` from ${low} to ${high}`}`;
}

function fields(title, schema) {
  const rows = Object.entries(schema.properties ?? {}).map(([name, each]) => ({ name, each, needed: schema.required?.includes(name) }));
  return rows.length ? table(title, [
    { title: "Field", of: ({ name }) => make("code", {}, name) }, { title: "Type", of: ({ each }) => type(each) },
    { title: "Needed", of: ({ needed }) => (needed ? "yes" : "") },
  ], rows) : "";
}

// The types that a schema's fields lead to, itself first.
function reached(schema, schemas, found = new Map()) {
  const name = named(schema);
  if (name && !found.has(name)) reached(schemas[name], schemas, found.set(name, schemas[name]));
  for (const value of name ? [] : Object.values(schema)) if (value && typeof value === "object") reached(value, schemas, found);
  return found;
}

function command(method, path, body) {
  const parts = [`curl ${address()}${path.replace("{id}", "ID")}`];
  if (method === "delete" || (method === "post" && !body)) parts.push(`-X ${method.toUpperCase()}`);
  const [media, content] = Object.entries(body?.content ?? {})[0] ?? [];
  if (media === "multipart/form-data") parts.push("-F purpose=batch", "-F file=@requests.jsonl");
  else if (content) parts.push(`-H 'content-type: ${media}'`, `-d ${shell(JSON.stringify(content.example))}`);
  const text = parts.join(" \\\n  "), copy = button("Copy", "quiet", async () => {
    await navigator.clipboard.writeText(text);
    copy.textContent = "Copied";
  });
  return make("div", { class: "code" }, make("div", { class: "code-head" }, "shell", copy), make("pre", { tabindex: 0, "aria-label": `Example of ${path}` }, make("code", {}, text)));
}

function operation(path, method, told, schemas) {
  const parameters = told.parameters ?? [];
  const body = Object.values(told.requestBody?.content ?? {})[0]?.schema;
  const types = body ? [...reached(body, schemas)] : [];
  const responses = Object.entries(told.responses), of = (title) => `${title} of ${method.toUpperCase()} ${path}`;
  return make("details", { class: "operation", id: `${method}-${path}` },
    make("summary", {}, badge(method.toUpperCase()), make("code", {}, path), make("span", {}, told.summary)),
    command(method, path, told.requestBody),
    parameters.length ? table(of("Parameters"), [
      { title: "Name", of: (each) => make("code", {}, each.name) }, { title: "In", of: (each) => each.in },
      { title: "Meaning", of: (each) => each.description ?? (each.required ? "needed" : "") },
    ], parameters) : "",
    body && !named(body) ? fields(of("Form"), body) : "",
    ...types.map(([name, schema]) => fields(of(name), schema)),
    table(of("Answers"), [{ title: "Status", of: ([status]) => status }, { title: "Meaning", of: ([, each]) => each.description }], responses));
}

// An address such as docs#post-/v1/route opens that path.
function follow() {
  const wanted = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (wanted?.tagName !== "DETAILS") return;
  wanted.open = true;
  wanted.scrollIntoView();
}

async function show() {
  const { paths, tags, components } = await (await call("openapi.json")).json();
  const all = Object.entries(paths).flatMap(([path, each]) => Object.entries(each).map(([method, told]) => ({ path, method, told })));
  const intro = make("p", {}, "With keys on, every request sends ", make("code", {}, "authorization: Bearer KEY"),
    ". OpenAI's and Anthropic's SDKs work with this address as their base URL; the model ", make("code", {}, "auto"), " lets the router choose.");
  $("reference").replaceChildren(intro, ...tags.flatMap(({ name }) => [make("h2", {}, name),
    ...all.filter(({ told }) => told.tags.includes(name)).map(({ path, method, told }) => operation(path, method, told, components.schemas))]));
  follow();
}

addEventListener("hashchange", follow);
show().catch((error) => $("reference").replaceChildren(notice(error.message, "error")));
