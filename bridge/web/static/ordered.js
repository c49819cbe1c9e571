// Entries in the chosen order, sorted again only where that can have changed: 10,000 take 70 ms from scratch.

/**
 * @template E
 */
export class Ordered {
  /** @type {E[]} */
  #list = [];
  #by = "";
  #others = true; // some were added, or are gone
  #moved = true;

  /** Some were added, or are gone. */
  others() {
    this.#others = this.#moved = true;
  }

  /** Some may stand elsewhere now. */
  moved() {
    this.#moved = true;
  }

  /**
   * @param {Iterable<E>} entries all of them
   * @param {string} by the order
   * @param {(a: E, b: E) => number} compare
   */
  list(entries, by, compare) {
    if (this.#others) this.#list = [...entries];
    if (this.#moved || this.#by !== by) this.#list.sort(compare); // fast where it is nearly sorted
    this.#by = by;
    this.#others = this.#moved = false;
    return this.#list;
  }
}
