// The keyboard: `/` searches, arrows move from tile to tile, Enter opens one (as on any button).

/** @import {People} from "./view.js" */

const MOVES = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"]);

/**
 * @param {People} people
 * @param {HTMLInputElement} search
 */
export function followKeys(people, search) {
  addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLElement && event.target.matches("input, select, textarea");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      search.focus();
      search.select();
    }
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      search.value = "";
      search.dispatchEvent(new Event("input"));
    } else if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault();
      focus(people.list.querySelector(".tile"), people);
    }
  });
  people.list.addEventListener("keydown", (event) => {
    const tile = event.target instanceof HTMLElement && event.target.closest(".tile");
    if (!tile || !MOVES.has(event.key)) return;
    event.preventDefault();
    const tiles = [...people.list.querySelectorAll(".tile")];
    focus(next(tiles, tile, event.key), people);
  });
  people.list.addEventListener("focusin", (event) => {
    if (event.target instanceof HTMLElement) reach(event.target, people);
  });
}

/** @param {Element|null|undefined} tile @param {People} people */
function focus(tile, people) {
  if (!(tile instanceof HTMLElement)) return;
  reach(tile, people);
  tile.focus();
  tile.scrollIntoView({ block: "nearest" });
}

/** Makes the tile the one that Tab reaches. @param {HTMLElement} tile @param {People} people */
function reach(tile, people) {
  for (const other of people.list.querySelectorAll('.tile[tabindex="0"]')) other.setAttribute("tabindex", "-1");
  tile.setAttribute("tabindex", "0");
}

/**
 * The tile beside; up and down by where the tiles are, as headings and widths differ.
 * @param {Element[]} tiles
 * @param {Element} from
 * @param {string} key
 */
function next(tiles, from, key) {
  const index = tiles.indexOf(from);
  if (key === "Home") return tiles[0];
  if (key === "End") return tiles.at(-1);
  if (key === "ArrowLeft" || key === "ArrowRight") return tiles[index + (key === "ArrowRight" ? 1 : -1)];
  const place = from.getBoundingClientRect();
  const step = key === "ArrowDown" ? 1 : -1;
  let best;
  for (let at = index + step; tiles[at]; at += step) {
    const other = tiles[at].getBoundingClientRect();
    if (Math.abs(other.top - place.top) < 4) continue;
    if (best && Math.abs(other.top - best.top) > 4) break;
    const distance = Math.abs(other.left - place.left);
    if (!best || distance < best.distance) best = { tile: tiles[at], top: other.top, distance };
  }
  return best?.tile;
}
