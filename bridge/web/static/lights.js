// The page of the lights: what each shows and why; pauses and overrides for whoever is logged in.

import { arrange, el, swatch, write } from "./dom.js";
import { at, compare, shows, t } from "./i18n.js";
import { post } from "./post.js";

/** @import {Light} from "./types.js" @import {Store} from "./state.js" */

const TIMES = ["5m", "30m", "2h"];

export class Lights {
  /** @type {Map<string, {card: HTMLElement, state: HTMLElement, buttons: HTMLElement|null}>} */
  #cards = new Map();

  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    this.list = el("div", { class: "cards" });
    this.note = el("p", { class: "note" });
    this.empty = el(
      "div",
      { class: "empty", hidden: true },
      el("h2", { text: t("empty.lights") }),
      el("p", { text: t("empty.lights.text") }),
    );
    this.element = el("div", { class: "lights" }, this.list, this.note, this.empty);
  }

  update() {
    const cards = [];
    for (const pbx of this.store.pbxs.values()) {
      for (const light of [...pbx.lights.values()].sort((a, b) => compare(a.name, b.name))) {
        cards.push(this.#card(pbx.name, light));
      }
    }
    arrange(this.list, cards);
    const { admin, can_log_in, limited } = this.store.viewer;
    write(this.note, cards.length && !admin && can_log_in && !limited ? t("lights.login") : "");
    this.empty.hidden = cards.length > 0 || !this.store.loaded;
  }

  /** The card is kept while the light changes, so that a colour that somebody is choosing stays. @param {string} pbx @param {Light} light */
  #card(pbx, light) {
    const key = `${pbx}/${light.name}/${this.store.viewer.admin}`;
    let known = this.#cards.get(key);
    if (!known) {
      const state = el("div", { class: "shown" });
      const buttons = this.store.viewer.admin ? controls(pbx, light.name) : null;
      known = { card: el("article", { class: "card light" }, state, buttons), state, buttons };
      this.#cards.set(key, known);
    }
    known.state.replaceChildren(...describe(light, this.#why(pbx, light.why)));
    known.buttons?.classList.toggle("paused", light.paused);
    known.buttons?.classList.toggle("overridden", light.override !== null);
    return known.card;
  }

  /** `101 on_call` by name and in words; all else as the bridge says it. @param {string} pbx @param {string} why */
  #why(pbx, why) {
    const [number, word] = why.split(" ", 2);
    const known = this.store.pbxs.get(pbx);
    const name = known?.users.get(number)?.name ?? known?.queues.get(number)?.name;
    return name && why === `${number} ${word}` ? `${name} (${number}): ${shows(word)}` : why;
  }
}

/** @param {Light} light @param {string} why */
function describe(light, why) {
  const { users, group, queue } = light.follows;
  const whom =
    users?.join(", ") ??
    (group === undefined ? t("lights.queue", { name: queue ?? "" }) : t("lights.group", { name: group }));
  const look = light.color ?? (light.brightness === null ? t("lights.left_alone") : t("lights.off"));
  const notes = [
    light.override &&
      `${t("lights.override")}${light.override.until ? ` ${t("lights.until", { time: at(light.override.until) })}` : ""}`,
    light.online === null ? null : t(light.online ? "lights.online" : "lights.offline"),
  ].filter((note) => note !== null);
  return [
    swatch(light.color, light.blink === true),
    el("h2", { text: light.name }),
    el(
      "p",
      { class: "shows" },
      el("b", { text: shows(light.shows) }),
      ` · ${look}${light.blink ? ` · ${t("lights.blinking")}` : ""}`,
    ),
    el("p", { class: "why", text: why }),
    el("p", { class: "note", text: [t("lights.follows", { whom }), ...notes].join(" · ") }),
  ];
}

/** @param {string} pbx @param {string} name */
function controls(pbx, name) {
  const answer = el("p", { class: "answer", role: "status" });
  const send = async (/** @type {object} */ body) => {
    const problem = await post(`api/pbxs/${encodeURIComponent(pbx)}/lights/${encodeURIComponent(name)}`, body);
    answer.className = "answer problem";
    write(answer, problem ?? "");
  };
  const color = el("input", { type: "color", value: "#ff00ff", "aria-label": t("lights.color") });
  const times = TIMES.map((each) =>
    el("option", { value: each, text: each.replace(/(\d+)/, "$1 ").replace("m", "min") }),
  );
  const lasts = el(
    "select",
    { "aria-label": t("lights.for") },
    ...times,
    el("option", { value: "", text: t("lights.forever") }),
  );
  const blink = el("input", { type: "checkbox" });
  const override = () =>
    send({ override: { color: color.value, blink: blink.checked, ...(lasts.value && { for: lasts.value }) } });
  const button = (/** @type {string} */ key, /** @type {string} */ kind, /** @type {() => void} */ onclick) =>
    el("button", { type: "button", class: kind, text: t(key), onclick });
  return el(
    "div",
    { class: "controls" },
    button("lights.pause", "pause", () => send({ pause: true })),
    button("lights.resume", "resume", () => send({ pause: false })),
    el(
      "span",
      { class: "row" },
      color,
      lasts,
      el("label", { class: "check" }, blink, t("lights.blink")),
      button("lights.set", "", override),
    ),
    button("lights.clear", "end-override", () => send({ override: null })),
    answer,
  );
}
