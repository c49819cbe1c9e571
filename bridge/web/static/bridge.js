// The page of the bridge itself: connections, what `check` says, sources with their delays, the last warnings.

import { el, icon } from "./dom.js";
import { at, day, number, t } from "./i18n.js";

/** @import {Polls} from "./types.js" @import {Known, Store} from "./state.js" */

export class BridgePage {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    this.element = el("div", { class: "bridge" });
  }

  update() {
    const parts = [];
    for (const pbx of this.store.pbxs.values()) {
      if (this.store.pbxs.size > 1) parts.push(el("h2", { class: "pbx", text: pbx.name }));
      parts.push(cards(pbx), ...findings(pbx), ...sources(pbx), ...log(pbx));
    }
    this.element.replaceChildren(...parts);
  }
}

/** @param {Known} pbx */
function cards(pbx) {
  const { bridge } = pbx;
  const health = bridge.health;
  const contact = (
    /** @type {string} */ title,
    /** @type {boolean} */ ok,
    /** @type {string} */ good,
    /** @type {string} */ bad,
  ) => card(t(title), [icon(ok ? "ok" : "fail"), t(ok ? good : bad)], ok ? "ok" : "fail");
  const system = bridge.system ?? {};
  const of = (/** @type {string} */ part, /** @type {string} */ all) =>
    system[part] === null || system[part] === undefined
      ? null
      : `${system[part]}${system[all] ? ` / ${system[all]}` : ""}`;
  const facts = /** @type {const} */ ([
    ["bridge.users", number(pbx.users.size)],
    ["bridge.calls", of("calls", "max_calls")],
    ["bridge.trunks", of("trunks_online", "trunks")],
    ["bridge.extensions", of("extensions_online", "extensions")],
    ["bridge.licence", system.licence_expires ? day(String(system.licence_expires)) : null],
    ["bridge.messages", health ? number(health.published) : null],
    ["bridge.memory", health?.memory ? `${number(health.memory / 2 ** 20)} MB` : null],
  ]);
  return el(
    "div",
    { class: "cards small" },
    contact("bridge.pbx", bridge.pbx, "bridge.answers", "bridge.silent"),
    contact("bridge.broker", bridge.broker, "bridge.online", "bridge.offline"),
    card(t("bridge.version"), [
      `3cx2mqtt ${bridge.version ?? ""}`,
      el("span", { class: "note", text: `3CX ${bridge.pbx_version ?? "?"} · ${bridge.host ?? ""}` }),
    ]),
    ...facts.filter(([, value]) => value !== null).map(([key, value]) => card(t(key), [String(value)])),
    bridge.started ? el("p", { class: "note wide", text: t("bridge.uptime", { time: at(bridge.started) }) }) : null,
  );
}

/** @param {string} title @param {(Node|string)[]} content @param {string} [kind] */
function card(title, content, kind = "") {
  return el("article", { class: `card fact ${kind}` }, el("h2", { text: title }), el("p", {}, ...content));
}

/** @param {Known} pbx */
function findings(pbx) {
  const lines = (pbx.bridge.findings ?? []).map(({ about, verdict, message }) =>
    el("li", { class: verdict }, icon(verdict, verdict), el("b", { text: about }), el("span", { text: message })),
  );
  return lines.length ? [el("h2", { text: t("bridge.check") }), el("ul", { class: "findings" }, ...lines)] : [];
}

/** @param {Known} pbx */
function sources(pbx) {
  if (!pbx.sources.length) return [];
  const polls = pbx.bridge.health?.polls ?? {};
  const head = ["bridge.source", "bridge.use", "bridge.polls", "bridge.delay", "bridge.last"].map((key) =>
    el("th", { scope: "col", text: t(key) }),
  );
  const rows = pbx.sources.map(({ name, in_use, reason }) => {
    const counts = polls[name];
    return el(
      "tr",
      {},
      el("th", { scope: "row", text: name }),
      el("td", { text: `${t(in_use ? "bridge.in_use" : "bridge.not_in_use")}${reason ? `: ${reason}` : ""}` }),
      ...polled(counts),
    );
  });
  const table = el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows));
  return [
    el("h2", { text: t("bridge.sources") }),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("bridge.sources") }, table),
  ];
}

/** @param {Polls|undefined} polls */
function polled(polls) {
  if (!polls) return [el("td", { text: "–" }), el("td", { text: "–" }), el("td", { text: "–" })];
  const ms = (/** @type {number|null} */ seconds) => (seconds === null ? "–" : `${number(seconds * 1000)} ms`);
  const failed = polls.failed ? `, ${number(polls.failed)} ${t("bridge.failed")}` : "";
  return [
    el("td", { text: `${number(polls.ok)}${failed}` }),
    el("td", { text: `${ms(polls.p50)} / ${ms(polls.p95)}` }),
    el("td", { text: at(polls.last_success, true) }),
  ];
}

/** @param {Known} pbx */
function log(pbx) {
  const lines = [...pbx.log].reverse().map(({ time, level, message }) => {
    const kind = level === "warning" ? "warn" : "fail";
    return el(
      "li",
      { class: kind },
      icon(kind, level ?? ""),
      el("time", { text: at(time, true) }),
      el("span", { text: message ?? "" }),
    );
  });
  const none = el("p", { class: "note", text: t("bridge.log.none") });
  return [el("h2", { text: t("bridge.log") }), lines.length ? el("ul", { class: "findings log" }, ...lines) : none];
}
