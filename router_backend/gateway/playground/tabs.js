// The pages of the console as tabs (WAI-ARIA's pattern): arrow keys move, Enter opens. The open page stands in the address.

import { $ } from "./page.js";

const tabs = () => [...document.querySelectorAll("#tabs [role=tab]")].filter((tab) => !tab.hidden);
const pageOf = (tab) => tab.getAttribute("aria-controls");

// The address as page and what is open in it: "#decisions/ID".
export function place() {
  const [page, ...rest] = location.hash.slice(1).split("/");
  return { page: page || "playground", within: decodeURIComponent(rest.join("/")) };
}

// `opened` hears of each page that is shown, and of what is open in it. A page that isn't there leads to the playground.
export function follow(opened) {
  const show = () => {
    const { page, within } = place();
    const chosen = tabs().find((tab) => pageOf(tab) === page) ?? tabs()[0];
    for (const tab of document.querySelectorAll("#tabs [role=tab]")) {
      const here = tab === chosen;
      tab.setAttribute("aria-selected", String(here));
      tab.tabIndex = here ? 0 : -1;
      $(pageOf(tab)).hidden = !here;
    }
    document.title = pageOf(chosen) === "playground" ? "llm-router" : `${chosen.textContent} · llm-router`;
    opened(pageOf(chosen), pageOf(chosen) === page ? within : "");
  };
  for (const tab of document.querySelectorAll("#tabs [role=tab]")) {
    tab.onclick = () => { if (location.hash === `#${pageOf(tab)}`) show(); else location.hash = pageOf(tab); };
  }
  $("tabs").onkeydown = (event) => {
    const all = tabs(), at = all.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    all[(to + all.length) % all.length].focus();
  };
  window.addEventListener("hashchange", show);
  return show;
}

// Pages for operators are there for keys that may see them.
export function permit(allowed) {
  for (const tab of document.querySelectorAll("#tabs [role=tab]")) {
    if (pageOf(tab) !== "playground") tab.hidden = !allowed;
  }
}
