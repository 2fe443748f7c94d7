/** Rows of a table that stay themselves while their figures change, so that nothing loses its place or focus. */

/**
 * @template T
 * @typedef {object} Row
 * @property {HTMLTableRowElement} element
 * @property {(item: T) => void} update
 */

/** @template T */
export class Rows {
  #body;
  #key;
  #make;
  /** @type {Map<string, Row<T>>} */
  #rows = new Map();

  /**
   * @param {Element} body
   * @param {(item: T) => string} key
   * @param {(item: T) => Row<T>} make
   */
  constructor(body, key, make) {
    this.#body = body;
    this.#key = key;
    this.#make = make;
  }

  /**
   * Shows these, in this order; or, if they shall hold still, in the order that they have, new ones last.
   *
   * @param {readonly T[]} items
   * @param {boolean} [still]
   */
  show(items, still = false) {
    const gone = new Set(this.#rows.keys());
    const elements = items.map((item) => {
      const key = this.#key(item);
      gone.delete(key);
      let row = this.#rows.get(key);
      if (!row) {
        row = this.#make(item);
        this.#rows.set(key, row);
      }
      row.update(item);
      return row.element;
    });
    for (const key of gone) {
      this.#rows.get(key)?.element.remove();
      this.#rows.delete(key);
    }
    if (still) {
      this.#body.append(...elements.filter((element) => !element.parentNode));
      return;
    }
    // Moving an element takes the focus from what is in it, so those that are in place stay there.
    elements.forEach((element, at) => {
      const there = this.#body.children[at];
      if (there !== element) this.#body.insertBefore(element, there ?? null);
    });
  }
}
