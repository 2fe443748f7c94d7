/** How full this node is: all that it has a bound for, and how much of that is taken. */

/** @import { State } from './shapes.js' */

import { h, part, setText } from '../../src/dom.js';
import { bytes, whole } from './words.js';

/** From here on it wants somebody: what share of a bound is taken. */
export const NEARLY_FULL = 0.8;

/**
 * @typedef {object} Bound
 * @property {string} name
 * @property {(node: State['node']) => number | null | undefined} taken
 * @property {(node: State['node']) => number | null | undefined} most none if there is no bound
 * @property {(number: number) => string} words
 */

/** @type {Bound[]} */
const BOUNDS = [
  { name: 'Generations', taken: ({ places }) => places, most: ({ max_places: most }) => most, words: whole },
  { name: 'Memory of streams', taken: (node) => node.log_bytes, most: (node) => node.max_log_bytes, words: bytes },
  { name: 'Open files and connections', taken: (node) => node.descriptors, most: (node) => node.max_descriptors, words: whole },
];

/**
 * The largest share that is taken of any bound, 0 to 1.
 *
 * @param {State} state
 */
export function fullest({ node }) {
  return Math.max(0, ...BOUNDS.map(({ taken, most }) => (taken(node) ?? 0) / (most(node) || Infinity)));
}

export class Room {
  #rows = BOUNDS.map((bound) => {
    const words = h('span');
    const meter = h('meter', { min: 0, 'aria-label': bound.name });
    return { ...bound, words, say: bound.words, meter, element: h('li', {}, h('span', {}, bound.name), words, meter) };
  });

  constructor() {
    part('room', HTMLElement).append(h('ul', { class: 'standing-list' }, ...this.#rows.map(({ element }) => element)));
  }

  /** @param {State} state */
  update({ node }) {
    for (const { element, words, say, meter, taken, most } of this.#rows) {
      const [now, bound] = [taken(node), most(node)];
      element.hidden = now === null || now === undefined || !bound;
      if (now === null || now === undefined || !bound) continue;
      const text = `${say(now)} of ${say(bound)}`;
      setText(words, text);
      Object.assign(meter, { max: bound, high: bound * NEARLY_FULL, value: now, title: text });
      element.classList.toggle('full', now >= bound * NEARLY_FULL);
    }
  }
}
