/** Says something to who cannot see it, politely. Never each token. */

import { part } from './dom.js';

/** After this it is no news any more, and must not be met by who reads the page from top to bottom. */
const NEWS_MS = 8000;

const region = part('announcer', HTMLElement);
let clearing = 0;

/** @param {string} text nothing, if it is empty */
export function announce(text) {
  if (text === '') return;
  // The same words again are news too.
  region.textContent = region.textContent === text ? `${text}\u00a0` : text;
  clearTimeout(clearing);
  clearing = window.setTimeout(() => region.replaceChildren(), NEWS_MS);
}
