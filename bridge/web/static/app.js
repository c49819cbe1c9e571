// Starts the page: the store below, the pages above, and what lies around them.

import { BridgePage } from "./bridge.js";
import { el, icon, write } from "./dom.js";
import { Filters, PAGES } from "./filters.js";
import { at, loadWords, t } from "./i18n.js";
import { followKeys } from "./keys.js";
import { Kiosk } from "./kiosk.js";
import { Lights } from "./lights.js";
import { Panel } from "./panel.js";
import { Queues } from "./queues.js";
import { Store } from "./state.js";
import { People } from "./view.js";

/** @import {Changed} from "./state.js" */

const TICK = 500; // ms: stale within three seconds means to look more often than once a second

await loadWords();

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const top_ = /** @type {HTMLElement} */ (document.getElementById("top"));
const banner = /** @type {HTMLElement} */ (document.getElementById("banner"));
const token = new URLSearchParams(location.search).get("token");

const filters = new Filters(filter);
const store = new Store(`api/events${token ? `?token=${encodeURIComponent(token)}` : ""}`, update, () =>
  location.reload(),
);
const kiosk = filters.kiosk ? new Kiosk(() => people.again()) : null;
/** @type {People} */
const people = new People(store, filters, open, kiosk);
const queues = new Queues(store);
const lights = new Lights(store);
const bridge = new BridgePage(store);
const panel = new Panel(store);

const pages = { people, queues, lights, bridge };
const title = el("h1");
const links = PAGES.map((page) => el("a", { href: filters.address(page), "data-page": page, text: t(`page.${page}`) }));
const search = el("input", {
  type: "search",
  "aria-label": t("search"),
  placeholder: t("search"),
  value: filters.search,
});
const live = el("span", { class: "live" }, el("i"), el("span"));
const account = el("span", { class: "account" });

build();
filter();
store.open();
setInterval(tick, TICK);

function build() {
  const nav = el("nav", { "aria-label": t("title") }, ...links);
  const field = el(
    "label",
    { class: "search" },
    icon("search"),
    search,
    el("kbd", { text: "/", "aria-hidden": "true" }),
  );
  const bar = el("div", { class: "bar" }, title, nav, field, live, account);
  top_.replaceChildren(bar, el("div", { class: "tools" }, people.chips.element, people.choices.element));
  for (const each of document.querySelectorAll("[data-words]")) {
    if (each instanceof HTMLElement) each.textContent = t(each.dataset.words ?? "");
  }
  document.body.append(panel.element);
  nav.addEventListener("click", (event) => {
    const link = event.target;
    if (!(link instanceof HTMLAnchorElement) || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    filters.set({ page: link.dataset.page ?? "people" });
    scrollTo(0, 0);
  });
  search.addEventListener("input", () => filters.set({ search: search.value, page: "people" }));
  followKeys(people, search);
}

/** The address has changed, or a filter. */
function filter() {
  if (document.activeElement !== search) search.value = filters.search;
  for (const link of links) {
    link.href = filters.address(link.dataset.page);
    if (link.dataset.page === filters.page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.body.dataset.page = filters.page;
  const page = pages[/** @type {keyof typeof pages} */ (filters.page)];
  if (main.firstElementChild !== page.element) main.replaceChildren(page.element);
  people.filter();
  if (page !== people) /** @type {Queues} */ (page).update();
}

/** @param {Changed} changed */
function update(changed) {
  people.update(changed);
  panel.update();
  const { kinds, all } = changed;
  if (all || kinds.has("queue") || (filters.page === "queues" && changed.users.size)) queues.update();
  if (all || kinds.has("light")) lights.update();
  if (filters.page === "bridge" && (all || kinds.has("bridge") || kinds.has("sources") || kinds.has("log")))
    bridge.update();
  if (all) introduce();
}

/** What depends on who looks. */
function introduce() {
  const names = [...store.pbxs.keys()];
  write(title, names.length === 1 ? names[0] : t("title"));
  document.title = `${title.textContent} · 3cx2mqtt`;
  const { admin, can_log_in, limited } = store.viewer;
  document.body.classList.toggle("limited", limited);
  if (limited && filters.page !== "people") filters.set({ page: "people" });
  const form = el("form", { method: "post", action: "logout" }, el("button", { text: t("logout") }));
  const link = el("a", { href: `login${location.search}`, text: t("login.link") });
  account.replaceChildren(...(admin && can_log_in ? [form] : can_log_in && !limited ? [link] : []));
  kiosk?.check(store.version);
}

/** @param {string} key */
function open(key) {
  const entry = people.entry(key);
  if (entry && !kiosk) panel.open(entry.pbx.name, entry.user.number);
}

function tick() {
  const now = store.now();
  people.tick(now);
  queues.tick(now);
  panel.tick(now);
  believe();
  if (kiosk?.turn()) people.again();
}

/** Says loudly where what is shown may not be true any more. */
function believe() {
  const stale = store.waiting ? null : store.stale();
  document.body.classList.toggle("stale", stale !== null);
  live.classList.toggle("off", stale !== null || !store.loaded);
  const versions = [...store.pbxs.values()].map((pbx) => pbx.bridge.pbx_version).filter(Boolean);
  const place = versions.length === 1 ? ` · 3CX ${versions[0]}` : "";
  write(/** @type {Node} */ (live.lastChild), stale || !store.loaded ? t("connecting") : `${t("live")}${place}`);
  if (banner.hidden !== (stale === null)) banner.hidden = stale === null;
  if (!stale) return;
  const since = stale.since === null ? t("stale.never") : t("stale.since", { time: at(stale.since) });
  const text = t(`stale.${stale.why}`);
  if (banner.textContent !== since + text) banner.replaceChildren(el("strong", { text: since }), el("span", { text }));
}
