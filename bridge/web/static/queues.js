// The page of the queues: who waits, and who answers.

import { arrange, el, write } from "./dom.js";
import { age, compare, number, t } from "./i18n.js";

/** @import {Agents, Queue} from "./types.js" @import {Known, Store} from "./state.js" */

export class Queues {
  /** @type {{since: string, element: HTMLElement}[]} */
  #waits = [];

  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    this.list = el("div", { class: "cards" });
    this.empty = el(
      "div",
      { class: "empty", hidden: true },
      el("h2", { text: t("empty.queues") }),
      el("p", { text: t("empty.queues.text") }),
    );
    this.element = el("div", { class: "queues" }, this.list, this.empty);
  }

  update() {
    this.#waits = [];
    const cards = [];
    for (const pbx of this.store.pbxs.values()) {
      const queues = [...pbx.queues.values()].sort((a, b) => compare(a.name ?? a.number, b.name ?? b.number));
      cards.push(...queues.map((queue) => this.#card(queue, pbx)));
    }
    arrange(this.list, cards);
    this.empty.hidden = cards.length > 0 || !this.store.loaded;
    this.tick(this.store.now());
  }

  /** @param {number} now */
  tick(now) {
    for (const { since, element } of this.#waits) write(element, age(now - Date.parse(since), true));
  }

  /** @param {Queue} queue @param {Known} pbx */
  #card(queue, pbx) {
    const unknown = queue.waiting === null;
    const longest = el("span", { class: "longest" });
    if (queue.longest_since) {
      const element = el("b");
      this.#waits.push({ since: queue.longest_since, element });
      longest.append(t("queues.longest"), " ", element);
    } else if (unknown) longest.textContent = t("state.unknown");
    return el(
      "article",
      { class: `card queue${queue.waiting ? " waits" : ""}${unknown ? " unknown" : ""}` },
      el("h2", {}, queue.name ?? queue.number, el("span", { class: "number", text: queue.number })),
      el(
        "p",
        { class: "waiting" },
        el("b", { text: queue.waiting === null ? "?" : number(queue.waiting) }),
        el("span", { text: t("queues.waiting") }),
        longest,
      ),
      ...agents(queue.agents, pbx),
    );
  }
}

/** @param {Agents|null} known @param {Known} pbx */
function agents(known, pbx) {
  if (!known) return [el("p", { class: "note", text: t("queues.agents_unknown") })];
  const other = known.logged_in.filter((dn) => !known.available.includes(dn) && !known.on_call.includes(dn));
  /** @type {[string, string, string[]][]} */
  const groups = [
    ["queues.available", "available", known.available],
    ["queues.on_call", "on_call", known.on_call],
    ["queues.other", "away", other],
    ["queues.logged_out", "offline", known.logged_out],
  ];
  const lines = groups
    .filter(([, , dns]) => dns.length)
    .map(([key, state, dns]) => {
      const names = dns.map((dn) => el("span", { class: "tag", text: pbx.users.get(dn)?.name ?? dn }));
      return el(
        "div",
        { class: "agents", "data-state": state },
        el("h3", {}, t(key), " ", el("b", { text: number(dns.length) })),
        ...names,
      );
    });
  if (!known.logged_in.length)
    lines.unshift(el("div", { class: "agents" }, el("p", { class: "note", text: t("queues.no_agents") })));
  return lines;
}
