/** One line of what may want somebody, above all else: how much of it there is, and the way to it. */

/** @import { State } from './shapes.js' */

import { h, part, setText } from '../../src/dom.js';
import { NEARLY_FULL, fullest } from './room.js';
import { counted, standingOf, whole } from './words.js';

/** @param {{ last_window: number }[]} counts */
const lately = (counts) => counts.reduce((sum, it) => sum + it.last_window, 0);

/**
 * What the request of a generation that is turned away is answered with, by why that was.
 *
 * @type {Record<string, string>}
 */
const ANSWERS = {
  requests: 'rate_limited',
  tokens: 'tokens_exhausted',
  tokens_ever: 'invalid_field',
  streams: 'too_many_streams',
  server: 'overloaded',
  draining: 'server_stopping',
};

/**
 * Errors that are not the answers to those who were turned away: nothing wants somebody twice.
 *
 * @param {State} state
 */
function otherErrors({ errors, rejections }) {
  const others = errors.map(({ code, last_window: all }) => {
    const turnedAway = lately(rejections.filter(({ reason }) => ANSWERS[reason] === code));
    return Math.max(0, all - turnedAway);
  });
  return others.reduce((sum, count) => sum + count, 0);
}

/**
 * @typedef {object} Item
 * @property {string} place where more is said of it
 * @property {(state: State) => number} count
 * @property {(count: number) => string} words
 * @property {(state: State) => boolean} [is] whether there can be any
 */

/** @type {Item[]} */
const ITEMS = [
  { place: 'rejections', count: ({ rejections }) => lately(rejections), words: (count) => `${whole(count)} turned away` },
  { place: 'errors', count: otherErrors, words: (count) => counted(count, 'other error') },
  { place: 'errors', count: ({ failures }) => lately(failures), words: (count) => `${counted(count, 'generation')} failed` },
  {
    place: 'room',
    count: (state) => Math.round(fullest(state) * 100),
    words: (percent) => `${whole(percent)} % full now`,
    is: (state) => fullest(state) >= NEARLY_FULL,
  },
  {
    place: 'upstreams',
    count: ({ upstreams }) => upstreams.filter(({ rests }) => rests).length,
    words: (count) => `${counted(count, 'upstream')} left alone now`,
    is: ({ upstreams }) => upstreams.length > 0,
  },
  {
    place: 'nodes',
    count: ({ nodes, redis }) => nodes.filter((peer) => standingOf(peer, redis) === 'away').length,
    words: (count) => `${counted(count, 'node')} away now`,
    is: ({ nodes }) => nodes.length > 0,
  },
];

export class Attention {
  #items = ITEMS.map((item) => {
    const link = h('a', { href: `#${item.place}-title` });
    return { ...item, link, element: h('li', {}, link) };
  });

  constructor() {
    part('attention', HTMLElement).append(...this.#items.map(({ element }) => element));
  }

  /**
   * @param {State} state
   * @param {string} span since when things are counted
   */
  update(state, span) {
    for (const { element, link, count, words, is } of this.#items) {
      const found = count(state);
      element.hidden = is !== undefined && !is(state);
      setText(link, words(found));
      link.classList.toggle('some', found > 0);
    }
    setText(part('attention-span', HTMLElement), span);
  }
}
