// For screens on a wall: tiles as large as the screen allows, no controls, and nobody has to touch it, ever.

import { el, write } from "./dom.js";
import { t } from "./i18n.js";

const ASPECT = 2.7; // width to height of a tile
const GAP = 0.06; // of a tile's height
const LEAST = { width: 150, height: 30 }; // CSS pixels of a tile that can still be read
const THREE_LINES = 76; // height of a tile that has room for a name, a state and a call
const TWO_LINES = 46;
const LINE = 1.38; // height of a line, in font sizes
const SMALLEST = 11; // font size that can be read from a step away
const TURN = 12000; // ms that each page is shown, where all do not fit on one
const MARGIN = 24;
const BASE = 218; // width at which a tile's text has the usual size

/** The page fills the screen by these, which a style sheet made here may set: the policy allows no style attributes. */
const sheet = new CSSStyleSheet();

export class Kiosk {
  #page = 0;
  #pages = 1;
  #turned = 0;
  /** @type {string|undefined} */
  #version;

  /** @param {() => void} again called where other tiles may fit */
  constructor(again) {
    document.body.classList.add("kiosk");
    document.adoptedStyleSheets.push(sheet);
    this.indicator = el("p", { class: "turning", "aria-hidden": "true" });
    document.body.append(this.indicator);
    addEventListener("resize", again);
    document.addEventListener("visibilitychange", () => this.#stayAwake());
    this.#stayAwake();
  }

  /**
   * Those of all that are on the screen now; sets the sizes by which they fill it.
   * @template T
   * @param {T[]} all
   * @returns {T[]}
   */
  choose(all) {
    const room = { width: innerWidth - MARGIN, height: innerHeight - MARGIN - headerHeight() };
    const most = Math.max(1, Math.floor(room.width / LEAST.width) * Math.floor(room.height / LEAST.height));
    this.#pages = Math.max(1, Math.ceil(all.length / most));
    const shown = Math.max(1, Math.ceil(all.length / this.#pages));
    this.#page %= this.#pages;
    const columns = bestColumns(shown, room);
    const width = room.width / columns;
    const height = Math.min(room.height / Math.ceil(shown / columns), width / 1.9);
    const lines = height >= THREE_LINES ? 3 : height >= TWO_LINES ? 2 : 1;
    const font = Math.max(SMALLEST, Math.min(15 * (width / BASE), height / ((lines + 0.9) * LINE)));
    const gap = height * GAP;
    sheet.replaceSync(`:root{--columns:${columns};--row:${height - gap}px;--gap:${gap}px;--font:${font}px}`);
    document.body.dataset.lines = String(lines);
    write(this.indicator, this.#pages > 1 ? t("kiosk.page", { n: this.#page + 1, all: this.#pages }) : "");
    return all.slice(this.#page * shown, (this.#page + 1) * shown);
  }

  /** Goes on to the next page when its time has come. @returns {boolean} whether it did */
  turn() {
    if (this.#pages < 2 || performance.now() - this.#turned < TURN) return false;
    this.#turned = performance.now();
    this.#page = (this.#page + 1) % this.#pages;
    return true;
  }

  /** Loads the page again when the bridge has become another version. @param {string} version */
  check(version) {
    if (this.#version !== undefined && this.#version !== version) location.reload();
    this.#version = version;
  }

  /** Browsers allow it on https and on this machine only, and end it when the page is hidden. */
  #stayAwake() {
    if (document.visibilityState === "visible") navigator.wakeLock?.request("screen").catch(() => {});
  }
}

/**
 * The number of columns by which tiles of the right shape become largest.
 * @param {number} count
 * @param {{width: number, height: number}} room
 */
function bestColumns(count, room) {
  let best = { columns: 1, size: 0 };
  for (let columns = 1; columns <= count && room.width / columns >= LEAST.width; columns++) {
    const size = Math.min(room.width / columns, (room.height / Math.ceil(count / columns)) * ASPECT);
    if (size > best.size) best = { columns, size };
  }
  return best.columns;
}

function headerHeight() {
  return document.getElementById("top")?.offsetHeight ?? 0;
}
