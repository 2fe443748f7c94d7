/**
 * Reading without a connection that stays open: a generation that is only begun, and one page of
 * events at a time.
 *
 * @import { EventPage, StreamSnapshot } from './shapes.js'
 * @import { Http } from './http.js'
 * @import { Opening } from './transport.js'
 */

import { broken } from './error.js';
import { ask, heard } from './transport.js';

/**
 * Begins a generation, and answers with its id.
 *
 * @param {Http} http
 * @param {Extract<Opening, { request: any }>} opening
 * @param {AbortController} cut
 * @param {number} silenceMs
 */
export async function begin(http, opening, cut, silenceMs) {
  const extra = { Prefer: 'respond-async' };
  const response = await ask(http, opening, 'application/json', cut, silenceMs, extra);
  const snapshot = /** @type {StreamSnapshot} */ (await json(response, cut, silenceMs));
  return snapshot.id;
}

/**
 * The events after a cursor, as many as there are or fit into a page.
 *
 * @param {Http} http
 * @param {Extract<Opening, { id: string }>} opening
 * @param {AbortController} cut
 * @param {number} silenceMs
 */
export async function readPage(http, opening, cut, silenceMs) {
  const response = await ask(http, opening, 'application/json', cut, silenceMs);
  return /** @type {EventPage} */ (await json(response, cut, silenceMs));
}

/**
 * @param {Response} response
 * @param {AbortController} cut
 * @param {number} silenceMs
 */
async function json(response, cut, silenceMs) {
  try {
    return await heard(response.json(), silenceMs, cut);
  } catch (cause) {
    if (cut.signal.aborted) throw cut.signal.reason;
    throw broken('connection_lost', 'the answer broke off', cause);
  }
}
