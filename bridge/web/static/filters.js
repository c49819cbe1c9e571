// What is shown, and in which order: all of it in the address, so that every view is a link.

import { compare, t } from "./i18n.js";

/** @import {State, User} from "./types.js" @import {Known} from "./state.js" */

/** The states in the order of importance: who may be reached least comes first. @type {State[]} */
export const STATES = [
  "ringing",
  "dialing",
  "on_call",
  "on_hold",
  "do_not_disturb",
  "away",
  "available",
  "unknown",
  "offline",
];

export const PAGES = ["people", "queues", "lights", "bridge"];
export const ORDERS = ["department", "state", "name", "number", "since"];
const RANK = new Map(STATES.map((state, rank) => [state, rank]));
const NO_DEPARTMENT = "-";

/** What belongs to the view and not to what is looked at, and stays when filters are cleared. */
const LASTING = ["token", "kiosk", "lang", "page", "view", "order"];

export class Filters {
  page = "people";
  search = "";
  /** @type {Set<string>} */
  states = new Set();
  pbx = "";
  department = "";
  group = "";
  queue = "";
  order = "department";
  view = "tiles";
  offline = true; // whether those who are offline are shown
  kiosk = false;

  /** Of the search, all of which a user must have. @type {string[]} */
  #words = [];

  /** @param {() => void} changed called after each change */
  constructor(changed) {
    this.changed = changed;
    this.read();
    addEventListener("popstate", () => {
      this.read();
      changed();
    });
  }

  read() {
    const query = new URLSearchParams(location.search);
    const one = (/** @type {string} */ name, /** @type {string[]} */ of) =>
      of.includes(query.get(name) ?? "") ? String(query.get(name)) : of[0];
    this.page = one("page", PAGES);
    this.order = one("order", ORDERS);
    this.view = one("view", ["tiles", "list"]);
    this.search = query.get("q") ?? "";
    const states = (query.get("state") ?? "").split(",");
    this.states = new Set(states.filter((state) => RANK.has(/** @type {State} */ (state))));
    for (const name of /** @type {const} */ (["pbx", "department", "group", "queue"]))
      this[name] = query.get(name) ?? "";
    this.offline = query.get("offline") !== "hide";
    this.kiosk = query.get("kiosk") === "1";
    this.#split();
  }

  /**
   * Changes some of it. A new page is a step that the browser's back button undoes, all else replaces the address.
   * @param {Partial<Filters>} values
   */
  set(values) {
    const step = values.page !== undefined && values.page !== this.page;
    Object.assign(this, values);
    this.#split();
    history[step ? "pushState" : "replaceState"](null, "", this.address());
    this.changed();
  }

  /** Once for each change, not for each of 10,000 users. */
  #split() {
    this.#words = fold(this.search).split(/\s+/).filter(Boolean);
  }

  /** Shows everybody again. */
  clear() {
    const none = { search: "", states: new Set(), pbx: "", department: "", group: "", queue: "", offline: true };
    this.set(/** @type {Partial<Filters>} */ (none));
  }

  /** Whether somebody may be left out by a filter. */
  get narrow() {
    return Boolean(
      this.search || this.states.size || this.pbx || this.department || this.group || this.queue || !this.offline,
    );
  }

  /**
   * The address of this view, or of another page.
   * @param {string} [page]
   */
  address(page = this.page) {
    const before = new URLSearchParams(location.search);
    const query = new URLSearchParams();
    for (const name of LASTING) if (before.has(name)) query.set(name, String(before.get(name)));
    const values = {
      page: page === "people" ? "" : page,
      q: this.search,
      state: [...this.states].join(","),
      pbx: this.pbx,
      department: this.department,
      group: this.group,
      queue: this.queue,
      order: this.order === ORDERS[0] ? "" : this.order,
      view: this.view === "tiles" ? "" : this.view,
      offline: this.offline ? "" : "hide",
    };
    for (const [name, value] of Object.entries(values)) {
      if (value) query.set(name, value);
      else query.delete(name);
    }
    return `${location.pathname}?${query}`.replace(/\?$/, "");
  }

  /**
   * Whether the user is shown, the state aside: the states are counted over those.
   * @param {User} user
   * @param {Known} pbx
   * @param {string} text `textOf` the user
   */
  matches(user, pbx, text) {
    return (
      (!this.pbx || this.pbx === pbx.name) &&
      (!this.department || this.department === (departmentOf(user) || NO_DEPARTMENT)) &&
      (!this.group || Boolean(pbx.groups.get(this.group)?.members.includes(user.number))) &&
      (!this.queue || isAgent(pbx, this.queue, user.number)) &&
      (this.offline || user.state !== "offline") &&
      this.#words.every((word) => text.includes(word))
    );
  }

  /** @param {User} user */
  matchesState(user) {
    return this.states.size === 0 || this.states.has(user.state);
  }

  /**
   * Compares two users by the chosen order.
   * @param {User} a
   * @param {User} b
   */
  compare(a, b) {
    const byNumber = () => compare(a.number, b.number);
    if (this.order === "name") return compare(a.name ?? a.number, b.name ?? b.number) || byNumber();
    if (this.order === "since") return a.since < b.since ? 1 : a.since > b.since ? -1 : byNumber();
    if (this.order === "state") return (RANK.get(a.state) ?? 0) - (RANK.get(b.state) ?? 0) || byNumber();
    if (this.order === "department") return compareDepartments(departmentOf(a), departmentOf(b)) || byNumber();
    return byNumber();
  }

  /** Departments of different PBXs are different ones. @param {string} a @param {string} b */
  comparePbxs(a, b) {
    return this.order === "department" ? compare(a, b) : 0;
  }

  /**
   * The heading that the user stands under; empty where the order has none.
   * @param {User} user
   * @param {string} pbx its name, where there are several
   */
  section(user, pbx) {
    if (this.order === "state") return t(`state.${user.state}`);
    if (this.order !== "department") return "";
    const department = departmentOf(user) || t("filter.none");
    return pbx ? `${pbx} · ${department}` : department;
  }
}

/**
 * The user's department; empty for 3CX's own, which holds those who were put into none.
 * @param {User} user
 */
function departmentOf(user) {
  return /^(__)?default(__)?$/i.test(user.department ?? "") ? "" : (user.department ?? "");
}

/** Those without a department come last. @param {string} a @param {string} b */
function compareDepartments(a, b) {
  if (a === b) return 0;
  return a && b ? compare(a, b) : a ? -1 : 1;
}

/** @param {Known} pbx @param {string} queue @param {string} number */
function isAgent(pbx, queue, number) {
  const agents = pbx.queues.get(queue)?.agents;
  return Boolean(agents?.logged_in.includes(number) || agents?.logged_out.includes(number));
}

/**
 * The departments of these users, for the list to choose from.
 * @param {Iterable<User>} users
 * @returns {[value: string, label: string][]}
 */
export function departments(users) {
  const names = new Set([...users].map(departmentOf));
  return [...names].sort(compareDepartments).map((name) => [name || NO_DEPARTMENT, name || t("filter.none")]);
}

/** What a search looks through. @param {User} user */
export function textOf(user) {
  return fold(`${user.number} ${user.name ?? ""} ${user.department ?? ""}`);
}

/** Without case and accents: `mueller` is another word, but `muller` finds Müller. @param {string} text */
function fold(text) {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().trim();
}
