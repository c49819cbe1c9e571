// How many are in each state; each count is a filter.

import { el, icon, write } from "./dom.js";
import { STATES } from "./filters.js";
import { number, t } from "./i18n.js";

/** @import {Filters} from "./filters.js" @import {State, User} from "./types.js" */

export class Chips {
  /** @type {Map<State, {button: HTMLElement, count: HTMLElement}>} */
  #chips = new Map();

  /** @param {Filters} filters */
  constructor(filters) {
    this.filters = filters;
    this.element = el("div", { class: "chips", role: "group", "aria-label": t("filter.states") });
    for (const state of STATES) this.#chips.set(state, this.#chip(state));
  }

  /** Counts these users; states that nobody is in are left out. @param {User[]} users */
  count(users) {
    const counts = new Map(STATES.map((state) => [state, 0]));
    for (const { state } of users) counts.set(state, (counts.get(state) ?? 0) + 1);
    for (const [state, { button, count }] of this.#chips) {
      const pressed = this.filters.states.has(state);
      const n = counts.get(state) ?? 0;
      write(count, number(n));
      if (!this.filters.kiosk) button.setAttribute("aria-pressed", String(pressed));
      button.hidden = n === 0 && !pressed;
    }
  }

  /** @param {State} state */
  #chip(state) {
    const count = el("b", { text: "0" });
    const toggle = () => {
      const states = new Set(this.filters.states);
      if (!states.delete(state)) states.add(state);
      this.filters.set({ states });
    };
    const looks = { class: "chip", "data-state": state };
    const parts = [icon(state), count, el("span", { text: t(`state.${state}`) })];
    const button = this.filters.kiosk
      ? el("span", looks, ...parts) // a screen on the wall has no controls
      : el("button", { ...looks, type: "button", "aria-pressed": "false", onclick: toggle }, ...parts);
    this.element.append(button);
    return { button, count };
  }
}
