// The lists above the tiles: department, group, queue, order; and whether there are tiles or a list.

import { el, icon } from "./dom.js";
import { departments, ORDERS } from "./filters.js";
import { compare, t } from "./i18n.js";

/** @import {Filters} from "./filters.js" @import {Store} from "./state.js" */

/** @typedef {[value: string, label: string]} Option */

export class Choices {
  #shown = "";

  /** @param {Store} store @param {Filters} filters */
  constructor(store, filters) {
    this.store = store;
    this.filters = filters;
    this.element = el("div", { class: "choices" });
  }

  /** Offers what there is to choose from; lists with nothing to choose are left out. */
  update() {
    const { filters } = this;
    const lists = this.#lists();
    const { pbx, department, group, queue, order, view, offline } = filters;
    const shown = JSON.stringify([lists, pbx, department, group, queue, order, view, offline]);
    if (shown === this.#shown) return; // a list that somebody has open must not be replaced for nothing
    this.#shown = shown;
    const selects = lists
      .filter(({ name, options, least }) => options.length >= least || filters[name])
      .map(({ name, options }) =>
        select(t(`filter.${name}`), [["", t("filter.all")], ...options], filters[name], (value) =>
          filters.set({ [name]: value }),
        ),
      );
    const orders = ORDERS.map((each) => /** @type {Option} */ ([each, t(`order.${each}`)]));
    selects.push(select(t("filter.order"), orders, filters.order, (value) => filters.set({ order: value })));
    const hide = el("input", { type: "checkbox", checked: !filters.offline, "aria-label": t("filter.offline") });
    hide.addEventListener("change", () => filters.set({ offline: !hide.checked }));
    const focused = document.activeElement?.getAttribute("aria-label");
    const had = this.element.contains(document.activeElement);
    this.element.replaceChildren(
      ...selects,
      el("label", { class: "check" }, hide, t("filter.offline")),
      el("span", { class: "views", role: "group" }, ...["tiles", "list"].map((each) => this.#view(each))),
    );
    const again = [...this.element.querySelectorAll("[aria-label]")].find(
      (each) => each.getAttribute("aria-label") === focused,
    );
    if (had && again instanceof HTMLElement) again.focus();
  }

  #lists() {
    const { pbx: chosen } = this.filters;
    const pbxs = [...this.store.pbxs.values()].filter((pbx) => !chosen || pbx.name === chosen);
    const named = (/** @type {Iterable<string>} */ names) =>
      [...new Set(names)].sort(compare).map((name) => /** @type {Option} */ ([name, name]));
    const queues = pbxs.flatMap((pbx) => [...pbx.queues.values()]);
    return [
      { name: /** @type {const} */ ("pbx"), options: named(this.store.pbxs.keys()), least: 2 },
      {
        name: /** @type {const} */ ("department"),
        options: departments(pbxs.flatMap((pbx) => [...pbx.users.values()])),
        least: 2,
      },
      { name: /** @type {const} */ ("group"), options: named(pbxs.flatMap((pbx) => [...pbx.groups.keys()])), least: 1 },
      {
        name: /** @type {const} */ ("queue"),
        options: queues.map((queue) => /** @type {Option} */ ([queue.number, queue.name ?? queue.number])),
        least: 1,
      },
    ];
  }

  /** @param {string} view */
  #view(view) {
    const pressed = String(this.filters.view === view);
    const set = () => this.filters.set({ view });
    return el(
      "button",
      { type: "button", "aria-pressed": pressed, "aria-label": t(`view.${view}`), onclick: set },
      icon(view),
    );
  }
}

/**
 * @param {string} label
 * @param {Option[]} options
 * @param {string} value one that is no option any more is shown too
 * @param {(value: string) => void} chosen
 */
function select(label, options, value, chosen) {
  const all = options.some(([each]) => each === value) ? options : [...options, /** @type {Option} */ ([value, value])];
  const element = el(
    "select",
    { "aria-label": label, class: options[0][0] === "" && value ? "set" : null },
    ...all.map(([each, text]) =>
      el("option", { value: each, text: each === "" ? `${label}: ${text}` : text, selected: each === value }),
    ),
  );
  element.addEventListener("change", () => chosen(element.value));
  return element;
}
