// One person as a tile: made once, then only what changed is written.

import { el, icon, write } from "./dom.js";
import { age, t } from "./i18n.js";

/** @import {Call, User} from "./types.js" */

/** States that are watched by the second. */
const EXACT = new Set(["ringing", "dialing", "on_call", "on_hold"]);

export class Tile {
  /**
   * @param {string} key
   * @param {User} user
   */
  constructor(key, user) {
    this.user = user;
    this.icon = icon(user.state);
    this.name = el("span", { class: "name" });
    this.number = el("span", { class: "number" });
    this.state = el("span", { class: "state" });
    this.since = el("span", { class: "since" });
    this.more = el("span", { class: "more" });
    this.button = el(
      "button",
      { class: "tile", type: "button", tabindex: "-1", "data-key": key },
      this.icon,
      el("span", { class: "line" }, this.name, this.number),
      el("span", { class: "line" }, this.state, this.since),
      this.more,
    );
    this.element = el("li", {}, this.button);
    this.write(user, 0);
  }

  /**
   * Shows the user as it is now.
   * @param {User} user
   * @param {number} now ms by the bridge's clock
   */
  write(user, now) {
    this.user = user;
    if (this.button.dataset.state !== user.state) {
      this.button.dataset.state = user.state;
      const other = icon(user.state);
      this.icon.replaceWith(other);
      this.icon = other;
      write(this.state, t(`state.${user.state}`));
    }
    write(this.name, user.name || user.number);
    write(this.number, user.name ? user.number : "");
    this.more.replaceChildren(...details(user));
    this.tick(now);
  }

  /**
   * Shows how long it has been so.
   * @param {number} now ms by the bridge's clock
   */
  tick(now) {
    if (now) write(this.since, since(this.user, now));
  }
}

/**
 * How long the user's state, or the call, has lasted.
 * @param {User} user
 * @param {number} now
 */
export function since(user, now) {
  const exact = EXACT.has(user.state);
  return age(now - Date.parse((exact && user.call?.since) || user.since), exact);
}

/**
 * What stands under the state: the call, else what else there is to know.
 * @param {User} user
 * @returns {Node[]}
 */
function details(user) {
  if (user.call && EXACT.has(user.state)) return [callLine(user.call)];
  const parts = [];
  if (user.queue === "logged_in") parts.push(el("span", { class: "tag", text: t("tag.queue") }));
  const profile = user.profile && user.profile !== "Available" && user.profile.toLowerCase() !== user.state;
  if (profile) parts.push(el("span", { class: "profile", text: user.profile }));
  if (user.state === "unknown") parts.push(el("span", { class: "profile", text: user.reason }));
  if (user.today?.missed)
    parts.push(el("span", { class: "missed", text: `${t("panel.missed")} ${user.today.missed}` }));
  return parts;
}

/**
 * The direction and the other side of a call, as far as the bridge may say.
 * @param {Call} call
 */
export function callLine(call) {
  const line = el("span", { class: "call" });
  if (call.direction) line.append(icon(call.direction, t(`direction.${call.direction}`)), " ");
  line.append(el("span", { class: "party", text: call.name || call.party || "…" }));
  if (call.name && call.party) line.append(" ", el("span", { class: "number", text: call.party }));
  return line;
}
