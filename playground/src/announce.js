/** Says something to who cannot see it, politely. Never each token. */

import { part } from './dom.js';

const region = part('announcer', HTMLElement);

/** @param {string} text */
export function announce(text) {
  // The same words again are news too.
  region.textContent = region.textContent === text ? `${text}\u00a0` : text;
}
