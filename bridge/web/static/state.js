// The store: what the bridge says, kept up to date by one stream; and whether it can be believed now.

/**
 * @import {Beat, CallEvent, Change, Group, Light, Pbx, Queue, Snapshot, User, Viewer} from "./types.js"
 *
 * @typedef {object} Known one PBX, with what it has by number or name
 * @property {string} name
 * @property {Pbx["bridge"]} bridge
 * @property {Pbx["sources"]} sources
 * @property {Map<string, User>} users
 * @property {Map<string, Group>} groups
 * @property {Map<string, Queue>} queues
 * @property {Map<string, Light>} lights
 * @property {Pbx["log"]} log
 * @property {Map<string, CallEvent[]>} events the last calls of a user that this page has seen, the newest first
 *
 * @typedef {object} Changed what has changed since the last call of a listener
 * @property {boolean} all a snapshot came
 * @property {Set<string>} users `pbx/number`
 * @property {Set<string>} kinds
 *
 * @typedef {{why: "stream"|"broker"|"pbx", since: number|null}} Stale
 */

const SILENT_AFTER = 3000; // ms without a beat
const DEAD_AFTER = 8000; // ms without a beat, after which the connection is made again: it may hang
const MOST_EVENTS = 20;
const MOST_WARNINGS = 50;
const FIRST_RETRY = 1000;
const LONGEST_RETRY = 10000;

/** @param {string} pbx @param {string} number */
export const keyOf = (pbx, number) => `${pbx}/${number}`;

export class Store {
  /** @type {Map<string, Known>} */
  pbxs = new Map();
  /** @type {Viewer} */
  viewer = { admin: false, limited: false, can_log_in: false };
  version = "";
  loaded = false;
  /** Milliseconds by which the bridge's clock is ahead of this one. */
  #ahead = 0;
  #lastBeat = 0; // by performance.now()
  /** @type {number|null} */
  #lastBeatTime = null; // ms by the bridge's clock
  /** @type {EventSource|undefined} */
  #source;
  #retry = FIRST_RETRY;
  #opened = 0;
  #reopening = false;
  /** @type {Changed} */
  #changed = { all: false, users: new Set(), kinds: new Set() };
  #scheduled = false;

  /**
   * @param {string} url of the stream
   * @param {(changed: Changed) => void} listener called at most once per frame
   * @param {() => void} denied called where a login is needed
   */
  constructor(url, listener, denied) {
    this.url = url;
    this.listener = listener;
    this.denied = denied;
  }

  /** Follows the bridge from now on, for ever. */
  open() {
    this.#opened = performance.now();
    const source = new EventSource(this.url);
    this.#source = source;
    source.addEventListener("snapshot", (event) => this.#take(JSON.parse(event.data)));
    source.addEventListener("change", (event) => this.#apply(JSON.parse(event.data)));
    source.addEventListener("beat", (event) => this.#beat(JSON.parse(event.data)));
    source.addEventListener("error", () => {
      // A browser connects again by itself after a network error, but never after an answer such as 401 or 502.
      if (source.readyState === EventSource.CLOSED && source === this.#source) this.#again();
    });
  }

  /** Milliseconds by the bridge's clock, which dates everything here. */
  now() {
    return Date.now() + this.#ahead;
  }

  /** Whether what is shown may not be true any more, and since when; to be asked about twice a second. @returns {Stale|null} */
  stale() {
    const silent = performance.now() - this.#lastBeat;
    if (silent > SILENT_AFTER || this.#lastBeatTime === null) {
      if (performance.now() - Math.max(this.#lastBeat, this.#opened) > DEAD_AFTER) this.#again();
      return { why: "stream", since: this.#lastBeatTime };
    }
    const active = [...this.pbxs.values()].map((pbx) => pbx.bridge).filter((each) => !each.standby);
    const offline = active.filter((each) => !each.broker || !each.pbx);
    if (offline.length === 0 || offline.length < active.length) return null;
    const last = offline.map((each) => (each.last_news === null ? null : Date.parse(each.last_news)));
    const known = last.filter((each) => each !== null);
    return {
      why: offline.some((each) => !each.broker) ? "broker" : "pbx",
      since: known.length ? Math.max(...known) : null,
    };
  }

  /** That another machine is at work, where it is so for every PBX; and which one. @returns {string|undefined} */
  get standby() {
    const all = [...this.pbxs.values()].map((pbx) => pbx.bridge.standby);
    return all.every(Boolean) ? all[0] : undefined;
  }

  /** Whether a beat has come lately, so that a page that has just been opened is not called stale. */
  get waiting() {
    return !this.loaded && performance.now() - this.#opened < SILENT_AFTER;
  }

  #again() {
    if (this.#reopening) return;
    this.#reopening = true;
    this.#source?.close();
    const wait = this.#retry;
    this.#retry = Math.min(2 * wait, LONGEST_RETRY);
    setTimeout(async () => {
      // EventSource does not say why it failed.
      const status = await fetch(this.url.replace("events", "snapshot"), { method: "HEAD" }).then(
        (response) => response.status,
        () => 0,
      );
      if (status === 401) this.denied();
      this.#reopening = false;
      this.open();
    }, wait);
  }

  /** @param {Snapshot} snapshot */
  #take(snapshot) {
    const before = this.pbxs;
    this.pbxs = new Map(snapshot.pbxs.map((pbx) => [pbx.name, known(pbx, before.get(pbx.name)?.events)]));
    this.viewer = snapshot.viewer;
    this.version = snapshot.version;
    this.loaded = true;
    this.#retry = FIRST_RETRY;
    this.#heard(snapshot.time);
    this.#changed.all = true;
    this.#schedule();
  }

  /** @param {Change} change */
  #apply({ pbx: name, kind, key, value }) {
    const pbx = this.pbxs.get(name);
    if (!pbx) return;
    if (kind === "user") {
      put(pbx.users, key, value);
      this.#changed.users.add(keyOf(name, key));
    } else if (kind === "call") {
      const events = pbx.events.get(key) ?? [];
      pbx.events.set(key, [{ ...value, seen: this.now() }, ...events].slice(0, MOST_EVENTS));
      this.#changed.users.add(keyOf(name, key));
    } else if (kind === "group") put(pbx.groups, key, value);
    else if (kind === "queue") put(pbx.queues, key, value);
    else if (kind === "light") put(pbx.lights, key, value);
    else if (kind === "bridge") pbx.bridge = value;
    else if (kind === "sources") pbx.sources = value;
    else if (kind === "log") pbx.log = [...pbx.log, value].slice(-MOST_WARNINGS);
    this.#changed.kinds.add(kind);
    this.#schedule();
  }

  /** @param {Beat} beat */
  #beat(beat) {
    this.#heard(beat.time);
    for (const { name, ...contact } of beat.pbxs) {
      const pbx = this.pbxs.get(name);
      if (!pbx) continue;
      const { broker, pbx: answers, standby } = pbx.bridge;
      Object.assign(pbx.bridge, { standby: undefined }, contact);
      this.#changed.all ||= standby !== contact.standby;
      if (standby !== contact.standby || broker !== contact.broker || answers !== contact.pbx) {
        this.#changed.kinds.add("bridge");
        this.#schedule();
      }
    }
  }

  /** @param {string} time */
  #heard(time) {
    this.#lastBeat = performance.now();
    this.#lastBeatTime = Date.parse(time);
    // Beats carry whole seconds: less than a second of difference is none.
    const ahead = this.#lastBeatTime - Date.now();
    if (Math.abs(ahead - this.#ahead) > 1500) this.#ahead = ahead;
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      const changed = this.#changed;
      this.#changed = { all: false, users: new Set(), kinds: new Set() };
      this.listener(changed);
    });
  }
}

/**
 * @param {Pbx} pbx
 * @param {Map<string, CallEvent[]>} [events] those seen before
 * @returns {Known}
 */
function known(pbx, events) {
  return {
    name: pbx.name,
    bridge: pbx.bridge,
    sources: pbx.sources,
    users: new Map(pbx.users.map((user) => [user.number, user])),
    groups: new Map(pbx.groups.map((group) => [group.name, group])),
    queues: new Map(pbx.queues.map((queue) => [queue.number, queue])),
    lights: new Map(pbx.lights.map((light) => [light.name, light])),
    log: pbx.log,
    events: events ?? new Map(),
  };
}

/**
 * @template V
 * @param {Map<string, V>} map
 * @param {string} key
 * @param {V|null} value
 */
function put(map, key, value) {
  if (value === null) map.delete(key);
  else map.set(key, value);
}
