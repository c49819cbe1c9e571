// The page with everybody: counts per state, filters, and tiles under headings.

import { Chips } from "./chips.js";
import { Choices } from "./choices.js";
import { arrange, el, write } from "./dom.js";
import { textOf } from "./filters.js";
import { compare, number, t } from "./i18n.js";
import { Ordered } from "./ordered.js";
import { keyOf } from "./state.js";
import { Tile } from "./tile.js";

/**
 * @import {Filters} from "./filters.js"
 * @import {Kiosk} from "./kiosk.js"
 * @import {Changed, Known, Store} from "./state.js"
 * @import {User} from "./types.js"
 */

const AT_ONCE = 1500; // tiles in the page; more come as one scrolls down
const REST_AFTER = 250; // ms without another letter until the others follow
const FIRST = 300; // of them, those that are there in the frame after a letter of the search

/** @typedef {{key: string, user: User, pbx: Known, text: string}} Entry */

export class People {
  /** @type {Map<string, Entry>} */
  #entries = new Map();
  /** @type {Ordered<Entry>} */
  #ordered = new Ordered();
  /** Those that match all filters but the one of states, in order. @type {Entry[]} */
  #matching = [];
  /** @type {Map<string, Tile>} */
  #tiles = new Map();
  /** @type {Map<string, {element: HTMLElement, count: HTMLElement, list: HTMLElement}>} */
  #sections = new Map();
  #limit = AT_ONCE;
  #rest = 0;
  /** The shown ones, in order. @type {Entry[]} */
  shown = [];

  /**
   * @param {Store} store
   * @param {Filters} filters
   * @param {(key: string) => void} open called with whom was chosen
   * @param {Kiosk|null} kiosk which chooses those that fit on its screen
   */
  constructor(store, filters, open, kiosk) {
    this.store = store;
    this.filters = filters;
    this.kiosk = kiosk;
    this.choices = new Choices(store, filters);
    this.chips = new Chips(filters);
    this.list = el("div", { class: "sections" });
    this.end = el("p", { class: "end", "aria-hidden": "true" });
    this.empty = el("div", { class: "empty", hidden: true });
    this.element = el("div", { class: "people" }, this.list, this.empty, this.end);
    this.list.addEventListener("click", (event) => {
      const tile = /** @type {Element} */ (event.target).closest(".tile");
      if (tile instanceof HTMLElement && tile.dataset.key) open(tile.dataset.key);
    });
    new IntersectionObserver(
      (entries) => {
        if (entries.some((entry) => entry.isIntersecting) && this.shown.length > this.#limit) {
          this.#limit += AT_ONCE;
          this.again();
        }
      },
      { rootMargin: "600px" },
    ).observe(this.end);
  }

  /** @param {Changed} changed */
  update(changed) {
    if (changed.all) this.#fill();
    else {
      const { kinds } = changed;
      let moved =
        (kinds.has("group") && this.filters.group !== "") || (kinds.has("queue") && this.filters.queue !== "");
      for (const key of changed.users) moved = this.#change(key) || moved;
      if (moved) this.#match();
      if (moved || kinds.has("group") || kinds.has("queue")) this.choices.update();
    }
    this.#show();
  }

  /** The filters have changed. */
  filter() {
    this.#limit = FIRST;
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => {
      this.#limit = AT_ONCE;
      this.again();
    }, REST_AFTER);
    this.#match();
    this.#show();
    this.choices.update();
    this.list.classList.toggle("as-list", this.filters.view === "list" && !this.kiosk);
  }

  /** Writes the times that have moved on. @param {number} now */
  tick(now) {
    for (const { key } of this.shown.slice(0, this.#limit)) this.#tiles.get(key)?.tick(now);
  }

  /** @param {string} key */
  entry(key) {
    return this.#entries.get(key);
  }

  /** Everybody again: a snapshot came, or groups have changed. */
  #fill() {
    this.#entries.clear();
    this.#ordered.others();
    for (const pbx of this.store.pbxs.values()) {
      for (const user of pbx.users.values()) {
        const key = keyOf(pbx.name, user.number);
        this.#entries.set(key, { key, user, pbx, text: textOf(user) });
        this.#tiles.get(key)?.write(user, this.store.now());
      }
    }
    for (const key of this.#tiles.keys()) if (!this.#entries.has(key)) this.#tiles.delete(key);
    this.#match();
    this.choices.update();
  }

  /**
   * One user has changed.
   * @param {string} key
   * @returns whether that may move the user to another place, in or out
   */
  #change(key) {
    const [name, dn] = [key.slice(0, key.indexOf("/")), key.slice(key.indexOf("/") + 1)];
    const pbx = this.store.pbxs.get(name);
    const user = pbx?.users.get(dn);
    const before = this.#entries.get(key);
    if (!pbx || !user) {
      this.#tiles.delete(key);
      this.#ordered.others();
      return this.#entries.delete(key);
    }
    const entry = before ?? { key, user, pbx, text: textOf(user) };
    if (!before) {
      this.#entries.set(key, entry);
      this.#ordered.others();
    }
    const old = entry.user;
    entry.user = user;
    this.#tiles.get(key)?.write(user, this.store.now());
    const named = old.name !== user.name || old.department !== user.department;
    if (named) entry.text = textOf(user);
    const ordered = ["state", "since"].includes(this.filters.order) || !this.filters.offline;
    const moved = named || (ordered && (old.state !== user.state || old.since !== user.since));
    if (moved) this.#ordered.moved();
    return !before || moved;
  }

  /** Finds who matches the filters, in order. */
  #match() {
    const { filters } = this;
    const compareEntries = (/** @type {Entry} */ a, /** @type {Entry} */ b) =>
      filters.comparePbxs(a.pbx.name, b.pbx.name) || filters.compare(a.user, b.user) || compare(a.pbx.name, b.pbx.name);
    const all = this.#ordered.list(this.#entries.values(), filters.order, compareEntries);
    this.#matching = all.filter(({ user, pbx, text }) => filters.matches(user, pbx, text));
  }

  /** Counts the states of those who match, and shows those whose state is wanted. */
  #show() {
    this.chips.count(this.#matching.map(({ user }) => user));
    this.shown = this.#matching.filter(({ user }) => this.filters.matchesState(user));
    this.again();
  }

  /** Puts the tiles in their places; on a wall, those that fit. */
  again() {
    const now = this.store.now();
    /** @type {Map<string, Entry[]>} */
    const groups = new Map();
    for (const entry of this.kiosk ? this.kiosk.choose(this.shown) : this.shown) {
      const title = this.kiosk ? "" : this.filters.section(entry.user, this.store.pbxs.size > 1 ? entry.pbx.name : "");
      const group = groups.get(title);
      if (group) group.push(entry);
      else groups.set(title, [entry]);
    }
    let room = this.#limit;
    const sections = [];
    for (const [title, entries] of groups) {
      if (room <= 0) break;
      const section = this.#section(title);
      const busy = entries.filter(({ user }) => user.busy).length;
      const byState = this.filters.order === "state";
      write(section.count, byState ? number(entries.length) : t("busy_of", { busy, all: entries.length }));
      arrange(
        section.list,
        entries.slice(0, room).map((entry) => this.#tile(entry, now).element),
      );
      room -= entries.length;
      sections.push(section.element);
    }
    arrange(this.list, sections);
    this.list.classList.toggle("single", sections.length === 1); // its heading would say nothing
    for (const [title, section] of this.#sections)
      if (!sections.includes(section.element)) this.#sections.delete(title);
    write(this.end, this.shown.length > this.#limit ? t("more", { n: this.shown.length - this.#limit }) : "");
    this.#say();
    this.#rove();
  }

  /** Exactly one tile can be reached by Tab; the arrow keys go on from there. */
  #rove() {
    if (this.list.querySelector('.tile[tabindex="0"]')) return;
    this.list.querySelector(".tile")?.setAttribute("tabindex", "0");
  }

  /** Says why nobody is shown. */
  #say() {
    this.empty.hidden = this.shown.length > 0 || !this.store.loaded;
    if (this.empty.hidden) return;
    const { standby, viewer } = this.store;
    const key = `empty.${this.#entries.size ? "filter" : standby ? "standby" : viewer.limited ? "limited" : "users"}`;
    this.empty.replaceChildren(el("h2", { text: standby ?? t(key) }), el("p", { text: t(`${key}.text`) }));
    if (this.#entries.size) {
      this.empty.append(el("button", { type: "button", text: t("filter.clear"), onclick: () => this.filters.clear() }));
    }
  }

  /** @param {Entry} entry @param {number} now */
  #tile({ key, user }, now) {
    let tile = this.#tiles.get(key);
    if (!tile) {
      tile = new Tile(key, user);
      tile.tick(now);
      this.#tiles.set(key, tile);
    }
    return tile;
  }

  /** @param {string} title */
  #section(title) {
    let section = this.#sections.get(title);
    if (!section) {
      const count = el("span", { class: "count" });
      const list = el("ul", { class: "grid", role: "list" });
      const heading = el("h2", {}, el("span", { text: title }), count);
      heading.hidden = !title;
      section = { element: el("section", {}, heading, list), count, list };
      this.#sections.set(title, section);
    }
    return section;
  }
}
