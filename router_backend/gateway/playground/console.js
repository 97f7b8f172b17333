// The operator's pages: which there are, and who may open them.

import * as configuration from "./configuration.js";
import * as decisions from "./decisions.js";
import { call } from "./gateway.js";
import * as learning from "./learning.js";
import * as models from "./models.js";
import { notice } from "./parts.js";
import { $ } from "./page.js";
import * as spending from "./spending.js";
import { follow, permit, place } from "./tabs.js";

const PAGES = { decisions, models, learning, spending, configuration };
let opening = 0;

const key = () => $("key").value.trim();
const get = async (path) => (await call(path, undefined, { key: key() })).json();

async function open(page, within) {
  const made = PAGES[page], panel = $(page), turn = ++opening;
  if (!made) return;
  if (!panel.hasChildNodes()) panel.append(notice("Loading …"));
  try {
    await made.open(panel, within, async (path) => {
      const told = await get(path);
      if (turn !== opening) throw new DOMException("another page was opened", "AbortError");
      return told;
    });
  } catch (error) {
    if (error.name !== "AbortError") panel.replaceChildren(notice(error.message, "error"));
  }
}

const show = follow(open);

async function admit() {
  let allowed = false;
  try {
    await get("/v1/admin");
    allowed = true;
  } catch {
    if (place().page !== "playground") $("empty").textContent = "This page needs a key of the scope admin: give it above.";
  }
  permit(allowed);
  show();
}

$("key").addEventListener("change", admit);
admit();
