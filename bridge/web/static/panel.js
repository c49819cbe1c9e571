// One person: the call, what is known, today's calls, what this page has seen; and profile and queues to set.

import { el, icon, write } from "./dom.js";
import { at, clock, t } from "./i18n.js";
import { post } from "./post.js";
import { callLine, since } from "./tile.js";

/** @import {CallEvent, Today, User} from "./types.js" @import {Known, Store} from "./state.js" */

const PROFILES = ["Available", "Away", "Out of office", "Custom 1", "Custom 2"];

export class Panel {
  /** @type {{pbx: string, number: string}|null} */
  #of = null;

  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    this.head = el("header");
    this.since = el("span", { class: "since" });
    this.facts = el("dl", { class: "facts" });
    this.today = el("section");
    this.events = el("section");
    this.answer = el("p", { class: "answer", role: "status" });
    this.forms = el("section", { class: "forms" });
    const close = el("button", { class: "close", "aria-label": t("panel.close"), type: "button" }, icon("close"));
    this.element = el(
      "dialog",
      { class: "panel", "aria-labelledby": "panel-name" },
      el("div", { class: "inside" }, close, this.head, this.facts, this.forms, this.today, this.events),
    );
    close.addEventListener("click", () => this.element.close());
    this.element.addEventListener("click", (event) => {
      if (event.target === this.element) this.element.close(); // beside the panel
    });
    this.element.addEventListener("close", () => {
      this.#of = null;
    });
  }

  /** @param {string} pbx @param {string} number */
  open(pbx, number) {
    this.#of = { pbx, number };
    write(this.answer, "");
    this.#form();
    this.update();
    this.element.showModal();
  }

  /** Shows what has changed; closes where the user is gone. */
  update() {
    if (!this.#of) return;
    const pbx = this.store.pbxs.get(this.#of.pbx);
    const user = pbx?.users.get(this.#of.number);
    if (!pbx || !user) {
      this.element.close();
      return;
    }
    this.#head(user);
    this.facts.replaceChildren(...facts(user));
    this.today.replaceChildren(...today(user.today));
    this.events.replaceChildren(...events(pbx.events.get(user.number) ?? []));
    this.tick(this.store.now());
  }

  /** @param {number} now */
  tick(now) {
    const user = this.#of && this.store.pbxs.get(this.#of.pbx)?.users.get(this.#of.number);
    if (user) write(this.since, `${since(user, now)} · ${t("since", { time: at(user.call?.since ?? user.since) })}`);
  }

  /** @param {User} user */
  #head(user) {
    this.head.dataset.state = user.state;
    this.head.replaceChildren(
      icon(user.state),
      el("h2", { id: "panel-name", text: user.name || user.number }),
      el("span", { class: "number", text: user.name ? user.number : "" }),
      el("span", { class: "state", text: t(`state.${user.state}`) }),
      this.since,
    );
  }

  /** What may be set, where the viewer may and the configuration allows it. */
  #form() {
    const { pbx, number } = /** @type {{pbx: string, number: string}} */ (this.#of);
    const known = /** @type {Known} */ (this.store.pbxs.get(pbx));
    const allowed = known.bridge.commands ?? { profile: false, queue: false };
    this.forms.replaceChildren();
    if (!allowed.profile && !allowed.queue) return;
    if (!this.store.viewer.admin) {
      if (this.store.viewer.can_log_in && !this.store.viewer.limited)
        this.forms.append(el("p", { text: t("panel.login") }));
      return;
    }
    const send = (/** @type {object} */ body) => this.#send(pbx, number, body);
    if (allowed.profile) this.forms.append(profileForm(known.users.get(number)?.profile ?? "", send));
    if (allowed.queue) {
      const set = (/** @type {string} */ queue) => () => send({ queue });
      this.forms.append(
        el("button", { type: "button", text: t("queue.log_in"), onclick: set("logged_in") }),
        el("button", { type: "button", text: t("queue.log_out"), onclick: set("logged_out") }),
      );
    }
    this.forms.append(this.answer);
  }

  /** Asks the bridge and shows what the PBX made of it. @param {string} pbx @param {string} number @param {object} body */
  async #send(pbx, number, body) {
    this.answer.className = "answer";
    write(this.answer, t("panel.asking"));
    const problem = await post(`api/pbxs/${encodeURIComponent(pbx)}/users/${encodeURIComponent(number)}`, body);
    this.answer.className = problem === null ? "answer ok" : "answer problem";
    write(this.answer, problem ?? t("panel.done"));
  }
}

/** @param {string} profile @param {(body: object) => void} send */
function profileForm(profile, send) {
  const names = PROFILES.includes(profile) || !profile ? PROFILES : [profile, ...PROFILES];
  const options = names.map((name) => el("option", { value: name, text: name, selected: name === profile }));
  const choice = el("select", { "aria-label": t("panel.profile") }, ...options);
  const set = () => send({ profile: choice.value });
  return el("div", { class: "row" }, choice, el("button", { type: "button", text: t("panel.set"), onclick: set }));
}

/** @param {User} user */
function facts(user) {
  const phone =
    user.registered === null ? "panel.unknown" : user.registered ? "panel.registered" : "panel.unregistered";
  const call = user.call && callLine(user.call);
  if (call && (user.calls ?? 0) > 1) call.append(` · ${t("panel.calls", { n: user.calls ?? 0 })}`);
  /** @type {[string, Node|string|null][]} */
  const rows = [
    ["panel.call", call],
    ["panel.department", user.department],
    ["panel.profile", user.profile],
    ["panel.queue", user.queue && t(`queue.${user.queue}`)],
    ["panel.phone", t(phone)],
    ["panel.reason", user.reason.replaceAll("_", " ")],
  ];
  return rows
    .filter(([, value]) => value !== null && value !== "")
    .flatMap(([key, value]) => [el("dt", { text: t(key) }), el("dd", {}, value)]);
}

/** @param {Today|null} counts */
function today(counts) {
  if (!counts) return [];
  const number = (/** @type {string} */ key, /** @type {string|number} */ value) =>
    el("div", {}, el("dt", { text: t(key) }), el("dd", { text: value }));
  const last = counts.last_missed;
  return [
    el("h3", { text: t("panel.today") }),
    el(
      "dl",
      { class: "numbers" },
      number("panel.missed", counts.missed),
      number("panel.answered", counts.answered),
      number("panel.made", counts.made),
      number("panel.talk", clock(counts.talk_time)),
    ),
    last
      ? el("p", { class: "note", text: t("panel.last_missed", { time: at(last.at), party: last.party ?? "…" }) })
      : "",
  ];
}

/** @param {CallEvent[]} seen */
function events(seen) {
  const lines = seen.map((event) => {
    const word =
      event.event_type === "ended" && event.outcome ? `outcome.${event.outcome}` : `event.${event.event_type}`;
    const party = event.name || event.party || "";
    const lasted = event.event_type === "ended" && event.duration ? ` · ${clock(event.duration)}` : "";
    return el(
      "li",
      {},
      el("time", { text: at(event.seen, true) }),
      el("span", { text: `${t(word)} ${party}${lasted}` }),
    );
  });
  return [
    el("h3", { text: t("panel.events") }),
    lines.length ? el("ol", { class: "events" }, ...lines) : el("p", { class: "note", text: t("panel.events.none") }),
  ];
}
